//! The life of a worker: the events of its process, its deadlines, and the fate of its calls when it dies.
//!
//! The states and transitions are in the table of the [module](super). Starting and Leaving have a deadline, at which the worker
//! is killed. Initializing has one if `init_timeout` is set, and any worker gets one when it closes its channel. Deaths
//! before a worker has begun any call have two limits: deaths before Ready break the pool, deaths of unused ready workers delay
//! their replacement.

use std::collections::VecDeque;
use std::time::Instant;

use super::calls::Calls;
use super::{Action, Phase, Scheduler, Verdict};
use crate::config::CrashPolicy;
use crate::error::{Error, ErrorKind, WorkerExit};
use crate::id::{CallId, WorkerId};
use crate::limits;
use crate::observer::Retirement;

/// The state of a worker. Whether it was killed is noted beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerState {
    /// The process was asked for and has not completed the handshake.
    Starting,
    /// The worker has completed the handshake and runs the initializer.
    Initializing,
    /// The worker runs calls.
    Ready,
    /// The worker was told to exit.
    Leaving,
}

/// Whether a worker can get calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// The worker begins a call at once.
    Idle,
    /// The worker runs a call and can get others ahead of time.
    Busy,
    /// The worker gets no call now, or never again.
    Unavailable,
}

/// A worker from its start to its exit.
#[derive(Debug)]
pub(super) struct Worker {
    /// A number below `max_workers` at the time of the start. No two live workers have one in common.
    pub(super) index: usize,
    pub(super) state: WorkerState,
    /// The dispatched calls, in the order of their dispatch.
    pub(super) calls: VecDeque<CallId>,
    /// Whether the first of `calls` is a batch.
    pub(super) is_front_batch: bool,
    /// The number of revoked calls that the worker has not skipped yet. Each still takes a slot.
    pub(super) revoked: usize,
    /// When the worker last answered or skipped a call, or got a call while it had none.
    pub(super) last_progress: Instant,
    /// Whether the calls behind the running one were revoked because that one is slow.
    pub(super) is_slow: bool,
    /// Whether the channel accepts no more bytes for now.
    pub(super) is_congested: bool,
    /// Whether a `resize` made this worker surplus: it leaves once it has no calls.
    pub(super) is_surplus: bool,
    /// Whether its memory has grown over the limit: it leaves once it has no calls.
    pub(super) is_over_memory_limit: bool,
    /// How many more calls the worker may get, if `max_tasks` limits them.
    pub(super) quota: Option<usize>,
    pub(super) began_initializer: bool,
    /// Whether the worker is Leaving and finishes the calls of pools that its tasks have created.
    pub(super) lingers: bool,
    /// Whether the worker has answered any call.
    pub(super) has_answered: bool,
    pub(super) killed: bool,
    /// When the worker is killed, and the remark for that case.
    pub(super) deadline: Option<(Instant, &'static str)>,
    /// What the worker did wrong. It becomes part of the error of its running call.
    remark: Option<String>,
}

impl Worker {
    pub(super) fn starting(now: Instant, index: usize, max_tasks: Option<usize>) -> Self {
        let remark = NO_HANDSHAKE;
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
            has_answered: false,
            killed: false,
            deadline: Some((now + limits::HANDSHAKE, remark)),
            remark: None,
        }
    }

