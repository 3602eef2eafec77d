//! The pool as a value: what happened goes in, what is to be done comes out.
//!
//! No I/O, no clock (every event comes with the time), no threads, no locks, no randomness; it knows calls and workers by
//! their ids alone. [`pool`](crate::pool) feeds it and performs its [`Action`]s in their order.
//!
//! ```text
//!  call    submit ─▶ Queued ──dispatch──▶ Given ──finished──▶ (gone: the pool has its outcome)
//!                     │ ▲                  │ │
//!              cancel │ ├─────taken back───┘ │ its worker died
//!                     ▼ └── not begun ───────┤
//!             Resolve(Cancelled)             ▼ begun, or too often at the front
//!                                      Resolve(Terminated)
//!
//!  worker  Start ─▶ Starting ─ready─▶ Ready (idle, or with up to `SLOTS` calls)   exited, in any state ─▶ (gone)
//!                    │ │ greeted         ▲ │                (launched: it may have one call while it is Starting)
//!                    │ └▶ Initializing ──┘ │
//!                    └──── Retire ─────────┴─▶ Leaving ── after LEAVE ─▶ Kill
//!
//!  pool    Open ─shutdown─▶ Draining ─no calls, no workers─▶ Ended
//!            └─broken, or Shutdown::Kill─▶ Closed ─no workers─▶ Ended
//! ```
//!
//! What is said of a call here holds for a *chunk* as well: several short calls that are given, answered and taken back together.
//! Where one of them turns out long, or kills its worker, it is a call of its own from there on, and so is what lies behind it
//! ([`Scheduler::chunk_divided`]).
//!
//! Whether a given call has begun is not known here: its worker's page says so, and the pool asks it. What holds after every
//! event (checked in debug builds and by the simulation): a call is in exactly one place; a worker has at most
//! [`limits::SLOTS`] calls, those that were taken back and not yet skipped included; there are never more live workers than
//! `max_workers`, or than there were when it was lowered. Every call that was submitted leaves by exactly one of
//! `call_finished` and [`Action::Resolve`]. Tested in `tests/` by hand and by simulation with seeds.

mod calls;
mod dispatch;
mod first_call;
mod initializer;
mod retire;
mod rules;
mod run_time;
mod shutdown;
mod size;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

pub(crate) use self::rules::Rules;
pub use self::shutdown::Shutdown;

use self::calls::Calls;
use self::run_time::RunTime;
use crate::error::{Error, WorkerExit};
use crate::id::{CallId, WorkerId};
use crate::observer::Retirement;

/// What the pool is to do.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Start a process; report [`Scheduler::worker_launched`] once there is a channel to it, then [`Scheduler::worker_ready`] or
    /// [`Scheduler::worker_exited`]; or else [`Scheduler::start_failed`].
    Start { worker: WorkerId, index: usize },
    /// Give this call to this worker.
    Dispatch { worker: WorkerId, call: CallId },
    /// Take this call back from this worker, if it has not begun there: then report [`Scheduler::call_revoked`].
    Revoke { worker: WorkerId, call: CallId },
    /// The call runs for long. If it is a chunk: cut off what has not begun of it, then report [`Scheduler::chunk_divided`].
    Divide { worker: WorkerId, call: CallId },
    /// The call ends without a result, for this reason. It lay with `worker`, if with any: whether it has begun there is to
    /// be settled now.
    Resolve { call: CallId, worker: Option<WorkerId>, verdict: Verdict },
    /// Tell the worker to leave when it has done what it has.
    Retire { worker: WorkerId, why: Retirement },
    /// End the worker now.
    Kill { worker: WorkerId },
    /// No workers are left and none will come.
    End,
}

/// Why a call ends without a result.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Cancelled,
    /// Its worker died; `began`: with it.
    Terminated {
        exit: Box<WorkerExit>,
        began: bool,
    },
    Broken(Error),
    ShutDown,
    NotSpawned(Error),
}

