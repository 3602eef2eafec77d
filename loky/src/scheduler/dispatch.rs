//! Dispatch: which worker gets which call, and which calls come back.
//!
//! 1. An idle worker gets the front of the queue.
//! 2. If no worker is idle and calls are short, busy workers get calls ahead of time (*prefetch*). A worker then begins its
//!    next call before the pool has read the previous answer. Each worker gets up to [`depth`](Scheduler::depth) calls, in equal
//!    shares. It is filled up once half of them are done, so that many frames go in one write.
//! 3. A starting worker may get one call before it is ready ([`first_call`](super::first_call)).
//! 4. If calls turn out longer, the depth falls. While the queue is empty and workers are idle, calls beyond the depth are
//!    revoked (*rebalance*).
//! 5. If a call runs for longer than [`limits::REVOKE_AFTER`], the calls behind it are revoked and return to the front of the
//!    queue. Its worker is *slow*: it gets one call at a time until it answers.
//!
//! The price: calls do not begin strictly in the order of submission. A prefetched call may begin up to `REVOKE_AFTER` later
//! than a call that was submitted after it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::workers::{Availability, Worker};
use super::{Action, CallState, Phase, Scheduler, Verdict};
use crate::id::{CallId, WorkerId};
use crate::limits;

impl Scheduler {
    /// Decides what the events since the last call have made possible. Follows every event, or several.
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
            // A call that waits at a worker may still be revoked for an idle one.
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

    /// Returns the number of calls that a worker gets at present, including the one that it runs.
    pub(crate) fn depth(&self) -> usize {
        self.run_time.depth()
    }

    /// Returns how many calls run within `time`, by the run time of recent calls; 0 if that is unknown.
    pub(crate) fn calls_within(&self, time: Duration) -> u64 {
        self.run_time.calls_within(time)
    }

    /// Dispatches calls to busy workers ahead of time. No worker is idle.
    fn prefetch(&mut self, now: Instant) {
        let depth = self.run_time.depth();
        let is_low = |worker: &Worker| worker.calls.len() <= depth / 2;
        let busy_workers = || {
            self.workers.iter().filter(|(_, worker)| worker.availability() == Availability::Busy)
        };
        if depth == 1 || !busy_workers().any(|(_, worker)| is_low(worker)) {
            return;
        }
        let n_dispatched: usize = busy_workers().map(|(_, worker)| worker.calls.len()).sum();
        let share = depth.min((self.queued() + n_dispatched).div_ceil(busy_workers().count()));
        let low = busy_workers().filter(|(_, worker)| is_low(worker));
        let shares = low
            .map(|(id, worker)| (*id, share.saturating_sub(worker.calls.len()).min(worker.room())));
        for (worker, count) in shares.collect::<Vec<_>>() {
            for _ in 0..count.min(self.queued()) {
                self.dispatch(now, worker);
            }
        }
    }

