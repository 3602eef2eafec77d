//! The outcome of a call that will come: [`Future`], and waiting for many of them.
//!
//! A [`slot`] is shared by the [`Promise`](slot::Promise), which the pool holds and fills once, and the futures, which read
//! it as often as they like. A slot knows no types and no processes: the outcome is bytes, or an error; the future decodes.
//!
//! Who waits for a result does the pool's work meanwhile: [`Driver::wait`] reads from the worker that has the call, so that no
//! other thread has to be woken for it. What is waited for in any other way (callbacks, wakers, `wait`, `as_completed`) is
//! [announced](Driver::request_background_read) to the pool, whose own thread reads for it.
//!
//! What runs where: a callback that is added before the outcome runs on the pool's callback thread, in the order in which
//! they were added; one that is added after it, and those of a call that is cancelled, run in the thread that adds or
//! cancels. Wakers run in the thread that brings the outcome. No lock is held in any of these.
//!
//! This module must not know what a pool is: what it needs of one is the trait [`Driver`]. Tested in `tests.rs` with
//! promises of its own.

mod as_completed;
pub(crate) mod chunk;
#[cfg(test)]
mod model;
mod payload;
mod poll;
pub(crate) mod slot;
#[cfg(test)]
mod tests;
mod wait;
mod watch;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub use self::as_completed::{AsCompleted, AsCompletedTimeout, as_completed};
pub use self::wait::{ReturnWhen, Waited, wait};
pub(crate) use self::watch::{Awaited, Watch};

use self::chunk::{CallRef, Lookup};
use self::poll::Polled;
use self::slot::{Callback, Outcome, Slot, Snapshot};
use crate::clock;
use crate::codec::{Attachments, ValueCodec};
use crate::error::{Error, ErrorKind, Execution, Result};
use crate::id::CallId;
use crate::sys::fork_guard;

/// What a slot sleeps on; in its model this is loom's.
mod locks {
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
}

/// What a future needs of the pool that its call was given to.
pub(crate) trait Driver: Send + Sync {
    /// Blocks until the call has an outcome, or until `deadline`.
    fn wait(&self, call: CallId, slot: &Slot, deadline: Option<Instant>);

    /// Somebody is to be told of the outcome who does not [`wait`](Self::wait) for it.
    fn request_background_read(&self, call: CallId);

    /// The same of a call that another has become, of whose outcome somebody was to be told: nobody has asked just now.
    fn request_background_read_moved(&self, call: CallId);

    /// Takes the call back, if it has not started; of a chunk the one with this number.
    fn cancel(&self, call: CallId, number: Option<u32>) -> Cancelled;

    /// The process that has begun the call, or that one of the chunk, if one has.
    fn running_in(&self, call: CallId, number: Option<u32>) -> Option<u32>;
}

/// The way from a slot to its pool: one for all slots of a pool, so that each takes one word. Cheap to clone.
///
/// Leads nowhere when the pool is at its end: then there is nothing to be driven any more.
#[derive(Clone)]
pub(crate) struct DriverRef(Arc<Weak<dyn Driver>>);

impl DriverRef {
    pub(crate) fn new(driver: Weak<dyn Driver>) -> Self {
        Self(Arc::new(driver))
    }

    fn get(&self) -> Option<Arc<dyn Driver>> {
        self.0.upgrade()
    }
}

/// What came of an attempt to take a call back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    Yes,
    /// It has begun.
    No,
    /// It has an outcome, which is on its way to the slot.
    IsOver,
}

/// The outcome of a call, now or later. Python's `concurrent.futures.Future`.
///
/// Clones share the outcome. Dropping a future does nothing to the call; it outlives the executor. It is also an ordinary
/// [`std::future::Future`], which any async runtime can await. (Its waker runs in whichever thread brings the outcome, perhaps
/// the pool's own: as everywhere, a waker must not block.)
///
/// ```
/// #[loky::task]
/// fn double(x: u64) -> u64 {
///     2 * x
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///         let future = executor.submit(double, 21);
///         assert_eq!(future.result()?, 42);
///         assert!(future.is_done() && !future.is_cancelled());
///         Ok(())
///     }
/// }
/// ```
#[must_use = "the outcome of the call, errors included, is only seen here"]
pub struct Future<R> {
    /// Where its call was in the beginning.
    seat: CallRef,
    /// `None` where no result can come: what was submitted is no task.
    output: Option<ValueCodec<R>>,
    /// Set once it is polled.
    polled: Option<Polled>,
}

