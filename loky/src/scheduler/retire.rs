//! Who leaves, and why: workers that are too many, that have nothing to do for too long, that have done or grown enough, and
//! all when nothing will come.
//!
//! A worker leaves when it has nothing to do, and by its own doing, so no call is lost by it: what it was given it finishes, or
//! it was taken back before. Whoever leaves for having had nothing to do leaves its place vacant; it is filled again when calls
//! wait that nobody takes. All others are replaced.

use std::time::Instant;

use super::workers::{Worker, WorkerState};
use super::{Action, Phase, Scheduler};
use crate::id::WorkerId;
use crate::observer::Retirement;

impl Scheduler {
    /// Sends a worker away that is not to stay, once it has nothing to do.
    pub(super) fn retire_if_done(&mut self, now: Instant, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id)
            && let Some(why) = worker.retire_reason()
            && worker.calls.is_empty()
            && worker.state != WorkerState::Leaving
            && !worker.killed
        {
            worker.start_leaving(now);
            self.actions.push_back(Action::Retire { worker: id, why });
        }
    }

    /// Lets those go that have nothing to do, when nothing will come.
    pub(super) fn retire_unused(&mut self, now: Instant) {
        self.idle.clear();
        for (id, worker) in &mut self.workers {
            let is_unused = worker.calls.is_empty() && worker.state != WorkerState::Leaving;
            if is_unused && !worker.killed {
                worker.start_leaving(now);
                let why = Retirement::Shutdown;
                self.actions.push_back(Action::Retire { worker: *id, why });
            }
        }
    }

    /// The memory of a worker has grown over the limit, after a call: it is replaced.
    pub(crate) fn worker_over_memory_limit(&mut self, now: Instant, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.is_over_memory_limit = true;
        self.idle.retain(|idle| *idle != id);
        self.revoke_waiting(id);
        self.retire_if_done(now, id);
    }

    /// A worker that leaves takes its time, since its tasks have left calls behind in pools of their own. If all is to be
    /// finished, so are these; but nobody waits for the place of one that leaves for another reason.
    pub(crate) fn worker_lingers(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.state == WorkerState::Leaving
        {
            worker.lingers = true;
        }
        self.lift_leave_deadlines();
    }

    /// At the end of the pool those that linger may do so.
    pub(super) fn lift_leave_deadlines(&mut self) {
        if self.phase == Phase::Draining {
            let lingering = self.workers.values_mut().filter(|worker| worker.lingers);
            lingering.for_each(|worker| worker.deadline = None);
        }
    }

    /// When the first of the idle ones is to leave, if nothing happens.
    pub(super) fn next_idle_exit(&self) -> Option<Instant> {
        // What lies behind a long call is about to be theirs.
        if self.next_revoke().is_some() {
            return None;
        }
        let idle = self.idle.iter().filter_map(|id| self.idle_exit(self.workers.get(id)?));
        idle.min()
    }

    /// When this worker, which is idle, is to leave.
    fn idle_exit(&self, worker: &Worker) -> Option<Instant> {
        let is_open = self.phase == Phase::Open && self.n_prewarms == 0;
        let timeout = self.rules.idle_timeout.filter(|_| is_open)?;
        worker.last_progress.checked_add(timeout)
    }

    /// Sends those away that have had nothing to do for too long.
    pub(super) fn retire_idle(&mut self, now: Instant) {
        let is_late = |id: &WorkerId| {
            let at = self.workers.get(id).and_then(|worker| self.idle_exit(worker));
            at.is_some_and(|at| at <= now)
        };
        if self.next_idle_exit().is_none() {
            return;
        }
        let late: Vec<_> = self.idle.iter().copied().filter(is_late).collect();
        for id in late {
            self.idle.retain(|idle| *idle != id);
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.start_leaving(now);
                self.vacant = (self.vacant + 1).min(self.max_workers);
                self.actions.push_back(Action::Retire { worker: id, why: Retirement::Idle });
            }
        }
    }
}
