//! The life of a worker, as the scheduler sees it: starting, replacing, giving up, leaving.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Action, Phase, Place, Scheduler, Verdict};
use crate::config::CrashPolicy;
use crate::error::{Error, ErrorKind, WorkerExit};
use crate::id::{CallId, WorkerId};
use crate::limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerState {
    Starting,
    Idle,
    Busy(CallId),
    Leaving,
}

#[derive(Debug)]
pub(super) struct Worker {
    index: usize,
    state: WorkerState,
    /// Whether it was given a call that it began.
    used: bool,
    killed: bool,
    /// When it is killed if nothing happens, and what is said of it then.
    deadline: Option<(Instant, &'static str)>,
    /// Why it was killed, if it was for something that it did.
    remark: Option<String>,
}

impl Scheduler {
    /// The next moment at which [`timer`](Self::timer) has something to do.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let deadlines = self.workers.values().filter(|worker| !worker.killed);
        let deadlines = deadlines.filter_map(|worker| worker.deadline.map(|(at, _)| at));
        let start = self.no_start_before.filter(|_| self.missing() > 0);
        deadlines.chain(start).min()
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
            if worker.state == WorkerState::Starting && !self.ever_ready {
                let message = format!(
                    "the worker that was started did not shake hands: {remark}; {ENTRY_HINT}"
                );
                self.break_pool(Error::new(ErrorKind::Handshake, message));
            }
            self.condemn(id, remark.to_owned());
        }
        self.advance(now);
    }

    /// How many workers are to be started.
    fn missing(&self) -> usize {
        let wanted = match self.phase {
            Phase::Open if self.demanded => self.max_workers,
            Phase::Draining if self.queued > 0 => self.max_workers,
            _ => 0,
        };
        wanted.saturating_sub(self.workers.len())
    }

    pub(super) fn start_missing(&mut self, now: Instant) {
        let missing = self.missing();
        if missing == 0 {
            return;
        }
        if self.no_start_before.is_some_and(|at| now < at) {
            return;
        }
        self.no_start_before = None;
        let taken: BTreeSet<_> = self.workers.values().map(|worker| worker.index).collect();
        let free = (0..self.max_workers).filter(|index| !taken.contains(index));
        for index in free.take(missing) {
            self.last_worker += 1;
            let id = WorkerId(self.last_worker);
            let worker = Worker {
                index,
                state: WorkerState::Starting,
                used: false,
                killed: false,
                deadline: Some((
                    now + limits::HANDSHAKE,
                    "it said nothing within its time to start",
                )),
                remark: None,
            };
            self.workers.insert(id, worker);
            self.actions.push_back(Action::Start { worker: id, index });
        }
    }

    /// A worker has shaken hands.
    pub(crate) fn worker_ready(&mut self, now: Instant, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        self.ever_ready = true;
        self.start_deaths = 0;
        if worker.state == WorkerState::Starting {
            worker.state = WorkerState::Idle;
            worker.deadline = None;
            if !worker.killed {
                self.idle.push(id);
            }
            self.advance(now);
        }
    }

    /// How many workers have shaken hands and are here to stay.
    pub(crate) fn ready_workers(&self) -> usize {
        let is_ready = |worker: &&Worker| {
            matches!(worker.state, WorkerState::Idle | WorkerState::Busy(_))
                && !worker.killed
                && worker.deadline.is_none()
        };
        self.workers.values().filter(is_ready).count()
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
        self.no_start_before = Some(now + limits::RESPAWN_PACE);
        if self.workers.is_empty() {
            if shortage {
                self.resolve_queued(&Verdict::NotSpawned { cause });
                self.demanded = false; // The next call tries again.
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
        if self.ready_workers() == 0 {
            return self.break_for(now, cause);
        }
        self.condemn(id, cause.to_string());
        self.no_start_before = Some(now + limits::RESPAWN_PACE);
        self.advance(now);
    }

    /// The worker sent what is no message, or not the one that was due: nothing it says counts any more, and neither does
    /// its silence. A call that it was given may have begun.
    pub(crate) fn worker_misbehaved(&mut self, now: Instant, id: WorkerId, what: &str) {
        if let Some(WorkerState::Busy(call)) = self.workers.get(&id).map(|worker| worker.state)
            && let Some(state) = self.calls.get_mut(&call)
        {
            state.place = Place::Dispatched { worker: id, began: true };
        }
        self.condemn(id, format!("it broke the protocol: {what}"));
        self.advance(now);
    }

    /// The worker's channel is at its end: most likely the worker is too.
    pub(crate) fn channel_closed(&mut self, now: Instant, id: WorkerId) {
        self.idle.retain(|idle| *idle != id);
        if let Some(worker) = self.workers.get_mut(&id) {
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

    /// The worker is gone, and everything that it had written was read.
    pub(crate) fn worker_exited(&mut self, now: Instant, id: WorkerId, mut exit: WorkerExit) {
        let Some(worker) = self.workers.remove(&id) else { return };
        self.idle.retain(|idle| *idle != id);
        exit.remark = worker.remark.clone();
        if worker.state != WorkerState::Leaving
            && matches!(self.phase, Phase::Open | Phase::Draining)
        {
            self.worker_died(now, &worker, exit);
        }
        self.advance(now);
    }

    fn worker_died(&mut self, now: Instant, worker: &Worker, exit: WorkerExit) {
        if let WorkerState::Busy(call) = worker.state {
            if self.has_begun(call) {
                self.resolve(call, Verdict::Terminated { exit: exit.clone(), began: true });
            } else {
                self.requeue(call, exit.clone());
            }
        }
        if worker.state == WorkerState::Starting && exit.code == Some(0) {
            let message = format!("the worker that was started ended without a word; {ENTRY_HINT}");
            return self
                .break_pool(Error::new(ErrorKind::Handshake, message).with_worker_exit(exit));
        }
        if self.policy == CrashPolicy::BreakPool {
            let message = format!("a worker process died: {}", describe(&exit));
            return self.break_pool(
                Error::new(ErrorKind::BrokenProcessPool, message).with_worker_exit(exit),
            );
        }
        if worker.state == WorkerState::Starting {
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
        } else if !worker.used {
            self.unused_deaths += 1;
            if self.unused_deaths >= limits::MAX_UNUSED_DEATHS {
                self.no_start_before = Some(now + limits::RESPAWN_PACE);
            }
        }
    }

    fn has_begun(&self, call: CallId) -> bool {
        self.calls
            .get(&call)
            .is_some_and(|state| matches!(state.place, Place::Dispatched { began: true, .. }))
    }

    pub(super) fn worker_is_busy(&mut self, id: WorkerId, call: CallId) {
        let worker = self.workers.get_mut(&id).expect("idle workers exist");
        debug_assert_eq!(worker.state, WorkerState::Idle, "only idle workers get calls");
        worker.state = WorkerState::Busy(call);
    }

    pub(super) fn worker_is_free(&mut self, id: WorkerId) {
        let worker = self.workers.get_mut(&id).expect("it had a call");
        worker.used = true;
        worker.state = WorkerState::Idle;
        // One that closed its channel, or is being killed, gets no more.
        if worker.deadline.is_none() && !worker.killed {
            self.idle.push(id);
        }
    }

    /// Lets those go that have nothing to do, when nothing will come.
    pub(super) fn retire_unused(&mut self, now: Instant) {
        self.idle.clear();
        for (id, worker) in &mut self.workers {
            if matches!(worker.state, WorkerState::Idle | WorkerState::Starting) {
                worker.state = WorkerState::Leaving;
                worker.deadline = Some((now + limits::LEAVE, "it did not leave when asked"));
                self.actions.push_back(Action::Retire { worker: *id });
            }
        }
    }

    /// Kills a worker for what it did.
    fn condemn(&mut self, id: WorkerId, remark: String) {
        self.idle.retain(|idle| *idle != id);
        if let Some(worker) = self.workers.get_mut(&id)
            && !worker.killed
        {
            worker.killed = true;
            worker.remark = Some(remark);
            self.actions.push_back(Action::Kill { worker: id });
        }
    }

    pub(super) fn kill_all(&mut self) {
        self.idle.clear();
        for (id, worker) in &mut self.workers {
            if !worker.killed {
                worker.killed = true;
                self.actions.push_back(Action::Kill { worker: *id });
            }
        }
    }

    /// What must hold between any two events, as far as it can be seen from the workers, of which there are few.
    #[cfg(debug_assertions)]
    pub(super) fn check(&self) {
        assert!(self.workers.len() <= self.max_workers, "more workers than allowed");
        for (id, worker) in &self.workers {
            if let WorkerState::Busy(call) = worker.state
                && let Some(state) = self.calls.get(&call)
            {
                let is_here =
                    matches!(state.place, Place::Dispatched { worker, .. } if worker == *id);
                assert!(is_here, "a busy worker has its call");
            }
        }
        for id in &self.idle {
            let worker = &self.workers[id];
            assert!(worker.state == WorkerState::Idle && !worker.killed, "idle workers are idle");
        }
        let is_shut = matches!(self.phase, Phase::Closed | Phase::Ended);
        assert!(!is_shut || self.calls.is_empty(), "a closed pool has no calls");
    }

    /// The same, as it is seen from the calls: too many for anything but a simulation.
    #[cfg(test)]
    pub(super) fn check_calls(&self) {
        let queued = self.calls.values().filter(|state| state.place == Place::Queued).count();
        assert_eq!(queued, self.queued, "queued calls are counted");
        for (call, state) in &self.calls {
            if let Place::Dispatched { worker, .. } = state.place {
                let worker = self.workers.get(&worker).expect("a call lies with a live worker");
                assert_eq!(worker.state, WorkerState::Busy(*call), "and that worker has it");
            }
        }
    }
}

/// What a program lacks whose copy does not become a worker.
pub(crate) const ENTRY_HINT: &str = "does its `main` begin with `loky::main!` or `loky::init()`, or its test crate with `loky::enable_test_support!()`?";

/// The end of a worker in words.
pub(crate) fn describe(exit: &WorkerExit) -> String {
    match exit.cause() {
        Some(cause) => format!("{exit} ({cause})"),
        None => exit.to_string(),
    }
}