impl<R: 'static> Future<R> {
    pub(crate) fn new(seat: CallRef, output: ValueCodec<R>) -> Self {
        Self { seat, output: Some(output), polled: None }
    }

    /// The future of a call that was not accepted.
    pub(crate) fn failed(task: &'static str, error: Error) -> Self {
        Self::seated(Slot::failed(task, error), None)
    }

    /// Blocks until the call has an outcome, and returns it: each time a fresh value.
    ///
    /// # Errors
    /// Whatever became of the call: see [`ErrorKind`]. [`ErrorKind::InvalidConfig`] in a process that was forked off the
    /// one that submitted the call.
    pub fn result(&self) -> Result<R> {
        self.result_until(None)
    }

    /// As [`result`](Self::result), but waits no longer than `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if there is no outcome by then; the call goes on.
    pub fn result_timeout(&self, timeout: Duration) -> Result<R> {
        self.result_until(clock::deadline(Some(timeout)))
    }

    /// Blocks until there is an outcome, or until `deadline`.
    fn outcome_until(&self, deadline: Option<Instant>) -> Option<Outcome> {
        self.seat.ask(|CallRef { slot, number }| match slot.peek(*number) {
            Lookup::Here(None) => {
                match slot.driver() {
                    Some((driver, call)) => driver.wait(call, slot, deadline),
                    // The pool is at its end, and has given its outcomes out, or is about to.
                    None => drop(slot.park(None, deadline)),
                }
                slot.peek(*number)
            }
            found => found,
        })
    }

    fn result_until(&self, deadline: Option<Instant>) -> Result<R> {
        self.check_process()?;
        match self.outcome_until(deadline) {
            Some(outcome) => self.decode(outcome),
            None => Err(self.timed_out()),
        }
    }

    /// Tells the pool that somebody is to be told of the outcome.
    fn request_background_read(&self) {
        let driver =
            self.seat.ask(|CallRef { slot, number }| slot.snapshot(*number).map(|_| slot.driver()));
        if let Some((driver, call)) = driver {
            driver.request_background_read(call);
        }
    }

    fn timed_out(&self) -> Error {
        let task = self.seat.slot.task();
        Error::new(ErrorKind::Timeout, format!("the call of `{task}` has no outcome yet"))
            .with_task(task)
            .with_execution(Execution::Started) // Or it does so next: it goes on.
    }

    fn decode(&self, outcome: Outcome) -> Result<R> {
        let payload = outcome?;
        self.decode_bytes(&payload, payload.attachments())
    }

    fn decode_bytes(&self, bytes: &[u8], attachments: &Attachments) -> Result<R> {
        let output = self.output.expect("a call that was not accepted has no result");
        output.decode_all(bytes, attachments).map_err(|error| {
            let task = self.seat.slot.task();
            let message = format!("the result of `{task}` cannot be decoded: {error}");
            Error::new(ErrorKind::DecodeResult, message)
                .with_task(task)
                .with_execution(Execution::Finished)
        })
    }

    /// Blocks until the call has an outcome, and returns the error if it is one. Python's `exception()`.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        self.result().err()
    }

    fn snapshot(&self) -> Snapshot {
        self.seat.snapshot()
    }

    /// The outcome, if there is one.
    fn peek(&self) -> Option<Outcome> {
        self.seat.ask(|CallRef { slot, number }| slot.peek(*number))
    }

    /// Whether the call has an outcome. Never blocks.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.snapshot(), Snapshot::Done { .. })
    }

    /// Whether a worker has begun the call and it has no outcome yet. Never blocks.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running_in().is_some() && !self.is_done()
    }

    /// Whether the call was cancelled. Never blocks.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.snapshot().is_cancelled()
    }

    /// Whether there is an outcome, which is an error, which is not that it was cancelled.
    fn has_failed(&self) -> bool {
        matches!(self.peek(), Some(Err(error)) if !error.is_cancelled())
    }

    /// Takes the call back, if it has not started. True if it will never run (also when it was cancelled before).
    ///
    /// Callbacks run before it returns.
    pub fn cancel(&self) -> bool {
        if self.check_process().is_err() {
            return false;
        }
        self.seat.ask(|CallRef { slot, number }| {
            slot.snapshot(*number).then(|snapshot| match (snapshot, slot.driver()) {
                (Snapshot::Pending, Some((driver, call))) => match driver.cancel(call, *number) {
                    Cancelled::Yes => Lookup::Here(true),
                    Cancelled::No => Lookup::Here(false),
                    Cancelled::IsOver => {
                        slot.park(None, None);
                        slot.snapshot(*number).map(Snapshot::is_cancelled)
                    }
                },
                (snapshot, _) => Lookup::Here(snapshot.is_cancelled()),
            })
        })
    }

    /// The process that runs the call, or ran it. `None` before it began.
    #[must_use]
    pub fn worker_pid(&self) -> Option<u32> {
        let worker_pid = |CallRef { slot, number }: &CallRef| slot.worker_pid(*number);
        self.running_in().or_else(|| self.seat.ask(worker_pid))
    }

    /// Has `callback` called with this future as soon as there is an outcome.
    ///
    /// Callbacks are called in the order in which they were added, one at a time, on a thread of the pool, where they may
    /// submit and wait; when there is an outcome already, at once in this thread. A panic in one is reported by the panic
    /// hook and hurts nothing else.
    pub fn add_done_callback(&self, callback: impl FnOnce(Self) + Send + 'static) {
        let future = self.clone();
        let mut callback: Option<Callback> = Some(Box::new(move || callback(future)));
        if self.seat.ask(|CallRef { slot, number }| slot.add_callback(*number, &mut callback)) {
            self.request_background_read();
        }
    }

    fn check_process(&self) -> Result<()> {
        check_process(self.seat.slot.owner_pid())
    }
}

