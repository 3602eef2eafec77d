//! The numbers that a user can ask for.

use super::outcome::CallEnd;
use super::state::State;
use crate::observer::Stats;
use crate::scheduler::Verdict;

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) submitted: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    pub(super) workers_started: u64,
    pub(super) workers_retired: u64,
    pub(super) workers_died: u64,
}

impl Counts {
    /// So many calls have ended in this way.
    pub(super) fn note(&mut self, ending: &CallEnd, count: u32) {
        let count = u64::from(count);
        match ending {
            CallEnd::Result(_) => self.succeeded += count,
            CallEnd::Judged(Verdict::Cancelled, _) => self.cancelled += count,
            CallEnd::Failed(_) | CallEnd::Judged(..) => self.failed += count,
            CallEnd::Answers(answers, _) => {
                let failed = answers.failures.len() as u64;
                self.failed += failed;
                self.succeeded += u64::from(answers.count) - failed;
            }
        }
    }
}

impl State {
    /// All numbers, as of now.
    pub(super) fn stats(&self) -> Stats {
        let Counts { submitted, succeeded, failed, cancelled, .. } = self.counts;
        let unfinished = submitted - (succeeded + failed + cancelled);
        let Counts { workers_started, workers_retired, workers_died, .. } = self.counts;
        let queued = self.scheduler.queued_calls();
        Stats {
            max_workers: self.scheduler.max_workers(),
            workers: self.links.len(),
            idle_workers: self.scheduler.idle_workers(),
            starting_workers: self.scheduler.starting_workers(),
            queued,
            given: usize::try_from(unfinished).unwrap_or(usize::MAX).saturating_sub(queued),
            submitted,
            succeeded,
            failed,
            cancelled,
            workers_started,
            workers_retired,
            workers_died,
        }
    }
}
