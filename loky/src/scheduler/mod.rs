//! The scheduler: a pure value that decides. Events go in, actions come out.
//!
//! Each event is a method that takes the time as an argument. Several events may precede one [`advance`](Scheduler::advance), which
//! decides. [`poll_action`](Scheduler::poll_action) returns the actions, and [`pool`](crate::pool) performs them in their
//! order. The scheduler does no I/O, reads no clock, starts no thread, takes no lock and draws no random number. It knows calls
//! and workers by their ids only.
//!
//! # States of a call
//!
//! | state | event or decision | next state |
//! |---|---|---|
//! | – | `submit` | Queued |
//! | Queued | a worker has room: action `Dispatch` | Dispatched |
//! | Queued | `cancel`, shutdown, a broken pool, or no worker can be started: action `Resolve` | gone |
//! | Dispatched | `call_finished` | gone; the pool has the outcome |
//! | Dispatched | action `Revoke`, then `call_revoked` | Queued |
//! | Dispatched | `worker_exited`, and the call had begun: action `Resolve(Terminated)` | gone |
//! | Dispatched | `worker_exited`, and the call had not begun | Queued |
//! | Dispatched | `worker_exited` with this call at the front, not begun, for the [`MAX_DEATHS_AT_FRONT`](crate::limits::MAX_DEATHS_AT_FRONT)th time: action `Resolve(Terminated)` | gone |
//! | Dispatched | a broken pool or `Shutdown::Kill`: action `Resolve` | gone |
//!
//! The scheduler does not know whether a dispatched call has begun. The worker's page records it, and the pool looks there.
//!
//! A *batch* is several short calls that are dispatched, answered and revoked together. All of the above holds for a batch as for a
//! call. If one of its calls runs for long, the action `Divide` asks the pool to move the calls behind it to
//! new batches ([`Scheduler::batch_divided`]). If the worker dies, the pool divides the batch likewise.
//!
//! # States of a worker
//!
//! | state | event or decision | next state |
//! |---|---|---|
//! | – | action `Start` | Starting |
//! | Starting | `worker_launched`: it may get its first call ahead of time | Starting |
//! | Starting | `worker_greeted`: it runs the initializer | Initializing |
//! | Starting, Initializing | `worker_ready` | Ready |
//! | Starting, Initializing, Ready | action `Retire`, once it has no calls | Leaving |
//! | Leaving | no exit within [`LEAVE`](crate::limits::LEAVE): action `Kill` | killed |
//! | any | a missed deadline, a protocol error, a broken pool, `Shutdown::Kill`: action `Kill` | killed |
//! | any, or killed | `worker_exited`; in Starting also `start_failed` | gone |
//!
//! A Ready worker is *idle* without calls and *busy* with up to [`SLOTS`](crate::limits::SLOTS) of them. A killed worker keeps its
//! state until it exits and gets no more calls.
//!
//! # States of the pool
//!
//! ```text
//! Open ─ shutdown ──────────────────▶ Draining ─ no calls, no workers ─▶ Ended
//!   └─── broken, or Shutdown::Kill ─▶ Closed ─── no workers ───────────▶ Ended
//!                                        (also from Draining)
//! ```
//!
//! # Invariants
//!
//! Debug builds and the simulation check these after every event:
//! - A call is in exactly one state, and a dispatched call is listed by exactly one live worker.
//! - A worker has at most `SLOTS` calls, including revoked calls that it has not skipped yet.
//! - The live workers never exceed `max_workers`. After a `resize` to less, they never exceed the number of workers at that time.
//! - Every submitted call leaves by exactly one of `call_finished` and `Resolve`.
//!
//! # Files
//!
//! [`calls`]: the table of calls and the queue · [`workers`]: the life of a worker · [`dispatch`]: which worker gets which call ·
//! [`run_time`]: how many calls a worker gets ahead · [`first_call`]: the first call of a starting worker · [`initializer`] ·
//! [`size`]: how many workers there are · [`retire`]: why workers leave · [`shutdown`] · [`rules`]: the settings. `tests/` has
//! tests by hand, and a simulation with seeds.

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

