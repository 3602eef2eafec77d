//! The task that a new worker runs before its first call. What goes wrong there would go wrong in each worker that comes
//! instead, so it is the end of the pool, and says what it was.

use std::time::Instant;

use super::Scheduler;
use super::workers::{WorkerState, describe};
use crate::error::{Error, ErrorKind, PanicReport, WorkerExit};
use crate::id::WorkerId;

/// What is said of a worker whose initializer is late.
const LATE: &str = "its initializer took too long";

impl Scheduler {
    /// A worker has shaken hands, and runs the initializer now: it is ready once that has returned. False if it comes too late:
    /// it was told to leave.
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

    /// The worker has begun the initializer. (One that dies before is one that dies at the start.)
    pub(crate) fn initializer_began(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.began_initializer = true;
        }
    }

    /// The initializer has failed in a worker. If that was to leave anyway, nobody is the worse for it.
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

    /// The cause of the pool's end, if this worker is late with the initializer.
    pub(super) fn late_initializer(&self, id: WorkerId) -> Option<Error> {
        // A worker that has closed its channel is late with something else.
        let is_late = self.workers.get(&id)?.deadline.is_some_and(|(_, remark)| remark == LATE);
        let limit = self.rules.init_timeout.filter(|_| is_late)?;
        Some(self.initializer_error(&format!("did not finish within {limit:?} (`init_timeout`)")))
    }

    /// The cause of the pool's end, when a worker has died in the initializer.
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
