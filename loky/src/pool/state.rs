//! What lies behind the pool's lock, and performing the scheduler's actions on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::outcome::Ending;
use crate::error::Error;
use crate::future::slot::{Callback, Promise};
use crate::id::{CallId, WorkerId};
use crate::scheduler::{Action, Scheduler};
use crate::transport::stream::Outbox;

/// An accepted call that has no outcome yet.
pub(super) struct Pending {
    pub(super) promise: Promise,
    pub(super) task: &'static str,
    /// What is written to the worker; kept until a worker has begun the call, since it may have to be written again.
    pub(super) frame: Option<Arc<Vec<u8>>>,
}

impl Pending {
    pub(super) fn ended(self, ending: Ending) -> Ended {
        Ended { promise: self.promise, task: self.task, ending }
    }
}

/// A call whose end is known, and has to be handed out.
pub(super) struct Ended {
    promise: Promise,
    task: &'static str,
    ending: Ending,
}

/// The writing side of a started worker.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) pid: u32,
    pub(super) index: usize,
    pub(super) outbox: Outbox,
}

/// What takes time and is left to the driver, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Start { worker: WorkerId, index: usize },
    Retire { worker: WorkerId },
    Kill { worker: WorkerId },
}

/// What became of the driver thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DriverState {
    Unstarted,
    Running,
    Ended,
}

/// Everything behind the lock.
pub(super) struct State {
    pub(super) scheduler: Scheduler,
    pub(super) calls: HashMap<CallId, Pending>,
    pub(super) links: BTreeMap<WorkerId, Link>,
    pub(super) jobs: Vec<Job>,
    pub(super) driver: DriverState,
    /// Whether the scheduler has said that nothing more will come.
    pub(super) is_over: bool,
    pub(super) last_call: u64,
    /// How many threads wait in `prewarm`.
    pub(super) prewarming: usize,
    pub(super) start_failures: u64,
    pub(super) last_start_error: Option<Error>,
    pub(super) decided: Vec<Ended>,
}

/// What is to be done when the lock is gone.
#[must_use]
pub(super) struct Decided {
    ended: Vec<Ended>,
    pub(super) wakes_driver: bool,
}

impl Decided {
    pub(super) fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }

    /// Hands the outcomes out. The callbacks come back, to be run where they belong.
    pub(super) fn resolve(self) -> Vec<Callback> {
        let ended = self.ended.into_iter();
        ended
            .flat_map(|Ended { promise, task, ending }| promise.resolve(ending.into_outcome(task)))
            .collect()
    }
}

impl State {
    pub(super) fn new(scheduler: Scheduler) -> Self {
        Self {
            scheduler,
            calls: HashMap::new(),
            links: BTreeMap::new(),
            jobs: Vec::new(),
            driver: DriverState::Unstarted,
            is_over: false,
            last_call: 0,
            prewarming: 0,
            start_failures: 0,
            last_start_error: None,
            decided: Vec::new(),
        }
    }

    /// Performs what the scheduler has decided, as far as it takes no time.
    pub(super) fn perform(&mut self) -> Decided {
        let mut wakes_driver = false;
        while let Some(action) = self.scheduler.poll_action() {
            match action {
                Action::Dispatch { worker, call } => wakes_driver |= self.dispatch(worker, call),
                Action::Resolve { call, verdict } => {
                    if let Some(pending) = self.calls.remove(&call) {
                        self.decided.push(pending.ended(Ending::Judged(verdict)));
                    }
                }
                Action::Start { worker, index } => self.jobs.push(Job::Start { worker, index }),
                Action::Retire { worker } => self.jobs.push(Job::Retire { worker }),
                Action::Kill { worker } => self.jobs.push(Job::Kill { worker }),
                Action::End => self.is_over = true,
            }
        }
        wakes_driver |= !self.jobs.is_empty() || self.is_over;
        Decided { ended: std::mem::take(&mut self.decided), wakes_driver }
    }

    /// Writes a call to its worker. True if the driver has to write the rest.
    fn dispatch(&mut self, worker: WorkerId, call: CallId) -> bool {
        let frame = self.calls.get(&call).and_then(|pending| pending.frame.clone());
        let (Some(frame), Some(link)) = (frame, self.links.get_mut(&worker)) else { return false };
        // An error means that the worker is gone, which the driver is about to see.
        let _ = link.outbox.send(frame);
        link.outbox.is_waiting()
    }
}
