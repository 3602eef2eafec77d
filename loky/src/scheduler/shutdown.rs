//! The ways to end a pool.

use std::time::Instant;

use super::{Phase, Scheduler, Verdict};

/// What becomes of the calls of an executor that is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// All accepted calls are finished; returns when everything is gone. Python's `shutdown(wait=True)`.
    Wait,
    /// All accepted calls are finished; returns at once. Python's `shutdown(wait=False)`.
    NoWait,
    /// Calls that have not started are cancelled, the others finished; returns when everything is gone. Python's
    /// `shutdown(cancel_futures=True)`.
    CancelPending,
    /// The workers, and what they started, are killed; unfinished calls fail with
    /// [`ErrorKind::ShutdownExecutor`](crate::ErrorKind::ShutdownExecutor); returns when everything is gone. Python loky's
    /// `shutdown(kill_workers=True)`.
    Kill,
}

impl Scheduler {
    /// Takes no more calls. A later, harsher shutdown takes effect; a milder one changes nothing.
    pub(crate) fn shutdown(&mut self, now: Instant, how: Shutdown) {
        self.shut_down = true;
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
