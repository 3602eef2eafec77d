//! The pool as a value: what happened goes in, what is to be done comes out.
//!
//! No I/O, no clock (every event comes with the time), no threads, no locks, no randomness; it knows calls and workers by
//! their ids alone. [`pool`](crate::pool) feeds it and performs its [`Action`]s in their order.
//!
//! ```text
//!  call    submit ─▶ Queued ─dispatch─▶ Dispatched ─began─▶ Dispatched(began) ─finished─▶ (gone: the pool has its outcome)
//!                      │ ▲                  │ worker died        │ worker died
//!               cancel │ └──────────────────┘                    ▼
//!                      ▼     (at most MAX_DISPATCHES times)    Resolve(Terminated)
//!               Resolve(Cancelled)
//!
//!  worker  Start ─▶ Starting ─ready─▶ Idle ◀─finished─ Busy          exited, in any state ─▶ (gone)
//!                      │               │ └──dispatch───▲
//!                      └──── Retire ───┴─▶ Leaving ── after LEAVE ─▶ Kill
//!
//!  pool    Open ─shutdown─▶ Draining ─no calls, no workers─▶ Ended
//!            └─broken, or Shutdown::Kill─▶ Closed ─no workers─▶ Ended
//! ```
//!
//! What holds after every event (checked in debug builds and by the simulation): a call is in exactly one place; a worker
//! has at most one call; there are never more live workers than `max_workers`. Every call that was submitted leaves by
//! exactly one of `call_finished` and [`Action::Resolve`]. Tested in `tests.rs` by hand and by simulation with seeds.

mod shutdown;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

pub use self::shutdown::Shutdown;

use crate::config::CrashPolicy;
use crate::error::{Error, WorkerExit};
use crate::id::{CallId, WorkerId};
use crate::limits;

/// What the pool is to do.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Start a process; report [`Scheduler::worker_ready`], [`Scheduler::start_failed`] or [`Scheduler::worker_exited`].
    Start { worker: WorkerId, index: usize },
    /// Give this call to this worker.
    Dispatch { worker: WorkerId, call: CallId },
    /// The call ends without a result, for this reason.
    Resolve { call: CallId, verdict: Verdict },
    /// Tell the worker to leave when it has done what it has.
    Retire { worker: WorkerId },
    /// End the worker now.
    Kill { worker: WorkerId },
    /// No workers are left and none will come.
    End,
}

/// Why a call ends without a result. `began`: its task may have run.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Cancelled,
    Terminated { exit: WorkerExit, began: bool },
    Broken { cause: Error, began: bool },
    ShutDown { began: bool },
    NotSpawned { cause: Error },
}

/// Why no more calls are taken.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Broken(Error),
    ShutDown,
}

/// A worker that said what it should not have said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Misbehaved(pub(crate) &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queued,
    Dispatched { worker: WorkerId, began: bool },
}

