//! The write end of an outcome cell. The [parent module](super) has the protocol.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::batch::Answers;
use super::call_ref::MovedTail;
use super::cell::{Inner, OutcomeCell, State};
use super::driver::DriverRef;
use super::listeners::{Listeners, notify_here};
use super::payload::Outcome;
use crate::error::{Error, ErrorKind, Execution};
use crate::id::CallId;

/// The obligation to give a call, or every call of a batch, exactly one outcome.
///
/// A promise that is dropped unresolved resolves its cell with an error, so no waiter is left behind.
pub(crate) struct Promise {
    /// `None` once it is resolved.
    cell: Option<Arc<OutcomeCell>>,
}

impl Promise {
    /// The promise and the cell of a call of `task`.
    pub(crate) fn new(
        task: &'static str,
        driver: &DriverRef,
        call: CallId,
    ) -> (Self, Arc<OutcomeCell>) {
        let cell = OutcomeCell::new(task, Some(driver.clone()), call, State::Pending);
        (Self { cell: Some(Arc::clone(&cell)) }, cell)
    }

    pub(crate) fn task(&self) -> &'static str {
        self.cell.as_ref().map_or("", |cell| cell.task())
    }

    pub(crate) fn cell(&self) -> Option<&Arc<OutcomeCell>> {
        self.cell.as_ref()
    }

    /// The reference to the pool that the call was submitted to.
    pub(crate) fn driver(&self) -> Option<DriverRef> {
        self.cell.as_ref()?.driver_ref()
    }

    /// Has the threads that are parked in the cell ask the pool again.
    pub(crate) fn unpark_to_retry(&self) {
        if let Some(cell) = &self.cell {
            cell.unpark_to_retry();
        }
    }

    /// Writes the outcome of a single call and wakes the parked threads. `worker_pid` is the process that has begun the call.
    /// Returns the listeners, if there are any.
    pub(crate) fn resolve(
        mut self,
        outcome: Outcome,
        worker_pid: Option<u32>,
    ) -> Option<Listeners> {
        let cell = self.cell.take()?;
        finish(&cell, worker_pid, |state| *state = State::Done(outcome))
    }

    /// Ends a batch: publishes `answers`, and gives `last` to the calls that are pending after that. `last` is `None` if there
    /// are none, and `Ok` only if there is one.
    pub(crate) fn resolve_batch(
        mut self,
        answers: Answers,
        last: Option<Outcome>,
        worker_pid: Option<u32>,
    ) -> Option<Listeners> {
        let cell = self.cell.take()?;
        finish(&cell, worker_pid, |state| {
            let batch = state.batch();
            let is_whole = batch.publish(answers)
                && match last {
                    Some(last) => batch.end(last),
                    None => batch.close(),
                };
            if !is_whole {
                batch.end(Err(lost(cell.task())));
            }
        })
    }

    /// Moves the calls of a batch from `end` on to the cells in `tail`, which no other thread knows yet. Returns the calls that
    /// have got listeners by that. The caller holds the pool's lock and owes the cell a [`Publication`].
    pub(crate) fn move_tail(&self, end: u32, tail: MovedTail<OutcomeCell>) -> Vec<CallId> {
        let Some(mut inner) = self.cell.as_ref().and_then(|cell| cell.lock()) else {
            return Vec::new();
        };
        let Inner { state, listeners, .. } = &mut *inner;
        let batch = state.batch();
        batch.move_tail(end, tail);
        let mut listened = Vec::new();
        if let Some(listeners) = listeners {
            listeners.move_on(
                |number| batch.moved_to(number),
                |other, listener| {
                    if let Some(mut inner) = other.cell.lock() {
                        inner.listeners().adopt(other.number, listener);
                        listened.push(other.cell.call());
                    }
                },
            );
        }
        listened.dedup();
        listened
    }

    /// The obligation to publish the answered calls of a batch that was divided.
    pub(crate) fn publication(&self) -> Publication {
        Publication { cell: self.cell.clone() }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            let error = Err(lost(cell.task()));
            notify_here(finish(&cell, None, |state| match state {
                State::Batch(batch) => _ = batch.end(error),
                State::Pending | State::Done(_) => *state = State::Done(error),
            }));
        }
    }
}

/// What a batch that was divided owes to its cell: the answers of its first calls. Used with no lock held.
pub(crate) struct Publication {
    cell: Option<Arc<OutcomeCell>>,
}

impl Publication {
    /// The task of the batch.
    pub(crate) fn task(&self) -> &'static str {
        self.cell.as_ref().map_or("", |cell| cell.task())
    }

    /// Publishes the answers, which the process `worker_pid` has given. Wakes the parked threads. Returns the listeners of the
    /// calls that are answered now, and the wakers of those that have moved.
    pub(crate) fn publish(self, answers: Answers, worker_pid: Option<u32>) -> Option<Listeners> {
        let cell = self.cell?;
        let mut inner = cell.lock()?;
        let Inner { state, listeners, .. } = &mut *inner;
        let batch = state.batch();
        if !batch.publish(answers) {
            batch.end(Err(lost(cell.task())));
        }
        let settled = listeners
            .as_mut()
            .and_then(|listeners| listeners.take_settled(|call| !state.is_pending(call)));
        inner.worker_pid = worker_pid.and_then(NonZeroU32::new).or(inner.worker_pid);
        cell.unpark(inner);
        settled
    }
}

/// Ends a cell under its lock and wakes the parked threads. Returns the listeners, if there are any.
fn finish(
    cell: &OutcomeCell,
    worker_pid: Option<u32>,
    write: impl FnOnce(&mut State),
) -> Option<Listeners> {
    let mut inner = cell.lock()?;
    let Inner { state, listeners, .. } = &mut *inner;
    write(state);
    let mut listeners = listeners.take().map(|listeners| *listeners);
    if let Some(listeners) = &mut listeners {
        listeners.note_cancelled(|call| state.is_cancelled(call));
    }
    inner.worker_pid = worker_pid.and_then(NonZeroU32::new).or(inner.worker_pid);
    cell.unpark(inner);
    listeners
}

/// The outcome of a call whose promise was dropped.
fn lost(task: &'static str) -> Error {
    let message = format!("the call of `{task}` was lost by a fault in the pool");
    Error::new(ErrorKind::BrokenProcessPool, message)
        .with_task(task)
        .with_execution(Execution::Started)
}
