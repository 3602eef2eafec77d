//! Whether it is worth while to look for an answer before one sleeps.
//!
//! Where the worker runs at once on a CPU of its own, an answer to a short call is there sooner than one would be woken for it.
//! Where it does not (others want its CPU, or it takes long to wake), looking is time lost, for the reader and perhaps for the
//! worker. Which of the two it is shows only in whether the answer was found; so the more often it was not, the more rarely a
//! reader looks.

use std::sync::atomic::{AtomicU32, Ordering};

/// Of one lane. Used by its reader alone.
#[derive(Debug, Default)]
pub(crate) struct AdaptiveSpin {
    /// How many times a reader is to sleep at once before it looks again.
    left: AtomicU32,
    /// How many times that was when it was set last.
    penalty: AtomicU32,
}

/// Then it is a thousandth of the calls, or less, that lose the time.
const MAX_PENALTY: u32 = 1023;

impl AdaptiveSpin {
    /// Whether the reader is to look this time.
    pub(crate) fn is_enough(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        left == 0
    }

    /// The reader has looked.
    pub(crate) fn note(&self, has_found: bool) {
        let penalty = match has_found {
            true => 0,
            false => (2 * self.penalty.load(Ordering::Relaxed) + 1).min(MAX_PENALTY),
        };
        self.penalty.store(penalty, Ordering::Relaxed);
        self.left.store(penalty, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In which of so many times a reader looks that never finds anything, but in those of `found`.
    fn looks(times: usize, found: &[usize]) -> Vec<usize> {
        let patience = AdaptiveSpin::default();
        let looks = |time: &usize| {
            let looks = patience.is_enough();
            if looks {
                patience.note(found.contains(time));
            }
            looks
        };
        (0..times).filter(looks).collect()
    }

    #[test]
    fn who_finds_nothing_looks_ever_more_rarely() {
        assert_eq!(looks(60, &[]), [0, 2, 6, 14, 30]);
        assert_eq!(looks(10_000, &[]).len(), 18);
    }

    #[test]
    fn who_finds_something_looks_again() {
        assert_eq!(looks(12, &[6, 7]), [0, 2, 6, 7, 8, 10]);
    }
}
