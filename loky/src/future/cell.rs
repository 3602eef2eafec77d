//! The outcome cell: the shared record of one call, or of one batch. The [parent module](super) has the protocol.
//!
//! This file has the side of the readers: futures, waiting threads and watches. Only [`promise`](super::promise) writes. The
//! loom model in `model.rs` compiles both files over loom's locks.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crossbeam_channel::Sender;

use super::batch::{Batch, Taken, never_began};
use super::call_ref::{CallRef, Lookup};
use super::driver::{Driver, DriverRef, Unparked, Waiter};
use super::listeners::{Callback, Listeners, Watcher, run_callbacks};
use super::locks::{Condvar, Mutex, MutexGuard};
use super::payload::Outcome;
use crate::clock;
use crate::error::Error;
use crate::id::CallId;
use crate::sys::fork_guard;

/// Whether a call has an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Snapshot {
    Pending,
    Done { cancelled: bool },
}

impl Snapshot {
    pub(crate) fn is_cancelled(self) -> bool {
        self == Self::Done { cancelled: true }
    }
}

/// See the module's documentation.
pub(crate) struct OutcomeCell {
    task: &'static str,
    /// `None` for a call that was never accepted.
    driver: Option<DriverRef>,
    call: CallId,
    owner_pid: u32,
    settled: Condvar,
    inner: Mutex<Inner>,
}

/// What the lock of a cell protects.
pub(super) struct Inner {
    pub(super) state: State,
    /// Most calls have no listeners, so they are allocated with the first one.
    pub(super) listeners: Option<Box<Listeners>>,
    pub(super) worker_pid: Option<NonZeroU32>,
    /// How many threads are parked. Where there are none, no system call is made to wake them.
    parked: u32,
    /// How often the parked threads were told to ask the pool again.
    retries: u32,
}

pub(super) enum State {
    /// No call has an outcome, and none has moved.
    Pending,
    Done(Outcome),
    /// A batch that was divided, or has ended.
    Batch(Box<Batch<OutcomeCell>>),
}

impl State {
    /// Whether the call has neither an outcome here nor another cell.
    pub(super) fn is_pending(&self, call: Option<u32>) -> bool {
        match self {
            Self::Pending => true,
            Self::Done(_) => false,
            Self::Batch(batch) => batch.is_pending(call.unwrap_or(0)),
        }
    }

    pub(super) fn is_cancelled(&self, call: Option<u32>) -> bool {
        match self {
            Self::Pending => false,
            Self::Done(outcome) => outcome.as_ref().is_err_and(Error::is_cancelled),
            Self::Batch(batch) => batch.is_cancelled(call.unwrap_or(0)),
        }
    }

    /// Whether the call has ended without having begun.
    fn never_began(&self, call: Option<u32>) -> bool {
        match self {
            Self::Pending => false,
            Self::Done(outcome) => never_began(outcome),
            Self::Batch(batch) => batch.never_began(call.unwrap_or(0)),
        }
    }

    fn snapshot(&self, call: Option<u32>) -> Snapshot {
        match self.is_pending(call) {
            true => Snapshot::Pending,
            false => Snapshot::Done { cancelled: self.is_cancelled(call) },
        }
    }

    fn outcome(&mut self, call: Option<u32>) -> Option<Outcome> {
        match self {
            Self::Pending => None,
            Self::Done(outcome) => Some(outcome.clone()),
            Self::Batch(batch) => batch.outcome(call.unwrap_or(0)),
        }
    }

    /// The other cell that has the call, if it has moved.
    fn moved_to(&self, call: Option<u32>) -> Option<CallRef<OutcomeCell>> {
        match self {
            Self::Batch(batch) => batch.moved_to(call?),
            _ => None,
        }
    }

    /// Whether calls of a batch have moved to cells that were not taken yet.
    fn has_moved(&self) -> bool {
        matches!(self, Self::Batch(batch) if batch.has_moved())
    }

    /// The record of a batch that is about to be divided, or to end.
    pub(super) fn batch(&mut self) -> &mut Batch<OutcomeCell> {
        if let Self::Pending = self {
            *self = Self::Batch(Box::new(Batch::new()));
        }
        match self {
            Self::Batch(batch) => batch,
            _ => unreachable!("the promise of a batch writes no outcome of a single call"),
        }
    }
}

