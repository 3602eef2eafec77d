//! What this module needs of a pool: the trait [`Driver`], and the reference to it that each outcome cell holds.

use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::id::CallId;

/// The pool that a call was submitted to.
pub(crate) trait Driver: Send + Sync {
    /// Blocks until the call that `waiter` asks for is no longer pending in its cell, or until `deadline`.
    ///
    /// The caller then asks the cell again: the call may have an outcome, or may have moved to another cell.
    fn wait(&self, call: CallId, waiter: &dyn Waiter, deadline: Option<Instant>);

    /// Has the pool thread read from the worker of this call: a callback, waker or watcher listens for its outcome.
    fn request_background_read(&self, call: CallId);

    /// Cancels the call if it has not begun. With a number it cancels that call of the batch, without one every call of the
    /// batch that has not begun.
    fn cancel(&self, call: CallId, number: Option<u32>) -> Cancelled;

    /// The process that has begun the call, or the call with this number in the batch.
    fn running_in(&self, call: CallId, number: Option<u32>) -> Option<u32>;
}

/// A call as the pool sees it from a thread that waits for it.
pub(crate) trait Waiter {
    /// The number of the call in its batch. `None` for a call that has a cell of its own.
    fn number(&self) -> Option<u32>;

    /// Whether the cell still has neither an outcome for the call nor another cell that the call has moved to.
    fn is_pending(&self) -> bool;

    /// How often the threads that are parked here were told to ask the pool again. To be read before a thread parks.
    fn retries(&self) -> u64;

    /// Blocks until the call is no longer pending, until there are more retries than `seen`, or until `deadline`.
    fn park(&self, seen: Option<u64>, deadline: Option<Instant>) -> Unparked;
}

/// Why a parked thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unparked {
    /// The call is no longer pending in this cell.
    Settled,
    /// The pool may have something that the thread can do for its call.
    Retry,
    TimedOut,
}

/// The result of an attempt to cancel a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    Yes,
    /// The call has begun.
    No,
    /// The outcome of the call is on its way to the cell, or the call has moved to another cell.
    Settled,
}

/// The reference from an outcome cell to its pool. All cells of a pool share one allocation, so it takes one word per cell.
///
/// It does not keep the pool alive. Once the pool is gone there is nothing left to drive.
#[derive(Clone)]
pub(crate) struct DriverRef(Arc<Weak<dyn Driver>>);

impl DriverRef {
    pub(crate) fn new(driver: Weak<dyn Driver>) -> Self {
        Self(Arc::new(driver))
    }

    pub(super) fn get(&self) -> Option<Arc<dyn Driver>> {
        self.0.upgrade()
    }
}
