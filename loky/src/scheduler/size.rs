//! The number of workers: starts of missing ones, and the choice of surplus ones after a `resize`.
//!
//! The pool wants `max_workers - vacant` workers. `vacant` grows when workers leave for idleness, and shrinks when calls wait that
//! no worker takes. The invariants of the scheduler are checked at the end of this file.

use std::collections::BTreeSet;
use std::time::Instant;

use super::workers::{Worker, WorkerState};
use super::{Action, Phase, Scheduler};
use crate::id::WorkerId;

impl Scheduler {
    /// Returns the maximum number of workers.
    pub(crate) fn max_workers(&self) -> usize {
        self.max_workers
    }

    /// Returns the number of workers that are ready and stay.
    pub(crate) fn ready_workers(&self) -> usize {
        let is_ready = |worker: &&Worker| {
            let is_up = worker.state == WorkerState::Ready && worker.deadline.is_none();
            is_up && worker.retire_reason().is_none() && !worker.killed
        };
        self.workers.values().filter(is_ready).count()
    }

    /// Returns the number of workers that are not ready yet.
    pub(crate) fn starting_workers(&self) -> usize {
        let is_starting = |worker: &&Worker| {
            matches!(worker.state, WorkerState::Starting | WorkerState::Initializing)
        };
        self.workers.values().filter(is_starting).count()
    }

    /// Returns the number of idle workers.
    pub(crate) fn idle_workers(&self) -> usize {
        self.idle.len()
    }

    /// Changes the maximum number of workers. Missing workers start at once, if workers are wanted. Surplus workers leave: idle
    /// ones at once, the others after their running call.
    pub(crate) fn resize(&mut self, now: Instant, max_workers: usize) {
        let wanted = self.max_workers - self.vacant;
        let grows = max_workers > self.max_workers;
        self.vacant = if grows { 0 } else { max_workers.saturating_sub(wanted) };
        self.max_workers = max_workers;
        self.live_limit = max_workers.max(self.workers.len());
        for worker in self.workers.values_mut() {
            worker.is_surplus = false;
        }
        let staying = self.workers.iter().filter(|(_, worker)| worker.is_staying());
        // The cheapest to remove first; of equal ones the one with the highest index.
        let mut staying: Vec<_> = staying
            .map(|(id, worker)| (worker.removal_cost(), std::cmp::Reverse(worker.index), *id))
            .collect();
        staying.sort_unstable();
        let surplus = staying.len().saturating_sub(max_workers);
        for (_, _, id) in &staying[..surplus] {
            if let Some(worker) = self.workers.get_mut(id) {
                worker.is_surplus = true;
            }
            self.idle.retain(|idle| idle != id);
            self.revoke_waiting(*id);
            self.retire_if_done(now, *id);
        }
        // Some of these were surplus before.
        for (_, _, id) in &staying[surplus..] {
            self.note_idle(*id);
        }
        self.advance(now);
    }

    /// Returns the number of workers to start now.
    pub(super) fn missing(&self) -> usize {
        let room = self.max_workers.saturating_sub(self.workers.len());
        let is_wanted = match self.phase {
            Phase::Open => self.wants_workers,
            Phase::Draining => self.queued() > 0,
            Phase::Closed | Phase::Ended => false,
        };
        if room == 0 || !is_wanted {
            return 0;
        }
        let staying = self.workers.values().filter(|worker| worker.is_staying()).count();
        (self.max_workers - self.vacant).saturating_sub(staying).min(room)
    }

    /// Lowers `vacant` as far as queued calls need workers.
    pub(super) fn fill_vacant(&mut self) {
        if self.vacant == 0 || self.queued() == 0 {
            return;
        }
        // A worker that is not ready counts if it has its first call.
        let has_work =
            |worker: &Worker| worker.state == WorkerState::Ready || worker.n_waiting() > 0;
        let is_at_work = |worker: &&Worker| worker.is_staying() && has_work(worker);
        let at_work = self.workers.values().filter(is_at_work).count();
        let needed = self.max_workers.min(at_work + self.queued());
        self.vacant = self.vacant.min(self.max_workers - needed);
    }

    /// Starts the missing workers, unless a recent failure delays that.
    pub(super) fn start_missing(&mut self, now: Instant) {
        let missing = self.missing();
        if missing == 0 || self.no_start_before.is_some_and(|at| now < at) {
            return;
        }
        self.no_start_before = None;
        let taken: BTreeSet<_> = self.workers.values().map(|worker| worker.index).collect();
        let free = (0..self.max_workers).filter(|index| !taken.contains(index));
        for index in free.take(missing) {
            self.last_worker += 1;
            let id = WorkerId(self.last_worker);
            self.workers.insert(id, Worker::starting(now, index, self.rules.max_tasks));
            self.actions.push_back(Action::Start { worker: id, index });
        }
    }

    /// Lowers the limit of live workers after an exit, if it was above `max_workers`.
    pub(super) fn update_live_limit(&mut self) {
        self.live_limit = self.max_workers.max(self.workers.len());
    }

    /// Asserts the invariants that concern workers, of which there are few.
    #[cfg(debug_assertions)]
    pub(super) fn check(&self) {
        use super::workers::Availability;
        use crate::limits;
        assert!(self.workers.len() <= self.live_limit, "more workers than allowed");
        assert!(self.vacant <= self.max_workers, "`vacant` exceeds `max_workers`");
        for worker in self.workers.values() {
            assert!(worker.calls.len() + worker.revoked <= limits::SLOTS, "a slot for each call");
        }
        for id in &self.idle {
            assert_eq!(
                self.workers[id].availability(),
                Availability::Idle,
                "idle workers are idle"
            );
        }
        let is_shut = matches!(self.phase, Phase::Closed | Phase::Ended);
        assert!(!is_shut || self.calls.is_empty(), "a closed pool has no calls");
    }

    /// Asserts the invariants that concern calls, of which there are too many for anything but a simulation.
    #[cfg(test)]
    pub(super) fn check_calls(&mut self) {
        use super::CallState;
        use super::workers::Availability;
        for (call, place) in self.calls.check() {
            if let CallState::Dispatched(worker) = place {
                let worker =
                    self.workers.get(&worker).expect("a dispatched call has a live worker");
                assert!(worker.calls.contains(&call), "the worker lists its calls");
            }
        }
        for (id, worker) in &self.workers {
            let is_overdue =
                worker.retire_reason().is_some() && worker.calls.is_empty() && !worker.killed;
            assert!(
                !is_overdue || worker.state == WorkerState::Leaving,
                "it should be leaving: {worker:?}"
            );
            let is_idle = worker.availability() == Availability::Idle;
            let is_open = matches!(self.phase, Phase::Open | Phase::Draining);
            assert!(
                !is_open || is_idle == self.idle.contains(id),
                "idle workers are listed: {worker:?}"
            );
        }
    }
}