impl Inner {
    pub(super) fn listeners(&mut self) -> &mut Listeners {
        self.listeners.get_or_insert_default()
    }
}

impl OutcomeCell {
    pub(super) fn new(
        task: &'static str,
        driver: Option<DriverRef>,
        call: CallId,
        state: State,
    ) -> Arc<Self> {
        let inner = Inner { state, listeners: None, worker_pid: None, parked: 0, retries: 0 };
        Arc::new(Self {
            task,
            driver,
            call,
            owner_pid: fork_guard::current_pid(),
            settled: Condvar::new(),
            inner: Mutex::new(inner),
        })
    }

    /// The cell of a call that was never accepted.
    pub(crate) fn failed(task: &'static str, error: Error) -> Arc<Self> {
        Self::new(task, None, CallId::NONE, State::Done(Err(error)))
    }

    /// Locks the cell. `None` in a forked child: another thread of the parent may have held the lock, and in the child no thread
    /// will ever release it.
    pub(super) fn lock(&self) -> Option<MutexGuard<'_, Inner>> {
        // Nothing that may panic runs under this lock.
        self.is_ours().then(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_ours(&self) -> bool {
        fork_guard::current_pid() == self.owner_pid
    }

    pub(super) fn task(&self) -> &'static str {
        self.task
    }

    pub(super) fn owner_pid(&self) -> u32 {
        self.owner_pid
    }

    pub(super) fn call(&self) -> CallId {
        self.call
    }

    pub(super) fn driver_ref(&self) -> Option<DriverRef> {
        self.driver.clone()
    }

    /// The pool that the call was submitted to, if it is still there.
    pub(super) fn driver(&self) -> Option<(Arc<dyn Driver>, CallId)> {
        Some((self.driver.as_ref()?.get()?, self.call))
    }

    /// Reads the cell under its lock, unless the call has moved. Returns `foreign` in a forked child.
    fn read<T>(
        &self,
        call: Option<u32>,
        foreign: T,
        read: impl FnOnce(&mut Inner) -> T,
    ) -> Lookup<Self, T> {
        let Some(mut inner) = self.lock() else { return Lookup::Here(foreign) };
        match inner.state.moved_to(call) {
            Some(other) => Lookup::Moved(other),
            None => Lookup::Here(read(&mut inner)),
        }
    }

    pub(super) fn worker_pid(&self, call: Option<u32>) -> Lookup<Self, Option<u32>> {
        // The cell of a batch has one process, which has begun not all of its calls.
        self.read(call, None, |inner| {
            inner.worker_pid.filter(|_| !inner.state.never_began(call)).map(NonZeroU32::get)
        })
    }

    pub(super) fn snapshot(&self, call: Option<u32>) -> Lookup<Self, Snapshot> {
        self.read(call, Snapshot::Pending, |inner| inner.state.snapshot(call))
    }

    /// The outcome, if there is one.
    pub(super) fn outcome(&self, call: Option<u32>) -> Lookup<Self, Option<Outcome>> {
        self.read(call, None, |inner| inner.state.outcome(call))
    }

    /// Releases the result of a call that no other handle asks for, if the batch keeps it apart from the others.
    pub(super) fn release(&self, call: Option<u32>) -> Lookup<Self, ()> {
        let released = self.read(call, None, |inner| match &mut inner.state {
            State::Batch(batch) => batch.release(call?),
            State::Pending | State::Done(_) => None,
        });
        // Its attachments may give memory back to a worker, which is not for under the lock.
        released.map(drop)
    }

    /// Takes all that a batch has come to so far. `None` for a single call.
    pub(super) fn take_batch(&self) -> Option<Taken<Self>> {
        match &mut self.lock()?.state {
            State::Batch(batch) => Some(batch.take()),
            State::Pending | State::Done(_) => None,
        }
    }

    /// Wakes the parked threads after a change.
    pub(super) fn unpark(&self, inner: MutexGuard<'_, Inner>) {
        let is_any_parked = inner.parked > 0;
        drop(inner);
        if is_any_parked {
            self.settled.notify_all();
        }
    }

    /// Has the parked threads ask the pool again.
    pub(super) fn unpark_to_retry(&self) {
        if let Some(mut inner) = self.lock() {
            inner.retries = inner.retries.wrapping_add(1);
            self.unpark(inner);
        }
    }

    /// See [`Waiter::retries`].
    pub(super) fn retries(&self) -> u64 {
        self.lock().map_or(0, |inner| inner.retries.into())
    }

