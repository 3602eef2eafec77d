//! The initializer: the task that a new worker runs before its first call.
//!
//! A failure, a death or a timeout of the initializer breaks the pool, because a replacement would fail likewise. The
//! error names the initializer and the event.

use std::time::Instant;

use super::Scheduler;
use super::workers::{WorkerState, describe};
use crate::error::{Error, ErrorKind, PanicReport, WorkerExit};
use crate::id::WorkerId;

/// The remark of a worker that is killed at the time limit of the initializer.
const LATE: &str = "its initializer exceeded `init_timeout`";

impl Scheduler {
    /// The worker has completed the handshake and runs the initializer. False if the worker is leaving or killed.
    pub(crate) fn worker_greeted(&mut self, now: Instant, id: WorkerId) -> bool {
        let limit = self.rules.init_timeout.and_then(|limit| now.checked_add(limit));
        let Some(worker) = self.workers.get_mut(&id) else { return false };
        let is_awaited = worker.state == WorkerState::Starting && !worker.killed;
        if is_awaited {
            self.had_handshake = true;
            worker.state = WorkerState::Initializing;
            worker.deadline = limit.map(|at| (at, LATE));
        }
        is_awaited
    }

    /// The worker has begun the initializer. A death before this counts as a death at the start.
    pub(crate) fn initializer_began(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.began_initializer = true;
        }
    }

    /// The initializer has failed. This breaks the pool, unless the worker is leaving anyway.
    pub(crate) fn initializer_failed(
        &mut self,
        now: Instant,
        id: WorkerId,
        what: &str,
        panic: Option<PanicReport>,
    ) {
        let worker = self.workers.get(&id);
        if worker.is_some_and(|worker| worker.state == WorkerState::Initializing) {
            let cause = self.initializer_error(what);
            self.break_pool(match panic {
                Some(report) => cause.with_panic(report),
                None => cause,
            });
        }
        self.advance(now);
    }

    /// Returns the error that breaks the pool, if this worker has exceeded the time limit of the initializer.
    pub(super) fn late_initializer(&self, id: WorkerId) -> Option<Error> {
        // The deadline of a worker that has closed its channel is another one.
        let is_late = self.workers.get(&id)?.deadline.is_some_and(|(_, remark)| remark == LATE);
        let limit = self.rules.init_timeout.filter(|_| is_late)?;
        Some(self.initializer_error(&format!("did not finish within {limit:?} (`init_timeout`)")))
    }

    /// Returns the error that breaks the pool after a death in the initializer.
    pub(super) fn death_in_initializer(&self, mut exit: WorkerExit) -> Error {
        exit.task = self.rules.initializer;
        let what = format!("ended its worker process {}: {}", exit.pid, describe(&exit));
        self.initializer_error(&what).with_worker_exit(exit)
    }

    fn initializer_error(&self, what: &str) -> Error {
        let name = self.rules.initializer.unwrap_or_default();
        Error::new(ErrorKind::BrokenProcessPool, format!("the initializer `{name}` {what}"))
    }
}