    /// Revokes calls for idle workers: first calls of starting workers, and calls beyond the present depth.
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
            let revokes = beyond.map(|call| Action::Revoke { worker: *id, call: *call });
            self.actions.extend(revokes);
        }
    }

    /// Dispatches the front of the queue to a worker.
    pub(super) fn dispatch(&mut self, now: Instant, id: WorkerId) {
        let call = self.calls.dispatch(id).expect("the queue is not empty");
        let worker = self.workers.get_mut(&id).expect("the worker lives");
        debug_assert!(worker.room() > 0, "a slot for each call");
        if worker.calls.is_empty() {
            worker.last_progress = now;
            worker.is_front_batch = self.calls.is_batch(call);
            // A cancelled call may have left the worker marked as slow.
            worker.is_slow = false;
        }
        worker.calls.push_back(call);
        worker.quota = worker.quota.map(|quota| quota - 1);
        self.actions.push_back(Action::Dispatch { worker: id, call });
    }

    /// The worker delivered the outcome of a call after it ran for `ran`. The call is gone. Other events may follow before
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
        worker.has_answered = true;
        worker.last_progress = now;
        worker.is_slow = false;
        // Always the front, unless a task has overwritten the page.
        if worker.calls.front() == Some(&call) {
            worker.calls.pop_front();
        } else {
            worker.calls.retain(|other| *other != call);
        }
        worker.update_front(&self.calls);
        if worker.calls.is_empty() {
            self.note_idle(id);
            self.retire_if_done(now, id);
        }
    }

    /// The pool divided a batch. `kept` of its calls stay in it, where it is. The `tail` behind them is queued, in parts of the given
    /// numbers of calls. Calls that are in neither have ended.
    pub(crate) fn batch_divided(
        &mut self,
        batch: CallId,
        kept: u32,
        tail: impl IntoIterator<Item = (CallId, u32), IntoIter: DoubleEndedIterator>,
    ) {
        match self.calls.shrink(batch, kept) {
            None => {}
            Some(CallState::Queued) => {
                let mut before = batch;
                for (part, count) in tail {
                    self.calls.insert_behind(before, part, count);
                    before = part;
                }
            }
            Some(CallState::Dispatched(id)) => {
                if let Some(worker) = self.workers.get_mut(&id) {
                    worker.update_front(&self.calls);
                }
                self.batch_ended_early(tail);
            }
        }
    }

    /// A batch ended before all of its calls began. The `tail` that is left is queued again.
    pub(crate) fn batch_ended_early(
        &mut self,
        tail: impl IntoIterator<Item = (CallId, u32), IntoIter: DoubleEndedIterator>,
    ) {
        for (tail, count) in tail.into_iter().rev() {
            self.calls.insert_part(tail, count);
            // The pool may have been shut down or broken since the batch was dispatched.
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

    /// The worker skipped a revoked call, which frees its slot.
    pub(crate) fn call_skipped(&mut self, now: Instant, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.revoked = worker.revoked.saturating_sub(1);
            worker.last_progress = now;
        }
        self.note_idle(id);
    }

    /// Lists a worker as idle if it can begin a call at once.
    pub(super) fn note_idle(&mut self, id: WorkerId) {
        let is_idle =
            self.workers.get(&id).is_some_and(|worker| worker.availability() == Availability::Idle);
        if is_idle && !self.idle.contains(&id) {
            self.idle.push(id);
        }
    }

    /// The worker's channel is full. The worker gets no more calls.
    pub(crate) fn worker_congested(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.is_congested = true;
            self.idle.retain(|idle| *idle != id);
        }
    }

    /// The worker's channel has accepted all bytes. The worker gets calls again.
    pub(crate) fn worker_writable(&mut self, now: Instant, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.is_congested = false;
            self.note_idle(id);
            self.advance(now);
        }
    }

    /// Returns when calls are next revoked, unless their workers make progress before.
    pub(super) fn next_revoke(&self) -> Option<Instant> {
        self.workers.values().filter_map(Worker::revoke_at).min()
    }

    /// Revokes the calls behind slow ones, and the calls of workers that are slow to start.
    pub(super) fn revoke_behind_slow_calls(&mut self, now: Instant) {
        // In reverse order, because later workers have later calls. Then each call finds its position in the queue at once.
        for (id, worker) in self.workers.iter_mut().rev() {
            if worker.revoke_at().is_some_and(|at| at <= now) {
                worker.is_slow = true;
                if !worker.is_starting() {
                    self.run_time.ran(limits::REVOKE_AFTER); // A lower bound of what it will take.
                }
                revoke_waiting_calls(&mut self.actions, *id, worker);
            }
        }
    }

    /// Revokes all calls that have not begun.
    pub(super) fn revoke_all(&mut self) {
        for (id, worker) in &self.workers {
            let calls = worker.calls.iter().rev();
            self.actions.extend(calls.map(|call| Action::Revoke { worker: *id, call: *call }));
            divide_running_batch(&mut self.actions, *id, worker);
        }
    }

    /// Revokes all calls of a worker but the running one.
    pub(super) fn revoke_waiting(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get(&id) {
            revoke_waiting_calls(&mut self.actions, id, worker);
        }
    }
}

/// Revokes the waiting calls of a worker, the last one first, so that each finds its position in the queue at once.
fn revoke_waiting_calls(actions: &mut VecDeque<Action>, id: WorkerId, worker: &Worker) {
    let waiting = worker.calls.iter().rev().take(worker.n_waiting());
    actions.extend(waiting.map(|call| Action::Revoke { worker: id, call: *call }));
    divide_running_batch(actions, id, worker);
}

/// Has the running batch of a worker divided, if it runs one.
fn divide_running_batch(actions: &mut VecDeque<Action>, id: WorkerId, worker: &Worker) {
    if worker.is_front_batch {
        actions.extend(worker.calls.front().map(|call| Action::Divide { worker: id, call: *call }));
    }
}
