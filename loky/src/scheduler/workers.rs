//! The life of a worker, as the scheduler sees it: starting, replacing, giving up, leaving.

use std::collections::VecDeque;
use std::time::Instant;

use super::calls::Calls;
use super::{Action, Phase, Scheduler, Verdict};
use crate::config::CrashPolicy;
use crate::error::{Error, ErrorKind, WorkerExit};
use crate::id::{CallId, WorkerId};
use crate::limits;
use crate::observer::Retirement;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerState {
    Starting,
    /// It runs the initializer.
    Initializing,
    Ready,
    Leaving,
}

/// Whether a worker can be given calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// At once.
    Idle,
    /// Ahead of time: it is at work.
    Busy,
    /// Not now, or never again.
    Unavailable,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) state: WorkerState,
    /// The calls that it was given, in order.
    pub(super) calls: VecDeque<CallId>,
    /// Whether the first of them may be a chunk.
    pub(super) is_front_batch: bool,
    /// How many calls were taken back from it that it has not skipped yet.
    pub(super) revoked: usize,
    /// When it last answered, or was given a call when it had none.
    pub(super) last_progress: Instant,
    /// Whether calls were taken back from behind the one that it runs.
    pub(super) is_slow: bool,
    /// Whether its channel takes no more.
    pub(super) is_congested: bool,
    /// Whether there are too many workers, and it is to leave when it has nothing to do.
    pub(super) is_surplus: bool,
    /// Whether its memory has grown too much.
    pub(super) is_over_memory_limit: bool,
    /// How many more calls it may be given, if there is a limit.
    pub(super) quota: Option<usize>,
    pub(super) began_initializer: bool,
    /// Whether it leaves, and takes its time for what its tasks have left behind.
    pub(super) lingers: bool,
    /// Whether it was given a call that it began.
    pub(super) has_begun_call: bool,
    pub(super) killed: bool,
    /// When it is killed if nothing happens, and what is said of it then.
    pub(super) deadline: Option<(Instant, &'static str)>,
    /// Why it was killed, if it was for something that it did.
    remark: Option<String>,
}

impl Worker {
    pub(super) fn starting(now: Instant, index: usize, max_tasks: Option<usize>) -> Self {
        let remark = "it said nothing within its time to start";
        Self {
            index,
            state: WorkerState::Starting,
            calls: VecDeque::new(),
            is_front_batch: false,
            revoked: 0,
            last_progress: now,
            is_slow: false,
            is_congested: false,
            is_surplus: false,
            is_over_memory_limit: false,
            quota: max_tasks,
            began_initializer: false,
            lingers: false,
            has_begun_call: false,
            killed: false,
            deadline: Some((now + limits::HANDSHAKE, remark)),
            remark: None,
        }
    }

    pub(super) fn availability(&self) -> Availability {
        // One that closed its channel has a deadline.
        let is_here = self.state == WorkerState::Ready && !self.killed && self.deadline.is_none();
        if !is_here || self.retire_reason().is_some() || self.is_congested || self.room() == 0 {
            Availability::Unavailable
        } else if self.calls.is_empty() {
            Availability::Idle
        } else if self.is_slow {
            Availability::Unavailable
        } else {
            Availability::Busy
        }
    }

    /// Another of its calls may have become the first.
    pub(super) fn update_front(&mut self, calls: &Calls) {
        self.is_front_batch = self.calls.front().is_some_and(|call| calls.is_batch(*call));
    }

    /// How many more calls it can be given.
    pub(super) fn room(&self) -> usize {
        let slots = limits::SLOTS.saturating_sub(self.calls.len() + self.revoked);
        self.quota.map_or(slots, |quota| slots.min(quota))
    }

    /// Why it is to leave when it has done what it has; `None` if it is not.
    pub(super) fn retire_reason(&self) -> Option<Retirement> {
        if self.is_surplus {
            Some(Retirement::Resized)
        } else if self.is_over_memory_limit {
            Some(Retirement::MemoryGrowth)
        } else {
            (self.quota == Some(0)).then_some(Retirement::MaxTasks)
        }
    }

