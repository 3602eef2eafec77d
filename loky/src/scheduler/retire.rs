//! Retirement: workers that leave because of a `resize`, idleness, `max_tasks`, memory growth or a shutdown.
//!
//! A worker is told to leave only once it has no calls, and then exits by itself, so no call is lost. A worker that leaves for
//! idleness is replaced when calls wait that no worker takes (`vacant`). After `max_tasks` and memory growth it is replaced at once.

use std::time::Instant;

use super::workers::{Worker, WorkerState};
use super::{Action, Phase, Scheduler};
use crate::id::WorkerId;
use crate::observer::Retirement;

impl Scheduler {
    /// Retires a worker that has a reason to leave and no calls.
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

    /// Retires all workers without calls, at the end of a draining pool.
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

    /// The memory of a worker has grown over the limit. The worker finishes its running call and is replaced.
    pub(crate) fn worker_over_memory_limit(&mut self, now: Instant, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.is_over_memory_limit = true;
        self.idle.retain(|idle| *idle != id);
        self.revoke_waiting(id);
        self.retire_if_done(now, id);
    }

    /// A leaving worker finishes the calls of pools that its tasks have created. A draining pool waits for it without a
    /// deadline. In an open pool the deadline stays, because the replacement waits for the exit.
    pub(crate) fn worker_lingers(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.state == WorkerState::Leaving
        {
            worker.lingers = true;
        }
        self.lift_leave_deadlines();
    }

    /// Removes the deadlines of lingering workers, if the pool is draining.
    pub(super) fn lift_leave_deadlines(&mut self) {
        if self.phase == Phase::Draining {
            let lingering = self.workers.values_mut().filter(|worker| worker.lingers);
            lingering.for_each(|worker| worker.deadline = None);
        }
    }

    /// Returns when the next worker leaves for idleness, unless it gets a call before.
    pub(super) fn next_idle_exit(&self) -> Option<Instant> {
        // Calls that are about to be revoked are for the idle workers.
        if self.next_revoke().is_some() {
            return None;
        }
        let idle = self.idle.iter().filter_map(|id| self.idle_exit(self.workers.get(id)?));
        idle.min()
    }

    /// Returns when this idle worker leaves.
    fn idle_exit(&self, worker: &Worker) -> Option<Instant> {
        let is_open = self.phase == Phase::Open && self.n_prewarms == 0;
        let timeout = self.rules.idle_timeout.filter(|_| is_open)?;
        worker.last_progress.checked_add(timeout)
    }

    /// Retires the workers that have been idle for too long.
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
