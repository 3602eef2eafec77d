//! The numbers of [`Stats`] that are counted: calls and workers, by what became of them.

use super::outcome::{CallEnd, RawAnswers};
use crate::observer::Stats;
use crate::scheduler::Verdict;

/// The numbers so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    submitted: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    workers_started: u64,
    workers_retired: u64,
    workers_died: u64,
}

impl Counts {
    /// `count` calls were submitted.
    pub(super) fn note_submitted(&mut self, count: u32) {
        self.submitted += u64::from(count);
    }

    pub(super) fn note_worker_started(&mut self) {
        self.workers_started += 1;
    }

    pub(super) fn note_worker_retired(&mut self) {
        self.workers_retired += 1;
    }

    pub(super) fn note_worker_died(&mut self) {
        self.workers_died += 1;
    }

    /// `n_calls` calls have ended in this way.
    pub(super) fn note_end(&mut self, ending: &CallEnd, n_calls: u32) {
        let count = u64::from(n_calls);
        match ending {
            CallEnd::Result(_) => self.succeeded += count,
            CallEnd::Judged(Verdict::Cancelled, _) => self.cancelled += count,
            CallEnd::Failed(_) | CallEnd::Judged(..) => self.failed += count,
            CallEnd::Answers(answers, last) => {
                self.note_answers(answers);
                if let Some(last) = last {
                    self.note_end(last, n_calls - answers.count);
                }
            }
        }
    }

    /// Calls of a batch have these answers.
    pub(super) fn note_answers(&mut self, answers: &RawAnswers) {
        let failed = answers.failures.len() as u64;
        self.failed += failed;
        self.succeeded += u64::from(answers.count) - failed;
    }

    /// The numbers that are counted here, where `queued` calls wait for a worker.
    pub(super) fn stats(&self, queued: usize) -> Stats {
        let Self { submitted, succeeded, failed, cancelled, .. } = *self;
        let unfinished = submitted - (succeeded + failed + cancelled);
        Stats {
            queued,
            given: usize::try_from(unfinished).unwrap_or(usize::MAX).saturating_sub(queued),
            submitted,
            succeeded,
            failed,
            cancelled,
            workers_started: self.workers_started,
            workers_retired: self.workers_retired,
            workers_died: self.workers_died,
            ..Stats::default()
        }
    }
}