    /// Whether it was started, and is on its way to be ready.
    pub(super) fn is_starting(&self) -> bool {
        self.state == WorkerState::Starting && !self.killed
    }

    /// How many of its calls wait: all but the one that it runs. (One that is not up runs none, as far as is known.)
    pub(super) fn n_waiting(&self) -> usize {
        let n_running = usize::from(self.state != WorkerState::Starting);
        self.calls.len().saturating_sub(n_running)
    }

    /// Whether any does, or what it runs may be a chunk.
    pub(super) fn has_waiting_calls(&self) -> bool {
        self.n_waiting() > 0 || self.is_front_batch
    }

    /// When calls that wait with it are taken back, if any do and nothing happens.
    pub(super) fn revoke_at(&self) -> Option<Instant> {
        let is_to_be = self.has_waiting_calls() && !self.is_slow && !self.killed;
        let patience =
            if self.is_starting() { limits::REVOKE_STARTING_AFTER } else { limits::REVOKE_AFTER };
        is_to_be.then(|| self.last_progress + patience)
    }

    /// Whether it is not on its way out.
    pub(super) fn is_staying(&self) -> bool {
        self.state != WorkerState::Leaving && !self.killed
    }

    /// How much is lost if it is sent away: nothing, a start, or the wait for its call.
    pub(super) fn removal_cost(&self) -> usize {
        match self.state {
            WorkerState::Ready if self.calls.is_empty() || self.retire_reason().is_some() => 0,
            WorkerState::Starting | WorkerState::Initializing => 1,
            WorkerState::Ready | WorkerState::Leaving => 1 + self.calls.len(),
        }
    }

    pub(super) fn start_leaving(&mut self, now: Instant) {
        self.state = WorkerState::Leaving;
        self.deadline = Some((now + limits::LEAVE, "it did not leave when asked"));
    }
}

