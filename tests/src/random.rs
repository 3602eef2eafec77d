//! Numbers that look random and are the same in every run.

/// See xorshift64 in Marsaglia's paper of 2003.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this number. Those of neighbouring numbers have nothing to do with one another.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // An odd number times an odd one is never zero, where the generator would stay.
        Self((2 * seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Any number but zero.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    ///
    /// # Panics
    /// If `limit` is zero.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() >> 33).expect("31 bits") % limit
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
