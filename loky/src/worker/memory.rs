//! How far this process's memory has grown since its first call, looked at between calls and seldom.

use std::time::Instant;

use crate::limits;
use crate::sys::memory;

/// What is known of the growth.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    /// By how many bytes the memory may grow.
    limit: u64,
    /// How much there was after the first call.
    reference: Option<u64>,
    last_look: Option<Instant>,
    is_over: bool,
}

impl MemoryWatch {
    /// With `u64::MAX` as its limit it never looks.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, reference: None, last_look: None, is_over: limit == u64::MAX }
    }

    /// A call is over, and `now` not long past. True, once, if the memory has grown over the limit.
    pub(super) fn has_outgrown(&mut self, now: Instant) -> bool {
        self.look(now, memory::own_bytes)
    }

    fn look(&mut self, now: Instant, own_bytes: impl FnOnce() -> Option<u64>) -> bool {
        let is_early = |last: Instant| now.saturating_duration_since(last) < limits::MEMORY_LOOK;
        if self.is_over || self.last_look.is_some_and(is_early) {
            return false;
        }
        self.last_look = Some(now);
        // It cannot be told while a task has taken all descriptors.
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

    /// When it looks (in milliseconds), what it finds, and whether that is over the limit of 10.
    #[track_caller]
    fn check(looks: &[(u64, Option<u64>, bool)]) {
        let start = clock::now();
        let mut watch = MemoryWatch::new(10);
        for (millis, bytes, is_over) in looks {
            let now = start + Duration::from_millis(*millis);
            assert_eq!(watch.look(now, || *bytes), *is_over, "at {millis} ms");
        }
    }

    #[test]
    fn growth_counts_from_the_first_call() {
        check(&[(0, Some(1000), false), (1000, Some(1010), false), (2000, Some(1011), true)]);
        check(&[(0, Some(1000), false), (1000, Some(5), false), (2000, Some(1000), false)]);
        check(&[(0, None, false), (1000, Some(1000), false), (2000, Some(1011), true)]);
    }

    #[test]
    fn it_looks_once_a_second_and_tells_once() {
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
    fn without_a_limit_it_never_looks() {
        let mut watch = MemoryWatch::new(u64::MAX);
        assert!(!watch.look(clock::now(), || unreachable!("nobody asked")));
    }
}
