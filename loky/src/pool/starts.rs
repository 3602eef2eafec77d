//! The starts of worker processes: how many there were, and why the last one failed.
//!
//! A prewarm waits for all workers. A start that began before it may have failed of something that its caller has mended
//! meanwhile, so only the failure of a later start is the prewarm's own.

use crate::error::Error;

/// A start, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Start(u64);

/// The starts of one pool.
#[derive(Debug, Default)]
pub(super) struct Starts {
    begun: u64,
    /// The last start before the last prewarm.
    before_prewarm: Option<Start>,
    /// The last start that failed, and why.
    failed: Option<(Start, Error)>,
}

impl Starts {
    /// A start begins.
    pub(super) fn begin(&mut self) -> Start {
        self.begun += 1;
        Start(self.begun)
    }

    /// A prewarm begins. Returns the last start before it.
    pub(super) fn begin_prewarm(&mut self) -> Start {
        let last = Start(self.begun);
        self.before_prewarm = Some(last);
        last
    }

    /// A start has failed. Returns whether it began before the last prewarm, which has to be answered by another one then.
    pub(super) fn fail(&mut self, start: Start, error: Error) -> bool {
        self.failed = Some((start, error));
        self.before_prewarm.is_some_and(|last| start <= last)
    }

    /// Why a start has failed that began after `last`, if one has.
    pub(super) fn failure_after(&self, last: Start) -> Option<&Error> {
        self.failed.as_ref().filter(|(start, _)| *start > last).map(|(_, error)| error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn failure_of_an_earlier_start_is_not_the_prewarms() {
        let error = || Error::new(ErrorKind::Spawn, "no such file");
        let mut starts = Starts::default();
        let early = starts.begin();
        let before = starts.begin_prewarm();
        assert!(starts.fail(early, error()) && starts.failure_after(before).is_none());
        let late = starts.begin();
        assert!(!starts.fail(late, error()) && starts.failure_after(before).is_some());
    }

    #[test]
    fn failure_without_a_prewarm_is_not_before_one() {
        let mut starts = Starts::default();
        let start = starts.begin();
        assert!(!starts.fail(start, Error::new(ErrorKind::Spawn, "no such file")));
    }
}