/// An instruction to the pool.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Start a worker process. The pool reports [`Scheduler::worker_launched`] once there is a channel to it, then
    /// [`Scheduler::worker_ready`] or [`Scheduler::worker_exited`]. If no process starts, it reports [`Scheduler::start_failed`].
    Start { worker: WorkerId, index: usize },
    /// Send the call to the worker.
    Dispatch { worker: WorkerId, call: CallId },
    /// Take the call back if the worker has not begun it. If so, the pool reports [`Scheduler::call_revoked`].
    Revoke { worker: WorkerId, call: CallId },
    /// If the call is a batch: move its calls that have not begun to new batches. If so, the pool reports
    /// [`Scheduler::batch_divided`].
    Divide { worker: WorkerId, call: CallId },
    /// End the call without a result. If it was dispatched to `worker`, the pool finds out whether it has begun there.
    Resolve { call: CallId, worker: Option<WorkerId>, verdict: Verdict },
    /// Tell the worker to exit. It has no calls.
    Retire { worker: WorkerId, why: Retirement },
    /// Kill the worker.
    Kill { worker: WorkerId },
    /// End the pool: it has no workers and starts no more.
    End,
}

/// The reason for which a call ends without a result.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Cancelled,
    /// The worker died. `began` says whether the call had begun in it.
    Terminated {
        exit: Box<WorkerExit>,
        began: bool,
    },
    Broken(Error),
    ShutDown,
    NotSpawned(Error),
}

/// The reason for which the pool accepts no more calls.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Broken(Error),
    ShutDown,
}

/// The state of a call that is neither finished nor resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallState {
    Queued,
    /// The call is with this worker, running or waiting there.
    Dispatched(WorkerId),
}

/// The state of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The pool accepts calls.
    Open,
    /// The pool finishes the accepted calls and accepts no more.
    Draining,
    /// All calls are resolved, and the workers are being killed.
    Closed,
    /// The pool has no calls and no workers.
    Ended,
}

/// The state of one pool.
#[derive(Debug)]
pub(crate) struct Scheduler {
    max_workers: usize,
    /// The most workers that may live: more than `max_workers` while surplus workers leave after a `resize`.
    live_limit: usize,
    rules: Rules,
    phase: Phase,
    is_shut_down: bool,
    /// Set by [`Shutdown::CancelPending`]: calls that have not begun are cancelled, also those that are revoked later.
    cancels_pending: bool,
    /// When a shutdown with a time limit becomes a kill.
    kill_at: Option<Instant>,
    was_killed: bool,
    broken: Option<Error>,
    /// Whether workers start even while no call is queued: set by the first call and by `prewarm`.
    wants_workers: bool,
    /// How many workers fewer than `max_workers` are wanted, because idle workers left and no call has needed them since.
    vacant: usize,
    /// The number of threads in `prewarm`. While there are any, no worker leaves for idleness.
    n_prewarms: usize,
    calls: Calls,
    workers: BTreeMap<WorkerId, workers::Worker>,
    /// The idle workers. The one that became idle last gets the next call, because its caches are warm.
    idle: Vec<WorkerId>,
    /// Launched workers that may get their first call before they are ready, in the order of their launch.
    starting: Vec<WorkerId>,
    last_worker: u64,
    run_time: RunTime,
    /// How many workers in a row died before they were ready.
    start_deaths: u32,
    /// How many ready workers in a row died before any of them began a call.
    unused_deaths: u32,
    /// Whether any worker of this pool completed the handshake.
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
            is_shut_down: false,
            cancels_pending: false,
            kill_at: None,
            was_killed: false,
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

