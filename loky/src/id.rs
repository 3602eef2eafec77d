//! Newtypes for what is counted or compared, so that a call is never taken for a worker.
//!
//! Ids are given out in ascending order (but for those of parts of a chunk) and never used again within their pool.

/// One submission of a task, within its pool: the how-manieth it is, which orders and tells it from all others, and its place
/// among those that are not over, which is another's afterwards. See [`calls`](crate::calls). Of several that travel together as a
/// chunk it is the number of the first; a part of the chunk has a number that was one of these, and a place of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId {
    pub(crate) number: u64,
    pub(crate) place: u32,
}

impl CallId {
    /// Of what was never accepted.
    pub(crate) const NONE: Self = Self { number: 0, place: u32::MAX };

    /// The id of the `number`th call of a pool in which none is over.
    #[cfg(test)]
    pub(crate) const fn nth(number: u64) -> Self {
        Self { number, place: (number as u32).wrapping_sub(1) }
    }
}

/// One worker process, within its pool. A replacement is another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// A call as one worker knows it: a slot of the worker's page, and which of the slot's uses it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

impl Ticket {
    /// The initializer's, which has no slot: nobody takes it back, and the worker has nothing else.
    pub(crate) const INITIALIZER: Self = Self(u64::MAX);
}

/// What tells one table from another: how many tasks, and a hash of their names and signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) count: u64,
    pub(crate) hash: u64,
}