    pub(super) fn availability(&self) -> Availability {
        // A ready worker that has closed its channel has a deadline.
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

    /// Updates what is known of the first call, which may have changed.
    pub(super) fn update_front(&mut self, calls: &Calls) {
        self.is_front_batch = self.calls.front().is_some_and(|call| calls.is_batch(*call));
    }

    /// Returns how many more calls the worker can get.
    pub(super) fn room(&self) -> usize {
        let slots = limits::SLOTS.saturating_sub(self.calls.len() + self.revoked);
        self.quota.map_or(slots, |quota| slots.min(quota))
    }

    /// Returns why the worker leaves once it has no calls; `None` if it stays.
    pub(super) fn retire_reason(&self) -> Option<Retirement> {
        if self.is_surplus {
            Some(Retirement::Resized)
        } else if self.is_over_memory_limit {
            Some(Retirement::MemoryGrowth)
        } else {
            (self.quota == Some(0)).then_some(Retirement::MaxTasks)
        }
    }

    /// Whether the worker is before the handshake and may still become ready.
    pub(super) fn is_starting(&self) -> bool {
        self.state == WorkerState::Starting && !self.killed
    }

    /// Returns how many of its calls wait: all but the running one. A starting worker counts as running none.
    pub(super) fn n_waiting(&self) -> usize {
        let n_running = usize::from(self.state != WorkerState::Starting);
        self.calls.len().saturating_sub(n_running)
    }

    /// Whether any call waits here, behind the running one or in the running batch.
    pub(super) fn has_waiting_calls(&self) -> bool {
        self.n_waiting() > 0 || self.is_front_batch
    }

    /// Returns when the waiting calls are revoked unless the worker makes progress before; `None` if none waits.
    pub(super) fn revoke_at(&self) -> Option<Instant> {
        let is_due = self.has_waiting_calls() && !self.is_slow && !self.killed;
        let delay =
            if self.is_starting() { limits::REVOKE_STARTING_AFTER } else { limits::REVOKE_AFTER };
        is_due.then(|| self.last_progress + delay)
    }

    /// Whether the worker is neither leaving nor killed.
    pub(super) fn is_staying(&self) -> bool {
        self.state != WorkerState::Leaving && !self.killed
    }

    /// Returns the cost of removing the worker: 0 for an idle one, 1 for a start in vain, more for a wait for calls.
    pub(super) fn removal_cost(&self) -> usize {
        match self.state {
            WorkerState::Ready if self.calls.is_empty() || self.retire_reason().is_some() => 0,
            WorkerState::Starting | WorkerState::Initializing => 1,
            WorkerState::Ready | WorkerState::Leaving => 1 + self.calls.len(),
        }
    }

    /// Enters Leaving, with the deadline of that state.
    pub(super) fn start_leaving(&mut self, now: Instant) {
        self.state = WorkerState::Leaving;
        self.deadline = Some((now + limits::LEAVE, NO_EXIT));
    }
}

impl Scheduler {
    /// Returns when [`timer`](Self::timer) next has something to do.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let deadlines = self.workers.values().filter(|worker| !worker.killed);
        let deadlines = deadlines.filter_map(|worker| worker.deadline.map(|(at, _)| at));
        let start = self.no_start_before.filter(|_| self.missing() > 0);
        let kill = self.next_kill();
        deadlines
            .chain(start)
            .chain(kill)
            .chain(self.next_revoke())
            .chain(self.next_idle_exit())
            .min()
    }

