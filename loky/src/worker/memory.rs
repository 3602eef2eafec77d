//! The growth of this process's memory since its first call, measured between calls and rarely.
//!
//! A measurement reads a file of the kernel, which takes some microseconds: so there is at most one a second. Tested beside the
//! code.

use std::time::Instant;

use crate::limits;
use crate::sys::memory;

/// The growth, as far as it was measured.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    /// The number of bytes by which the memory may grow.
    limit: u64,
    /// The memory after the first call, in bytes.
    reference: Option<u64>,
    last_measured: Option<Instant>,
    is_over: bool,
}

impl MemoryWatch {
    /// Creates a watch. With `u64::MAX` as the limit it never measures.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, reference: None, last_measured: None, is_over: limit == u64::MAX }
    }

    /// Returns true, once, if the memory has grown over the limit. Called after each call; `now` may be a little old.
    pub(super) fn has_outgrown(&mut self, now: Instant) -> bool {
        self.measure(now, memory::own_bytes)
    }

    fn measure(&mut self, now: Instant, own_bytes: impl FnOnce() -> Option<u64>) -> bool {
        let is_early = |last: Instant| now.saturating_duration_since(last) < limits::MEMORY_LOOK;
        if self.is_over || self.last_measured.is_some_and(is_early) {
            return false;
        }
        self.last_measured = Some(now);
        // Nothing can be measured while a task holds all descriptors.
        let Some(bytes) = own_bytes() else { return false };
        let reference = *self.reference.get_or_insert(bytes);
        self.is_over = bytes.saturating_sub(reference) > self.limit;
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::time::Duration;

    /// Each row: the time of a call in milliseconds, the memory then, and whether that is over the limit of 10.
    #[track_caller]
    fn check(calls: &[(u64, Option<u64>, bool)]) {
        let start = clock::now();
        let mut watch = MemoryWatch::new(10);
        for (millis, bytes, is_over) in calls {
            let now = start + Duration::from_millis(*millis);
            assert_eq!(watch.measure(now, || *bytes), *is_over, "at {millis} ms");
        }
    }

    #[test]
    fn growth_counts_from_first_call() {
        check(&[(0, Some(1000), false), (1000, Some(1010), false), (2000, Some(1011), true)]);
        check(&[(0, Some(1000), false), (1000, Some(5), false), (2000, Some(1000), false)]);
        check(&[(0, None, false), (1000, Some(1000), false), (2000, Some(1011), true)]);
    }

    #[test]
    fn memory_is_measured_once_a_second_and_reported_once() {
        check(&[
            (0, Some(0), false),
            (999, Some(100), false),
            (1000, Some(0), false),
            (1999, Some(100), false),
            (2000, Some(100), true),
            (3000, Some(100), false),
        ]);
    }

    #[test]
    fn no_limit_never_measures() {
        let mut watch = MemoryWatch::new(u64::MAX);
        assert!(!watch.measure(clock::now(), || unreachable!("it never measures")));
    }
}
