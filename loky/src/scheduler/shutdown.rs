//! Shutdown: the four ways to end a pool, and what each does with calls and workers.

use std::time::Instant;

use super::{Phase, Scheduler, Verdict};

/// A way to shut an executor down, which decides about its unfinished calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Finishes all accepted calls, and returns when all workers have exited. Python's `shutdown(wait=True)`.
    Wait,
    /// Finishes all accepted calls in the background, and returns at once. Python's `shutdown(wait=False)`.
    NoWait,
    /// Cancels the calls that have not started, finishes the others, and returns when all workers have exited. Python's
    /// `shutdown(cancel_futures=True)`.
    CancelPending,
    /// Kills the workers and their child processes, and returns when all have exited. Unfinished calls fail with
    /// [`ErrorKind::ShutdownExecutor`](crate::ErrorKind::ShutdownExecutor). Python loky's `shutdown(kill_workers=True)`.
    Kill,
}

impl Scheduler {
    /// Accepts no more calls, and ends the accepted ones as `how` says. A later, harsher shutdown takes effect; a milder one
    /// changes nothing.
    pub(crate) fn shutdown(&mut self, now: Instant, how: Shutdown) {
        self.is_shut_down = true;
        match self.phase {
            Phase::Open | Phase::Draining => {
                self.phase = Phase::Draining;
                self.lift_leave_deadlines();
                match how {
                    Shutdown::Wait | Shutdown::NoWait => {}
                    Shutdown::CancelPending => {
                        self.cancels_pending = true;
                        self.resolve_queued(&Verdict::Cancelled);
                        self.revoke_all();
                    }
                    Shutdown::Kill => {
                        self.resolve_all(&Verdict::ShutDown);
                        self.phase = Phase::Closed;
                        self.kill_all();
                    }
                }
            }
            Phase::Closed | Phase::Ended => {}
        }
        self.advance(now);
    }
}