    /// See [`Waiter::park`].
    pub(super) fn park(
        &self,
        call: Option<u32>,
        seen: Option<u64>,
        deadline: Option<Instant>,
    ) -> Unparked {
        let Some(mut inner) = self.lock() else { return Unparked::TimedOut };
        inner.parked += 1;
        let unparked = loop {
            if !inner.state.is_pending(call) {
                break Unparked::Settled;
            }
            if seen.is_some_and(|seen| u64::from(inner.retries) != seen) {
                break Unparked::Retry;
            }
            inner = match deadline {
                None => self.settled.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(clock::now());
                    if left.is_zero() {
                        break Unparked::TimedOut;
                    }
                    let waited = self.settled.wait_timeout(inner, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        inner.parked -= 1;
        unparked
    }

    /// Returns the outcome, or registers `waker` to be woken once the call is no longer pending here. `key` belongs to the
    /// polled handle: its waker replaces the one of its previous poll.
    pub(super) fn poll(
        &self,
        call: Option<u32>,
        key: &mut Option<u64>,
        waker: &Waker,
    ) -> Lookup<Self, Option<Outcome>> {
        // Cloning and dropping a waker run foreign code, so neither happens under the lock.
        let mut waker = Some(waker.clone());
        let found = self.read(call, None, |inner| {
            let outcome = inner.state.outcome(call);
            if outcome.is_none()
                && let Some(new) = waker.take()
            {
                waker = inner.listeners().put_waker(call, key, new);
            }
            outcome
        });
        drop(waker);
        found
    }

    /// Removes the waker of a handle that is gone.
    pub(super) fn remove_waker(&self, key: u64) {
        let removed = self.lock().and_then(|mut inner| inner.listeners.as_mut()?.remove_waker(key));
        drop(removed);
    }

    /// Runs the callback now if there is an outcome, else stores it. True if it was stored.
    pub(super) fn add_callback(
        &self,
        call: Option<u32>,
        callback: &mut Option<Callback>,
    ) -> Lookup<Self, bool> {
        let found = self.read(call, false, |inner| {
            let is_pending = inner.state.is_pending(call);
            if is_pending && let Some(callback) = callback.take() {
                inner.listeners().add_callback(call, callback);
            }
            is_pending
        });
        if let Lookup::Here(false) = found
            && self.is_ours()
        {
            run_callbacks(callback.take().into_iter().collect());
        }
        found
    }

    /// Has `token` sent once there is an outcome, now if there is one already. With `follows_tail`, the token is sent as well once
    /// calls of the batch have moved to cells that were not taken yet. True if the token is still to be sent.
    pub(super) fn watch(
        &self,
        call: Option<u32>,
        token: usize,
        sender: &Sender<usize>,
        follows_tail: bool,
    ) -> Lookup<Self, bool> {
        self.read(call, false, |inner| {
            let watcher = Watcher::new(token, sender, follows_tail);
            let has_moved = follows_tail && inner.state.has_moved();
            let is_pending = inner.state.is_pending(call) && !has_moved;
            match is_pending {
                true => inner.listeners().add_watcher(call, watcher),
                false => watcher.notify(),
            }
            is_pending
        })
    }

    /// Removes the watchers of one watch, which ends before the outcome is there.
    pub(super) fn unwatch(&self, call: Option<u32>, sender: &Sender<usize>) -> Lookup<Self, ()> {
        self.read(call, (), |inner| {
            if let Some(listeners) = &mut inner.listeners {
                listeners.remove_watchers(sender);
            }
        })
    }
}

impl CallRef<OutcomeCell> {
    /// Whether the call has an outcome.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.ask(|Self { cell, number }| cell.snapshot(*number))
    }
}

impl Waiter for CallRef<OutcomeCell> {
    fn number(&self) -> Option<u32> {
        self.number
    }

    fn is_pending(&self) -> bool {
        self.cell.lock().is_some_and(|inner| inner.state.is_pending(self.number))
    }

    fn retries(&self) -> u64 {
        self.cell.retries()
    }

    fn park(&self, seen: Option<u64>, deadline: Option<Instant>) -> Unparked {
        self.cell.park(self.number, seen, deadline)
    }
}

impl fmt::Debug for OutcomeCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutcomeCell")
            .field("task", &self.task)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