    /// Returns the next action. The pool performs actions in this order.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns why the pool accepts no call now; `None` if it does.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match &self.broken {
            Some(cause) => Some(Refusal::Broken(cause.clone())),
            None => self.is_shut_down.then_some(Refusal::ShutDown),
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.is_shut_down
    }

    /// Returns the queue length, in which a batch counts once.
    pub(crate) fn queued(&self) -> usize {
        self.calls.queued()
    }

    /// Returns the queue length, in which each call of a batch counts.
    pub(crate) fn queued_calls(&self) -> usize {
        self.calls.queued_calls()
    }

    /// Queues a new call, or a batch of `count` calls. The caller has asked [`refusal`](Self::refusal), and calls
    /// [`advance`](Self::advance) after this and perhaps more events.
    pub(crate) fn submit(&mut self, call: CallId, count: u32) {
        debug_assert!(self.refusal().is_none(), "the caller has asked");
        self.calls.push_back(call, count);
        self.wants_workers = true;
    }

    /// Returns the call at the back of the queue.
    pub(crate) fn last_queued(&mut self) -> Option<CallId> {
        self.calls.back()
    }

    /// Adds one call to a queued batch.
    pub(crate) fn batch_grew(&mut self, batch: CallId) {
        debug_assert!(self.refusal().is_none(), "the caller has asked");
        self.calls.grow(batch);
    }

    /// Starts all workers and keeps them, idle or not, until [`end_prewarm`](Self::end_prewarm).
    pub(crate) fn prewarm(&mut self, now: Instant) {
        self.n_prewarms += 1;
        self.demand(now);
    }

    /// Starts all workers, without regard to the queue.
    pub(crate) fn demand(&mut self, now: Instant) {
        self.wants_workers = true;
        self.vacant = 0;
        self.advance(now);
    }

    /// Ends one [`prewarm`](Self::prewarm). The idle time of idle workers begins now.
    pub(crate) fn end_prewarm(&mut self, now: Instant) {
        self.n_prewarms -= 1;
        for id in &self.idle {
            if let Some(worker) = self.workers.get_mut(id) {
                worker.last_progress = now;
            }
        }
    }

    /// Whether any thread is in `prewarm`.
    pub(crate) fn is_prewarming(&self) -> bool {
        self.n_prewarms > 0
    }

    /// Returns the state of a call; `None` once it is finished or resolved.
    pub(crate) fn call_state(&self, call: CallId) -> Option<CallState> {
        self.calls.state_of(call)
    }

    /// Returns the calls that are dispatched to a worker, in the order of their dispatch.
    pub(crate) fn dispatched_to(&self, worker: WorkerId) -> Vec<CallId> {
        let calls = self.workers.get(&worker).map(|worker| &worker.calls);
        calls.into_iter().flatten().copied().collect()
    }

    /// Cancels a queued call. The pool revokes a dispatched call first.
    pub(crate) fn cancel(&mut self, now: Instant, call: CallId) {
        debug_assert!(self.call_state(call) == Some(CallState::Queued), "the caller has asked");
        self.resolve(call, Verdict::Cancelled);
        self.advance(now);
    }

    /// The pool revoked the call before its worker began it.
    pub(crate) fn call_revoked(&mut self, now: Instant, call: CallId) {
        let Some(CallState::Dispatched(worker)) = self.calls.state_of(call) else { return };
        self.calls.requeue(call);
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.calls.retain(|other| *other != call);
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

    /// Ends a call without a result. A worker that runs it is not disturbed.
    fn resolve(&mut self, call: CallId, verdict: Verdict) {
        if let Some(place) = self.calls.remove(call) {
            let worker = match place {
                CallState::Queued => None,
                CallState::Dispatched(worker) => Some(worker),
            };
            self.actions.push_back(Action::Resolve { call, worker, verdict });
        }
    }

    /// Resolves all calls, in the order of submission.
    fn resolve_all(&mut self, verdict: &Verdict) {
        for call in self.calls.in_order() {
            self.resolve(call, verdict.clone());
        }
    }

    /// Resolves all queued calls.
    fn resolve_queued(&mut self, verdict: &Verdict) {
        while let Some(call) = self.calls.front() {
            self.resolve(call, verdict.clone());
        }
    }

    /// Resolves all calls with `cause` and kills all workers.
    fn break_pool(&mut self, cause: Error) {
        if self.broken.is_none() && self.phase != Phase::Ended {
            self.resolve_all(&Verdict::Broken(cause.clone()));
            self.broken = Some(cause);
            self.phase = Phase::Closed;
            self.kill_all();
        }
    }
}