#[derive(Clone, Copy, Debug)]
struct CallState {
    place: Place,
    dispatches: u32,
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
    policy: CrashPolicy,
    phase: Phase,
    shut_down: bool,
    broken: Option<Error>,
    /// Whether workers are wanted though nothing may be queued: since the first call, or a prewarm.
    demanded: bool,
    calls: HashMap<CallId, CallState>,
    /// Ids of queued calls in order; those that were cancelled stay until they come to the front.
    queue: VecDeque<CallId>,
    queued: usize,
    workers: BTreeMap<WorkerId, workers::Worker>,
    /// The last one to become idle is the first to get a call: its caches are warm.
    idle: Vec<WorkerId>,
    last_worker: u64,
    /// Workers that died in a row before any was ready.
    start_deaths: u32,
    /// Workers that were ready and died in a row before any began a call.
    unused_deaths: u32,
    ever_ready: bool,
    no_start_before: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Scheduler {
    pub(crate) fn new(max_workers: usize, policy: CrashPolicy) -> Self {
        Self {
            max_workers,
            policy,
            phase: Phase::Open,
            shut_down: false,
            broken: None,
            demanded: false,
            calls: HashMap::new(),
            queue: VecDeque::new(),
            queued: 0,
            workers: BTreeMap::new(),
            idle: Vec::new(),
            last_worker: 0,
            start_deaths: 0,
            unused_deaths: 0,
            ever_ready: false,
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

    /// A new call, which [`refusal`](Self::refusal) has not refused.
    pub(crate) fn submit(&mut self, now: Instant, call: CallId) {
        debug_assert!(self.refusal().is_none(), "asked before");
        let state = CallState { place: Place::Queued, dispatches: 0 };
        let known = self.calls.insert(call, state);
        debug_assert!(known.is_none(), "ids are not used twice");
        self.queue.push_back(call);
        self.queued += 1;
        self.demanded = true;
        self.advance(now);
    }

    /// Workers are wanted before there are calls.
    pub(crate) fn prewarm(&mut self, now: Instant) {
        self.demanded = true;
        self.advance(now);
    }

    /// Takes a call back. False if it is given to a worker, or is no longer here.
    pub(crate) fn cancel(&mut self, now: Instant, call: CallId) -> bool {
        let is_queued = self.calls.get(&call).is_some_and(|state| state.place == Place::Queued);
        if is_queued {
            self.resolve(call, Verdict::Cancelled);
            self.forget_cancelled();
            self.advance(now);
        }
        is_queued
    }

    /// The worker has taken the call that it was given; from here on the call counts as started.
    pub(crate) fn call_began(&mut self, worker: WorkerId, call: CallId) -> Result<(), Misbehaved> {
        match self.calls.get_mut(&call) {
            Some(CallState { place: Place::Dispatched { worker: at, began }, .. })
                if *at == worker && !*began =>
            {
                *began = true;
                self.unused_deaths = 0;
                Ok(())
            }
            _ => Err(Misbehaved("it began a call that it was not given")),
        }
    }

    /// The worker has delivered an outcome: if it is accepted, the pool hands it out, and the call is gone from here.
    pub(crate) fn call_finished(
        &mut self,
        now: Instant,
        worker: WorkerId,
        call: CallId,
    ) -> Result<(), Misbehaved> {
        let expected = Place::Dispatched { worker, began: true };
        if self.calls.get(&call).is_none_or(|state| state.place != expected) {
            return Err(Misbehaved("it finished a call that it had not begun"));
        }
        self.calls.remove(&call);
        self.worker_is_free(worker);
        self.advance(now);
        Ok(())
    }

    /// Ends a call from here. What it was doing in a worker is that worker's business.
    fn resolve(&mut self, call: CallId, verdict: Verdict) {
        if let Some(state) = self.calls.remove(&call) {
            self.queued -= usize::from(state.place == Place::Queued);
            self.actions.push_back(Action::Resolve { call, verdict });
        }
    }

    /// Ends all calls that are still here, in the order in which they came.
    fn resolve_all(&mut self, verdict: impl Fn(bool) -> Verdict) {
        let mut calls: Vec<_> = self.calls.iter().map(|(id, state)| (*id, state.place)).collect();
        calls.sort_unstable_by_key(|(call, _)| *call);
        for (call, place) in calls {
            // Where its worker has it, it may have begun without our having heard of it.
            self.resolve(call, verdict(place != Place::Queued));
        }
        self.queue.clear();
    }

    fn resolve_queued(&mut self, verdict: &Verdict) {
        for call in std::mem::take(&mut self.queue) {
            if self.calls.get(&call).is_some_and(|state| state.place == Place::Queued) {
                self.resolve(call, verdict.clone());
            }
        }
    }

    /// Clears the queue of cancelled calls once they are most of it, so that it stays in proportion.
    fn forget_cancelled(&mut self) {
        if self.queue.len() > 2 * self.queued + 64 {
            let calls = &self.calls;
            let is_queued = |state: &CallState| state.place == Place::Queued;
            self.queue.retain(|call| calls.get(call).is_some_and(is_queued));
        }
    }

    /// The next queued call. Cancelled ones that come to the front are forgotten.
    fn next_queued(&mut self) -> Option<CallId> {
        loop {
            let call = self.queue.pop_front()?;
            if self.calls.get(&call).is_some_and(|state| state.place == Place::Queued) {
                return Some(call);
            }
        }
    }

    /// Does what has become possible.
    fn advance(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Open | Phase::Draining) {
            while !self.idle.is_empty()
                && let Some(call) = self.next_queued()
                && let Some(worker) = self.idle.pop()
            {
                self.dispatch(worker, call);
            }
            if self.phase == Phase::Draining && self.queued == 0 {
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

    fn dispatch(&mut self, worker: WorkerId, call: CallId) {
        let state = self.calls.get_mut(&call).expect("it was queued");
        state.place = Place::Dispatched { worker, began: false };
        state.dispatches += 1;
        self.queued -= 1;
        self.worker_is_busy(worker, call);
        self.actions.push_back(Action::Dispatch { worker, call });
    }

    /// A call that its worker had not begun when it died goes to the front again, unless that has happened too often.
    fn requeue(&mut self, call: CallId, exit: WorkerExit) {
        let Some(state) = self.calls.get_mut(&call) else { return };
        if state.dispatches >= limits::MAX_DISPATCHES {
            return self.resolve(call, Verdict::Terminated { exit, began: false });
        }
        state.place = Place::Queued;
        self.queue.push_front(call);
        self.queued += 1;
    }

    /// Nothing can be had from this pool any more.
    fn break_pool(&mut self, cause: Error) {
        if self.broken.is_none() && self.phase != Phase::Ended {
            self.resolve_all(|began| Verdict::Broken { cause: cause.clone(), began });
            self.broken = Some(cause);
            self.phase = Phase::Closed;
            self.kill_all();
        }
    }
}
