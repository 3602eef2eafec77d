//! Shutdown: the four ways to end a pool, and what each does with calls and workers.

use std::time::Instant;

use super::{Phase, Scheduler, Verdict};

/// A way to shut an executor down, which decides about its unfinished calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
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
    /// A shutdown that waits, and that becomes a kill at `deadline`. Of several deadlines the earliest counts.
    pub(crate) fn shutdown_by(&mut self, now: Instant, deadline: Instant) {
        self.kill_at = Some(self.kill_at.map_or(deadline, |at| at.min(deadline)));
        self.shutdown(now, Shutdown::Wait);
        self.kill_if_due(now);
    }

    /// The moment at which a shutdown becomes a kill, if it is not over before.
    pub(super) fn next_kill(&self) -> Option<Instant> {
        self.kill_at.filter(|_| self.phase == Phase::Draining)
    }

    pub(super) fn kill_if_due(&mut self, now: Instant) {
        if self.next_kill().is_some_and(|at| at <= now) {
            self.shutdown(now, Shutdown::Kill);
        }
    }

    /// Whether a kill met calls or workers.
    pub(crate) fn was_killed(&self) -> bool {
        self.was_killed
    }

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
                        self.was_killed = !self.calls.is_empty() || !self.workers.is_empty();
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