impl<R> Future<R> {
    fn seated(slot: Arc<Slot>, output: Option<ValueCodec<R>>) -> Self {
        Self { seat: slot.into(), output, polled: None }
    }

    /// The process that has begun the call, of which there is no outcome yet.
    fn running_in(&self) -> Option<u32> {
        check_process(self.seat.slot.owner_pid()).ok()?;
        self.seat.ask(|CallRef { slot, number }| {
            slot.snapshot(*number).map(|_| {
                let (driver, call) = slot.driver()?;
                driver.running_in(call, *number)
            })
        })
    }
}

/// Refuses in a process that was forked off the one that `owner` was.
pub(crate) fn check_process(owner: u32) -> Result<()> {
    if fork_guard::current_pid() == owner {
        return Ok(());
    }
    let message =
        format!("this handle belongs to the process `{owner}`, which this one was forked off");
    Err(Error::new(ErrorKind::InvalidConfig, message))
}

impl<R> Clone for Future<R> {
    fn clone(&self) -> Self {
        Self { seat: self.seat.clone(), output: self.output, polled: None }
    }
}

impl<R> fmt::Debug for Future<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Future");
        out.field("task", &self.seat.slot.task());
        match self.seat.ask(|CallRef { slot, number }| slot.peek(*number)) {
            None if self.running_in().is_some() => out.field("state", &"running"),
            None => out.field("state", &"pending"),
            Some(Ok(_)) => {
                out.field("state", &"finished").field("returned", &std::any::type_name::<R>())
            }
            Some(Err(error)) if error.is_cancelled() => out.field("state", &"cancelled"),
            Some(Err(error)) => out.field("state", &"finished").field("failed", &error.kind()),
        };
        out.finish()
    }
}