/// Why no more calls are taken.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Broken(Error),
    ShutDown,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallState {
    Queued,
    /// With this worker.
    Dispatched(WorkerId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Closed,
    Ended,
}

/// The state of one pool.
#[derive(Debug)]
pub(crate) struct Scheduler {
    max_workers: usize,
    /// More than `max_workers` only from when that was lowered until the surplus is gone.
    live_limit: usize,
    rules: Rules,
    phase: Phase,
    shut_down: bool,
    /// Whether calls that have not begun are to be cancelled, those that are taken back included.
    cancels_pending: bool,
    broken: Option<Error>,
    /// Whether workers are wanted though nothing may be queued: since the first call, or a prewarm.
    wants_workers: bool,
    /// How many places are left empty: by workers that had nothing to do for too long, since when nobody was missed.
    vacant: usize,
    /// How many threads wait for all workers to be there at once: meanwhile none leaves for having nothing to do.
    n_prewarms: usize,
    calls: Calls,
    workers: BTreeMap<WorkerId, workers::Worker>,
    /// The last one to become idle is the first to get a call: its caches are warm.
    idle: Vec<WorkerId>,
    /// Those that were started and may have their first call before they are up, in that order.
    starting: Vec<WorkerId>,
    last_worker: u64,
    run_time: RunTime,
    /// Workers that died in a row before any was ready.
    start_deaths: u32,
    /// Workers that were ready and died in a row before any began a call.
    unused_deaths: u32,
    /// Whether any worker has shaken hands.
    had_handshake: bool,
    no_start_before: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Scheduler {
    pub(crate) fn new(max_workers: usize, rules: Rules) -> Self {
        Self {
            max_workers,
            live_limit: max_workers,
            run_time: RunTime::new(rules.depth),
            rules,
            phase: Phase::Open,
            shut_down: false,
            cancels_pending: false,
            broken: None,
            wants_workers: false,
            vacant: 0,
            n_prewarms: 0,
            calls: Calls::new(),
            workers: BTreeMap::new(),
            idle: Vec::new(),
            starting: Vec::new(),
            last_worker: 0,
            start_deaths: 0,
            unused_deaths: 0,
            had_handshake: false,
            no_start_before: None,
            actions: VecDeque::new(),
        }
    }

    /// The next thing to be done.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Why a call would not be taken now; `None` if it would.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match &self.broken {
            Some(cause) => Some(Refusal::Broken(cause.clone())),
            None => self.shut_down.then_some(Refusal::ShutDown),
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    /// How many calls and chunks wait for a worker.
    pub(crate) fn queued(&self) -> usize {
        self.calls.queued()
    }

    /// How many calls wait for a worker, those in chunks included.
    pub(crate) fn queued_calls(&self) -> usize {
        self.calls.queued_calls()
    }

    /// A new call, or a chunk of so many, which [`refusal`](Self::refusal) has not refused. Others may follow before
    /// [`advance`](Self::advance).
    pub(crate) fn submit(&mut self, call: CallId, count: u32) {
        debug_assert!(self.refusal().is_none(), "asked before");
        self.calls.push_back(call, count);
        self.wants_workers = true;
    }

    /// The call that would be given to a worker last of all.
    pub(crate) fn last_queued(&mut self) -> Option<CallId> {
        self.calls.back()
    }

    /// A queued chunk has one more call.
    pub(crate) fn batch_grew(&mut self, chunk: CallId) {
        debug_assert!(self.refusal().is_none(), "asked before");
        self.calls.grow(chunk);
    }

    /// In the place of a queued chunk come these parts of it. What is left out was cancelled.
    pub(crate) fn batch_split(
        &mut self,
        chunk: CallId,
        parts: impl IntoIterator<Item = (CallId, u32)>,
    ) {
        debug_assert!(self.call_state(chunk) == Some(CallState::Queued), "asked before");
        self.calls.replace(chunk, parts);
    }

    /// All workers are wanted, before there are calls, and at one time: until [`end_prewarm`](Self::end_prewarm).
    pub(crate) fn prewarm(&mut self, now: Instant) {
        self.n_prewarms += 1;
        self.demand(now);
    }

    /// All workers are wanted, be there calls or not.
    pub(crate) fn demand(&mut self, now: Instant) {
        self.wants_workers = true;
        self.vacant = 0;
        self.advance(now);
    }

    /// Nobody waits any more for what that [`prewarm`](Self::prewarm) was for: who is idle is so from now on.
    pub(crate) fn end_prewarm(&mut self, now: Instant) {
        self.n_prewarms -= 1;
        for id in &self.idle {
            if let Some(worker) = self.workers.get_mut(id) {
                worker.last_progress = now;
            }
        }
    }

    /// Whether somebody waits for all workers to be there.
    pub(crate) fn is_prewarming(&self) -> bool {
        self.n_prewarms > 0
    }

    /// Where a call is; `None` if it is gone.
    pub(crate) fn call_state(&self, call: CallId) -> Option<CallState> {
        self.calls.state_of(call)
    }

    /// The calls that a worker has, in their order.
    pub(crate) fn dispatched_to(&self, worker: WorkerId) -> Vec<CallId> {
        let given = self.workers.get(&worker).map(|worker| &worker.calls);
        given.into_iter().flatten().copied().collect()
    }

    /// Cancels a queued call. One that is given to a worker is first to be taken back.
    pub(crate) fn cancel(&mut self, now: Instant, call: CallId) {
        debug_assert!(self.call_state(call) == Some(CallState::Queued), "asked before");
        self.resolve(call, Verdict::Cancelled);
        self.advance(now);
    }

    /// The call was taken back from its worker, before that came to it.
    pub(crate) fn call_revoked(&mut self, now: Instant, call: CallId) {
        let Some(CallState::Dispatched(worker)) = self.calls.state_of(call) else { return };
        self.calls.requeue(call);
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.calls.retain(|given| *given != call);
            worker.update_front(&self.calls);
            worker.revoked += 1;
            worker.quota = worker.quota.map(|quota| quota + 1);
        }
        self.note_idle(worker);
        self.retire_if_done(now, worker);
        if self.cancels_pending {
            self.resolve(call, Verdict::Cancelled);
        }
    }

    /// Ends a call from here. What it was doing in a worker is that worker's business.
    fn resolve(&mut self, call: CallId, verdict: Verdict) {
        if let Some(place) = self.calls.remove(call) {
            let worker = match place {
                CallState::Queued => None,
                CallState::Dispatched(worker) => Some(worker),
            };
            self.actions.push_back(Action::Resolve { call, worker, verdict });
        }
    }

    /// Ends all calls that are still here, in the order in which they came.
    fn resolve_all(&mut self, verdict: &Verdict) {
        for call in self.calls.in_order() {
            self.resolve(call, verdict.clone());
        }
    }

    fn resolve_queued(&mut self, verdict: &Verdict) {
        while let Some(call) = self.calls.front() {
            self.resolve(call, verdict.clone());
        }
    }

    /// Nothing can be had from this pool any more.
    fn break_pool(&mut self, cause: Error) {
        if self.broken.is_none() && self.phase != Phase::Ended {
            self.resolve_all(&Verdict::Broken(cause.clone()));
            self.broken = Some(cause);
            self.phase = Phase::Closed;
            self.kill_all();
        }
    }
}
