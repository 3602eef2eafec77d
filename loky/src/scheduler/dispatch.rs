//! Who gets which call: idle workers first, then ahead of time where calls are short, and back again where one turns out long.
//!
//! A worker that has an answer to give is at work on the next call before anybody has read the answer, if it has one. So
//! where calls are short, each worker is kept stocked with as many as [`RunTime`](super::run_time::RunTime) says, filled up
//! when half of them are gone: then many frames go in one write. What there is is divided evenly; when calls turn out longer
//! than they were, what a worker would not be given any more goes to those that are idle. What lies behind a call that runs for
//! longer than [`limits::REVOKE_AFTER`] is taken back and goes to its place at the front of the queue; its worker gets one call at
//! a time from there on until it has given an answer.
//!
//! The price: calls no longer begin strictly in the order in which they were submitted. One that was given ahead may begin up
//! to `REVOKE_AFTER` later than one that came after it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::workers::{Availability, Worker};
use super::{Action, CallState, Phase, Scheduler, Verdict};
use crate::id::{CallId, WorkerId};
use crate::limits;

impl Scheduler {
    /// Does what has become possible. Follows every event, or a number of them.
    pub(crate) fn advance(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Open | Phase::Draining) {
            while self.queued() > 0
                && let Some(worker) = self.idle.pop()
            {
                self.dispatch(now, worker);
            }
            if self.queued() > 0 {
                self.prefetch(now);
                self.dispatch_to_starting(now);
            } else {
                self.rebalance();
            }
            self.fill_vacant();
            // What lies behind another call, or with one that is not up, may still be wanted elsewhere.
            if self.phase == Phase::Draining
                && self.queued() == 0
                && !self.workers.values().any(Worker::has_waiting_calls)
            {
                self.retire_unused(now);
            }
            self.start_missing(now);
        }
        let is_over = self.workers.is_empty() && self.calls.is_empty();
        if matches!(self.phase, Phase::Draining | Phase::Closed) && is_over {
            self.phase = Phase::Ended;
            self.actions.push_back(Action::End);
        }
        #[cfg(debug_assertions)]
        self.check();
    }

    /// How many calls a worker is to have at present, the one that it runs included.
    pub(crate) fn depth(&self) -> usize {
        self.run_time.depth()
    }

    /// How many calls run within `time`, by how long they have run of late. 0 if that is not known.
    pub(crate) fn calls_within(&self, time: Duration) -> u64 {
        self.run_time.calls_within(time)
    }

    /// Gives calls ahead of time. No worker is idle.
    fn prefetch(&mut self, now: Instant) {
        let depth = self.run_time.depth();
        let is_low = |worker: &Worker| worker.calls.len() <= depth / 2;
        let takers = || {
            self.workers.iter().filter(|(_, worker)| worker.availability() == Availability::Busy)
        };
        if depth == 1 || !takers().any(|(_, worker)| is_low(worker)) {
            return;
        }
        let with_takers: usize = takers().map(|(_, worker)| worker.calls.len()).sum();
        let share = depth.min((self.queued() + with_takers).div_ceil(takers().count()));
        let low = takers().filter(|(_, worker)| is_low(worker));
        let gifts = low
            .map(|(id, worker)| (*id, share.saturating_sub(worker.calls.len()).min(worker.room())));
        for (worker, count) in gifts.collect::<Vec<_>>() {
            for _ in 0..count.min(self.queued()) {
                self.dispatch(now, worker);
            }
        }
    }

    /// Takes back, for idle workers, what others have beyond what they would be given now that calls are known to be longer, and
    /// what lies with those that are not up.
    fn rebalance(&mut self) {
        if self.idle.is_empty() {
            return;
        }
        self.revoke_from_starting();
        let n_busy = self.workers.len() - self.idle.len();
        if self.calls.len() <= n_busy {
            return;
        }
        let depth = self.run_time.depth();
        for (id, worker) in self.workers.iter().filter(|(_, worker)| !worker.killed) {
            let beyond = worker.calls.iter().skip(depth).rev();
            let take_back = beyond.map(|call| Action::Revoke { worker: *id, call: *call });
            self.actions.extend(take_back);
        }
    }

    /// Gives the next queued call to a worker.
    pub(super) fn dispatch(&mut self, now: Instant, id: WorkerId) {
        let call = self.calls.dispatch(id).expect("one is queued");
        let worker = self.workers.get_mut(&id).expect("it takes calls");
        debug_assert!(worker.room() > 0, "a slot for each call");
        if worker.calls.is_empty() {
            worker.last_progress = now;
            worker.is_front_batch = self.calls.is_batch(call);
            // Of those before it the last may have been taken back too, when it was cancelled.
            worker.is_slow = false;
        }
        worker.calls.push_back(call);
        worker.quota = worker.quota.map(|quota| quota - 1);
        self.actions.push_back(Action::Dispatch { worker: id, call });
    }

    /// The worker has delivered an outcome, which the pool hands out: the call is gone from here. Others may follow before
    /// [`advance`](Self::advance).
    pub(crate) fn call_finished(
        &mut self,
        now: Instant,
        id: WorkerId,
        call: CallId,
        ran: Duration,
    ) {
        if self.calls.state_of(call) == Some(CallState::Dispatched(id)) {
            self.calls.remove(call);
        }
        self.run_time.ran(ran);
        self.unused_deaths = 0;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.has_begun_call = true;
        worker.last_progress = now;
        worker.is_slow = false;
        // The one at the front, but for what a task may have done to the page.
        if worker.calls.front() == Some(&call) {
            worker.calls.pop_front();
        } else {
            worker.calls.retain(|given| *given != call);
        }
        worker.update_front(&self.calls);
        if worker.calls.is_empty() {
            self.note_idle(id);
            self.retire_if_done(now, id);
        }
    }

    /// A chunk is no more: its worker runs one of its calls (or has run it, and died), what comes before that is done, and what
    /// comes after it, in chunks of so many calls, is to run elsewhere.
    pub(crate) fn chunk_divided(
        &mut self,
        chunk: CallId,
        running: CallId,
        tail: impl IntoIterator<Item = (CallId, u32), IntoIter: DoubleEndedIterator>,
    ) {
        let Some(CallState::Dispatched(id)) = self.calls.remove(chunk) else { return };
        self.calls.insert_dispatched(running, id);
        if let Some(worker) = self.workers.get_mut(&id) {
            if let Some(given) = worker.calls.iter_mut().find(|given| **given == chunk) {
                *given = running;
            }
            worker.update_front(&self.calls);
        }
        self.chunk_ended_early(tail);
    }

    /// A chunk is over before all of it has begun: what is left of it is to run elsewhere.
    pub(crate) fn chunk_ended_early(
        &mut self,
        tail: impl IntoIterator<Item = (CallId, u32), IntoIter: DoubleEndedIterator>,
    ) {
        for (tail, count) in tail.into_iter().rev() {
            self.calls.insert_part(tail, count);
            // The pool may have come to its end since the chunk was given out.
            let verdict = match (&self.broken, self.phase) {
                (Some(cause), _) => Some(Verdict::Broken(cause.clone())),
                (None, Phase::Closed | Phase::Ended) => Some(Verdict::ShutDown),
                (None, _) => self.cancels_pending.then_some(Verdict::Cancelled),
            };
            if let Some(verdict) = verdict {
                self.resolve(tail, verdict);
            }
        }
    }

    /// The worker has come to a call that was taken back.
    pub(crate) fn call_skipped(&mut self, now: Instant, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.revoked = worker.revoked.saturating_sub(1);
            worker.last_progress = now;
        }
        self.note_idle(id);
    }

    /// Notes a worker that has become able to take a call at once.
    pub(super) fn note_idle(&mut self, id: WorkerId) {
        let is_idle =
            self.workers.get(&id).is_some_and(|worker| worker.availability() == Availability::Idle);
        if is_idle && !self.idle.contains(&id) {
            self.idle.push(id);
        }
    }

    /// The worker's channel takes no more for now: nothing more is given to it.
    pub(crate) fn worker_congested(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.is_congested = true;
            self.idle.retain(|idle| *idle != id);
        }
    }

    /// The worker's channel has taken everything.
    pub(crate) fn worker_writable(&mut self, now: Instant, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.is_congested = false;
            self.note_idle(id);
            self.advance(now);
        }
    }

    /// When calls are next taken back, if nothing happens.
    pub(super) fn next_revoke(&self) -> Option<Instant> {
        self.workers.values().filter_map(Worker::revoke_at).min()
    }

    /// Takes back what lies behind calls that run for long.
    pub(super) fn revoke_behind_slow_calls(&mut self, now: Instant) {
        // Who was started last has the later calls: they come back first.
        for (id, worker) in self.workers.iter_mut().rev() {
            if worker.revoke_at().is_some_and(|at| at <= now) {
                worker.is_slow = true;
                if !worker.is_starting() {
                    self.run_time.ran(limits::REVOKE_AFTER); // Or more: it is not known yet.
                }
                revoke_waiting_calls(&mut self.actions, *id, worker);
            }
        }
    }

    /// Takes back all that has not begun.
    pub(super) fn revoke_all(&mut self) {
        for (id, worker) in &self.workers {
            let given = worker.calls.iter().rev();
            self.actions.extend(given.map(|call| Action::Revoke { worker: *id, call: *call }));
            divide_front(&mut self.actions, *id, worker);
        }
    }

    /// Takes back all that a worker has but the call that it runs.
    pub(super) fn revoke_waiting(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get(&id) {
            revoke_waiting_calls(&mut self.actions, id, worker);
        }
    }
}

/// The last first: so each finds its place in the queue right before the one that came back before it.
fn revoke_waiting_calls(actions: &mut VecDeque<Action>, worker: WorkerId, of: &Worker) {
    let waiting = of.calls.iter().rev().take(of.n_waiting());
    actions.extend(waiting.map(|call| Action::Revoke { worker, call: *call }));
    divide_front(actions, worker, of);
}

/// Takes back what it has not begun of the chunk that it is in, if it is in one.
fn divide_front(actions: &mut VecDeque<Action>, worker: WorkerId, of: &Worker) {
    if of.is_front_batch {
        actions.extend(of.calls.front().map(|call| Action::Divide { worker, call: *call }));
    }
}