impl Scheduler {
    /// The next moment at which [`timer`](Self::timer) has something to do.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let deadlines = self.workers.values().filter(|worker| !worker.killed);
        let deadlines = deadlines.filter_map(|worker| worker.deadline.map(|(at, _)| at));
        let start = self.no_start_before.filter(|_| self.missing() > 0);
        deadlines.chain(start).chain(self.next_revoke()).chain(self.next_idle_exit()).min()
    }

    /// Time has passed.
    pub(crate) fn timer(&mut self, now: Instant) {
        let late: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| !worker.killed)
            .filter_map(|(id, worker)| {
                worker.deadline.filter(|(at, _)| *at <= now).map(|(_, remark)| (*id, remark))
            })
            .collect();
        for (id, remark) in late {
            let worker = &self.workers[&id];
            if worker.state == WorkerState::Starting && !self.had_handshake {
                let message = format!(
                    "the worker that was started did not shake hands: {remark}; {ENTRY_HINT}"
                );
                self.break_pool(Error::new(ErrorKind::Handshake, message));
            }
            if let Some(cause) = self.late_initializer(id) {
                self.break_pool(cause);
            }
            self.kill_for(id, remark.to_owned());
        }
        self.retire_idle(now);
        self.revoke_behind_slow_calls(now);
        self.advance(now);
    }

    /// A worker can be given calls: it has shaken hands, and run the initializer, if there is one. False if it comes too late:
    /// it was told to leave.
    pub(crate) fn worker_ready(&mut self, now: Instant, id: WorkerId) -> bool {
        let Some(worker) = self.workers.get_mut(&id) else { return false };
        self.had_handshake = true;
        self.start_deaths = 0;
        let is_starting = matches!(worker.state, WorkerState::Starting | WorkerState::Initializing);
        let is_awaited = is_starting && !worker.killed;
        if is_awaited {
            worker.state = WorkerState::Ready;
            worker.deadline = None;
            worker.last_progress = now;
            worker.is_slow = false;
            self.starting.retain(|starting| *starting != id);
            self.note_idle(id);
            self.retire_if_done(now, id);
            self.advance(now);
        }
        is_awaited
    }

    /// A worker could not be started. `shortage`: the system was out of something, and may not be for ever.
    pub(crate) fn start_failed(
        &mut self,
        now: Instant,
        id: WorkerId,
        cause: Error,
        shortage: bool,
    ) {
        self.workers.remove(&id);
        self.update_live_limit();
        self.no_start_before = Some(now + limits::RESPAWN_PACE);
        if self.workers.is_empty() {
            if shortage {
                self.resolve_queued(&Verdict::NotSpawned(cause));
                self.wants_workers = false; // The next call tries again.
                self.no_start_before = None;
            } else {
                self.break_pool(cause);
            }
        }
        self.advance(now);
    }

    /// Something came to light after which the pool is of no use.
    pub(crate) fn break_for(&mut self, now: Instant, cause: Error) {
        self.break_pool(cause);
        self.advance(now);
    }

    /// What was started is no worker of this program. If others are, it is alone in that.
    pub(crate) fn handshake_failed(&mut self, now: Instant, id: WorkerId, cause: Error) {
        let is_one = |worker: &Worker| {
            matches!(worker.state, WorkerState::Initializing | WorkerState::Ready) && !worker.killed
        };
        if !self.workers.values().any(is_one) {
            return self.break_for(now, cause);
        }
        self.kill_for(id, cause.to_string());
        self.no_start_before = Some(now + limits::RESPAWN_PACE);
        self.advance(now);
    }

    /// The worker sent what is no message, or not the one that was due: nothing it says counts any more, and neither does
    /// its silence.
    pub(crate) fn worker_misbehaved(&mut self, now: Instant, id: WorkerId, what: &str) {
        self.kill_for(id, format!("it broke the protocol: {what}"));
        self.advance(now);
    }

    /// The worker's channel is at its end: most likely the worker is too.
    pub(crate) fn channel_closed(&mut self, now: Instant, id: WorkerId) {
        self.stop_dispatching_to(id);
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.state != WorkerState::Leaving
        {
            worker.deadline = Some((now + limits::CLOSED, "it closed its channel"));
        }
        self.advance(now);
    }

    /// The worker, which is gone, stopped in the middle of a message.
    pub(crate) fn worker_cut_off(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.remark.get_or_insert_with(|| "it died in the middle of a message".to_owned());
        }
    }

    /// The worker is gone, and everything that it had written was read. `begun`: which of its calls count as begun. True if it
    /// was told to go.
    pub(crate) fn worker_exited(
        &mut self,
        now: Instant,
        id: WorkerId,
        mut exit: WorkerExit,
        begun: &[CallId],
    ) -> bool {
        let Some(worker) = self.workers.remove(&id) else { return true };
        let was_killed_for_nothing = worker.killed && worker.remark.is_none();
        let is_expected = worker.state == WorkerState::Leaving || was_killed_for_nothing;
        self.update_live_limit();
        self.stop_dispatching_to(id);
        exit.remark = worker.remark.clone();
        if matches!(self.phase, Phase::Open | Phase::Draining) {
            self.settle_calls(&worker, &exit, begun);
            if worker.state != WorkerState::Leaving {
                self.worker_died(now, &worker, exit, !begun.is_empty());
            }
        }
        self.advance(now);
        is_expected
    }

    /// What becomes of the calls of a worker that is gone: those that it had begun fail, the others are queued again.
    fn settle_calls(&mut self, worker: &Worker, exit: &WorkerExit, begun: &[CallId]) {
        // The start of one that was not up has nothing to do with what lay there.
        let was_idle = begun.is_empty() && worker.state == WorkerState::Ready;
        for call in &worker.calls {
            if begun.contains(call) {
                self.resolve(
                    *call,
                    Verdict::Terminated { exit: Box::new(exit.clone()), began: true },
                );
            }
        }
        for call in worker.calls.iter().rev() {
            if was_idle && worker.calls.front() == Some(call) {
                // Nothing else of it can have killed the worker.
                let n_deaths = self.calls.count_death_at_front(*call);
                if n_deaths.is_some_and(|n_deaths| n_deaths >= limits::MAX_DEATHS_AT_FRONT) {
                    let verdict =
                        Verdict::Terminated { exit: Box::new(exit.clone()), began: false };
                    self.resolve(*call, verdict);
                }
            }
            self.calls.requeue(*call);
        }
        if self.cancels_pending {
            self.resolve_queued(&Verdict::Cancelled);
        }
    }

    fn worker_died(&mut self, now: Instant, worker: &Worker, exit: WorkerExit, has_begun: bool) {
        if has_begun {
            self.unused_deaths = 0;
        }
        if worker.state == WorkerState::Starting && exit.code == Some(0) && !has_begun {
            let last_line = exit.last_line();
            let message = format!("worker exited before the handshake{last_line}; {ENTRY_HINT}");
            return self
                .break_pool(Error::new(ErrorKind::Handshake, message).with_worker_exit(exit));
        }
        if worker.began_initializer && worker.state == WorkerState::Initializing {
            return self.break_pool(self.death_in_initializer(exit));
        }
        if self.rules.policy == CrashPolicy::BreakPool {
            let message = format!("a worker process died: {}", describe(&exit));
            return self.break_pool(
                Error::new(ErrorKind::BrokenProcessPool, message).with_worker_exit(exit),
            );
        }
        let was_up = worker.state == WorkerState::Ready || has_begun;
        if !was_up {
            self.start_deaths += 1;
            if self.start_deaths >= limits::MAX_UNUSED_DEATHS {
                let message = format!(
                    "{} workers died one after another before they could run anything, the last by {}; {ENTRY_HINT}",
                    self.start_deaths,
                    describe(&exit)
                );
                let cause = Error::new(ErrorKind::BrokenProcessPool, message);
                self.break_pool(cause.with_worker_exit(exit));
            }
        } else if !worker.has_begun_call && !has_begun {
            self.unused_deaths += 1;
            if self.unused_deaths >= limits::MAX_UNUSED_DEATHS {
                self.no_start_before = Some(now + limits::RESPAWN_PACE);
            }
        }
    }

    /// Why a worker was killed, if it was for something that it did; or what else is known of its end.
    pub(crate) fn remark(&self, id: WorkerId) -> Option<&str> {
        self.workers.get(&id)?.remark.as_deref()
    }

    /// Kills a worker for what it did.
    fn kill_for(&mut self, id: WorkerId, remark: String) {
        self.stop_dispatching_to(id);
        if let Some(worker) = self.workers.get_mut(&id)
            && !worker.killed
        {
            worker.killed = true;
            worker.remark = Some(remark);
            self.actions.push_back(Action::Kill { worker: id });
        }
    }

    /// Nothing more is given to the worker.
    fn stop_dispatching_to(&mut self, id: WorkerId) {
        self.idle.retain(|idle| *idle != id);
        self.starting.retain(|starting| *starting != id);
    }

    pub(super) fn kill_all(&mut self) {
        self.idle.clear();
        self.starting.clear();
        for (id, worker) in &mut self.workers {
            if !worker.killed {
                worker.killed = true;
                self.actions.push_back(Action::Kill { worker: *id });
            }
        }
    }
}

/// What a program lacks whose copy does not become a worker.
pub(crate) const ENTRY_HINT: &str = "does its `main` begin with `loky::main!` or `loky::init()`, or its test crate with `loky::enable_test_support!()`?";

/// The end of a worker in words.
pub(crate) fn describe(exit: &WorkerExit) -> String {
    exit.describe()
}