    /// Handles all deadlines up to `now`.
    pub(crate) fn timer(&mut self, now: Instant) {
        self.kill_if_due(now);
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
                let message = format!("the worker process was killed: {remark}; {ENTRY_HINT}");
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

    /// The worker has completed the handshake and the initializer, if there is one. False if the worker is leaving or killed.
    pub(crate) fn worker_ready(&mut self, now: Instant, id: WorkerId) -> bool {
        let Some(worker) = self.workers.get_mut(&id) else { return false };
        self.had_handshake = true;
        self.start_deaths = 0;
        let is_before_ready =
            matches!(worker.state, WorkerState::Starting | WorkerState::Initializing);
        let is_awaited = is_before_ready && !worker.killed;
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

    /// No process could be started for this worker. `shortage`: the system lacked a resource that may be free again later.
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

    /// Breaks the pool, with this cause.
    pub(crate) fn break_for(&mut self, now: Instant, cause: Error) {
        self.break_pool(cause);
        self.advance(now);
    }

    /// The process is no worker of this program. The pool survives if another worker has completed the handshake.
    pub(crate) fn handshake_failed(&mut self, now: Instant, id: WorkerId, cause: Error) {
        let is_genuine = |worker: &Worker| {
            matches!(worker.state, WorkerState::Initializing | WorkerState::Ready) && !worker.killed
        };
        if !self.workers.values().any(is_genuine) {
            return self.break_for(now, cause);
        }
        self.kill_for(id, cause.to_string());
        self.no_start_before = Some(now + limits::RESPAWN_PACE);
        self.advance(now);
    }

    /// The worker sent bytes that are no message, or a message that is not allowed now. The worker is killed.
    pub(crate) fn worker_misbehaved(&mut self, now: Instant, id: WorkerId, what: &str) {
        self.kill_for(id, format!("it broke the protocol: {what}"));
        self.advance(now);
    }

    /// The worker closed its channel, most likely because it is exiting. It gets a deadline for that.
    pub(crate) fn channel_closed(&mut self, now: Instant, id: WorkerId) {
        self.stop_dispatching_to(id);
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.state != WorkerState::Leaving
        {
            worker.deadline = Some((now + limits::CLOSED, "it closed its channel"));
        }
        self.advance(now);
    }

    /// The last bytes of the dead worker are an incomplete message.
    pub(crate) fn worker_cut_off(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.remark.get_or_insert_with(|| "it died in the middle of a message".to_owned());
        }
    }

    /// The worker has exited, and the pool has read all of its messages. `begun` lists those of its calls that count as begun.
    /// True if the exit is expected, because the worker was leaving or killed without a fault of its own.
    pub(crate) fn worker_exited(
        &mut self,
        now: Instant,
        id: WorkerId,
        mut exit: WorkerExit,
        begun: &[CallId],
    ) -> bool {
        let Some(worker) = self.workers.remove(&id) else { return true };
        let was_killed_without_fault = worker.killed && worker.remark.is_none();
        let is_expected = worker.state == WorkerState::Leaving || was_killed_without_fault;
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

    /// Resolves the begun calls of a dead worker and queues the others again.
    fn settle_calls(&mut self, worker: &Worker, exit: &WorkerExit, begun: &[CallId]) {
        // A call that waited at a starting worker is not to blame for a failed start.
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
                // Of the calls only the first can have killed the worker, for instance while it was decoded.
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

    /// Counts a death that was not asked for, and breaks the pool where policy or a limit says so.
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
                    "{} workers in a row died before they were ready, the last one by {}; {ENTRY_HINT}",
                    self.start_deaths,
                    describe(&exit)
                );
                let cause = Error::new(ErrorKind::BrokenProcessPool, message);
                self.break_pool(cause.with_worker_exit(exit));
            }
        } else if !worker.has_answered && !has_begun {
            self.unused_deaths += 1;
            if self.unused_deaths >= limits::MAX_UNUSED_DEATHS {
                self.no_start_before = Some(now + limits::RESPAWN_PACE);
            }
        }
    }

    /// Returns what the worker did wrong, if anything is known.
    pub(crate) fn remark(&self, id: WorkerId) -> Option<&str> {
        self.workers.get(&id)?.remark.as_deref()
    }

    /// Kills a worker for a fault of its own, which `remark` names.
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

    /// Takes the worker off the lists of those that get calls.
    fn stop_dispatching_to(&mut self, id: WorkerId) {
        self.idle.retain(|idle| *idle != id);
        self.starting.retain(|starting| *starting != id);
    }

    /// Kills all workers without a fault of theirs.
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

/// The remark of a worker that is killed at the end of [`limits::HANDSHAKE`].
const NO_HANDSHAKE: &str = "no handshake within 60 s";

/// The remark of a worker that is killed at the end of [`limits::LEAVE`].
const NO_EXIT: &str = "no exit within 5 s after the request";

const _: () = assert!(
    limits::HANDSHAKE.as_secs() == 60 && limits::LEAVE.as_secs() == 5,
    "as the remarks say"
);

/// The likely mistake in a program whose copies do not become workers.
pub(crate) const ENTRY_HINT: &str = "does its `main` begin with `loky::main!` or `loky::init()`, or its test crate with `loky::enable_test_support!()`?";

/// Describes the exit of a worker, with its likely cause.
pub(crate) fn describe(exit: &WorkerExit) -> String {
    exit.describe()
}
