//! Whether a reader looks for an answer for a moment before it sleeps.
//!
//! Where the worker runs at once on another CPU, a short answer comes sooner than a wake-up. Where it does not, because other
//! processes want its CPU or it wakes slowly, looking wastes the reader's time, and perhaps the worker's. Only success tells the
//! two apart. So the more often a reader looks in vain, the more rarely it looks.

use std::sync::atomic::{AtomicU32, Ordering};

/// The record of one lane. Only its reader uses it.
#[derive(Debug, Default)]
pub(crate) struct AdaptiveSpin {
    /// The number of times that a reader sleeps at once before it looks again.
    left: AtomicU32,
    /// The value of `left` when it was last set.
    penalty: AtomicU32,
}

/// At most one call in a thousand loses the time.
const MAX_PENALTY: u32 = 1023;

impl AdaptiveSpin {
    /// Returns whether the reader looks this time.
    pub(crate) fn is_worthwhile(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        left == 0
    }

    /// Notes whether the reader has found the answer by looking.
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

    /// Returns in which of `times` times a reader looks that finds the answer only in those of `found`.
    fn looks(times: usize, found: &[usize]) -> Vec<usize> {
        let spin = AdaptiveSpin::default();
        let looks = |time: &usize| {
            let looks = spin.is_worthwhile();
            if looks {
                spin.note(found.contains(time));
            }
            looks
        };
        (0..times).filter(looks).collect()
    }

    #[test]
    fn failures_make_looking_rarer() {
        assert_eq!(looks(60, &[]), [0, 2, 6, 14, 30]);
        assert_eq!(looks(10_000, &[]).len(), 18);
    }

    #[test]
    fn success_resumes_looking() {
        assert_eq!(looks(12, &[6, 7]), [0, 2, 6, 7, 8, 10]);
    }
}
