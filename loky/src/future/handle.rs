//! [`Future`]: the user's handle of a call's outcome.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::call_ref::{CallRef, Lookup};
use super::cell::{OutcomeCell, Snapshot};
use super::driver::{Cancelled, Waiter};
use super::listeners::Callback;
use super::owner::check_process;
use super::payload::Outcome;
use super::poll::Polled;
use crate::clock;
use crate::codec::{Attachments, ValueCodec};
use crate::error::{Error, ErrorKind, Execution, Result};

/// The outcome of a call, now or later. Python's `concurrent.futures.Future`.
///
/// Clones share the outcome. Dropping a future does not cancel its call. A future outlives its executor.
///
/// It implements [`std::future::Future`], so any async runtime can await it. Its waker runs in the thread that brings the
/// outcome, perhaps a thread of the pool, so a waker must not block.
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
    /// Where the outcome arrives, unless the call has moved since.
    call: CallRef<OutcomeCell>,
    /// `None` if no result can come, because the function that was submitted is no task.
    output: Option<ValueCodec<R>>,
    /// Set by the first poll.
    polled: Option<Polled>,
    /// Whether there are, or were, clones of this handle.
    is_cloned: AtomicBool,
}

impl<R: 'static> Future<R> {
    pub(crate) fn new(call: CallRef<OutcomeCell>, output: ValueCodec<R>) -> Self {
        Self::with_output(call, Some(output))
    }

    /// The future of a call that was not accepted.
    pub(crate) fn failed(task: &'static str, error: Error) -> Self {
        Self::with_output(OutcomeCell::failed(task, error).into(), None)
    }

    /// Waits until the call has an outcome, and returns it. Each call decodes a fresh value.
    ///
    /// # Errors
    /// The error of the call: see [`ErrorKind`]. [`ErrorKind::InvalidConfig`] in a process that was forked off the one that
    /// submitted the call.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let future = executor.submit(double, 21);
    /// assert_eq!(future.result()?, 42);
    /// assert_eq!(future.result()?, 42);
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn result(&self) -> Result<R> {
        self.result_until(None)
    }

    /// Waits until the call has an outcome, but no longer than `timeout`, and returns the outcome.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if there is no outcome by then. The call goes on, and the future can be asked again. Else as
    /// [`result`](Self::result).
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let future = executor.submit(double, 21);
    /// assert_eq!(future.result_timeout(std::time::Duration::from_secs(60))?, 42);
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn result_timeout(&self, timeout: Duration) -> Result<R> {
        self.result_until(clock::deadline(Some(timeout)))
    }

    /// Waits until the call has an outcome, and returns it. Consumes the future.
    ///
    /// The memory of the result is released with the future: at once, if the future was never cloned, else with the last clone.
    /// So it suits large results.
    ///
    /// # Errors
    /// As [`result`](Self::result).
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let future = executor.submit(double, 21);
    /// assert_eq!(future.into_result()?, 42);
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn into_result(self) -> Result<R> {
        self.check_process()?;
        let outcome = self.outcome_until(None).unwrap_or_else(|| Err(self.timed_out()));
        if !self.is_cloned.load(Ordering::Relaxed) {
            // The cell of a batch lives as long as any future of the batch.
            self.call.ask(|CallRef { cell, number }| cell.release(*number));
        }
        self.decode(outcome)
    }

    /// Blocks until there is an outcome, or until `deadline`.
    fn outcome_until(&self, deadline: Option<Instant>) -> Option<Outcome> {
        self.wait_until(deadline, OutcomeCell::outcome)
    }

    /// Blocks until `ask` has an answer, which it has once the call has an outcome, or until `deadline`.
    pub(super) fn wait_until<T>(
        &self,
        deadline: Option<Instant>,
        ask: impl Fn(&OutcomeCell, Option<u32>) -> Lookup<OutcomeCell, Option<T>>,
    ) -> Option<T> {
        self.call.ask(|call| {
            let CallRef { cell, number } = call;
            match ask(cell, *number) {
                Lookup::Here(None) => {
                    match cell.driver() {
                        Some((driver, id)) => driver.wait(id, call, deadline),
                        // The pool is gone. It has resolved all its cells, or is about to.
                        None => _ = call.park(None, deadline),
                    }
                    ask(cell, *number)
                }
                found => found,
            }
        })
    }

    fn result_until(&self, deadline: Option<Instant>) -> Result<R> {
        self.check_process()?;
        match self.outcome_until(deadline) {
            Some(outcome) => self.decode(outcome),
            None => Err(self.timed_out()),
        }
    }

    /// Tells the pool that a listener waits for the outcome.
    pub(super) fn request_background_read(&self) {
        let driver =
            self.call.ask(|CallRef { cell, number }| cell.snapshot(*number).map(|_| cell.driver()));
        if let Some((driver, call)) = driver {
            driver.request_background_read(call);
        }
    }

    fn timed_out(&self) -> Error {
        let task = self.call.cell.task();
        Error::new(ErrorKind::Timeout, format!("the call of `{task}` has no outcome yet"))
            .with_task(task)
            .with_execution(Execution::Started) // Or it starts later: it goes on.
    }

    pub(super) fn decode(&self, outcome: Outcome) -> Result<R> {
        let payload = outcome?;
        self.decode_bytes(&payload, payload.attachments())
    }

    pub(super) fn decode_bytes(&self, bytes: &[u8], attachments: &Attachments) -> Result<R> {
        let output = self.output.expect("a call that was not accepted has no result");
        output.decode_all(bytes, attachments).map_err(|error| {
            let task = self.call.cell.task();
            let message = format!("the result of `{task}` cannot be decoded: {error}");
            Error::new(ErrorKind::DecodeResult, message)
                .with_task(task)
                .with_execution(Execution::Finished)
        })
    }

    /// Waits until the call has an outcome, and returns its error, if it is one. Python's `exception()`.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let future = executor.submit(double, 21);
    /// assert!(future.error().is_none());
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        self.result().err()
    }

    /// Returns whether the call has an outcome. Never blocks.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let future = executor.submit(double, 21);
    /// future.result()?;
    /// assert!(future.is_done());
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.call.snapshot(), Snapshot::Done { .. })
    }

    /// Returns whether a worker has begun the call and it has no outcome yet. Never blocks.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let future = executor.submit(double, 21);
    /// future.result()?;
    /// assert!(!future.is_running());
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running_in().is_some() && !self.is_done()
    }

    /// Returns whether the call was cancelled. Never blocks.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let future = executor.submit(double, 21);
    /// assert_eq!(future.cancel(), future.is_cancelled());
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.call.snapshot().is_cancelled()
    }

    /// Whether the outcome is there and is an error other than a cancellation.
    pub(super) fn has_failed(&self) -> bool {
        let outcome = self.call.ask(|CallRef { cell, number }| cell.outcome(*number));
        matches!(outcome, Some(Err(error)) if !error.is_cancelled())
    }

    /// Cancels the call if it has not begun. Returns true if it never runs, also if it was cancelled before.
    ///
    /// The callbacks of the future run before `cancel` returns.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let future = executor.submit(double, 21);
    /// match future.cancel() {
    ///     true => assert!(future.result().unwrap_err().is_cancelled()),
    ///     false => assert_eq!(future.result()?, 42), // A worker was faster.
    /// }
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        if self.check_process().is_err() {
            return false;
        }
        self.call.ask(|call| {
            let CallRef { cell, number } = call;
            cell.snapshot(*number).then(|snapshot| match (snapshot, cell.driver()) {
                (Snapshot::Pending, Some((driver, id))) => match driver.cancel(id, *number) {
                    Cancelled::Yes => Lookup::Here(true),
                    Cancelled::No => Lookup::Here(false),
                    Cancelled::Settled => {
                        call.park(None, None);
                        cell.snapshot(*number).map(Snapshot::is_cancelled)
                    }
                },
                (snapshot, _) => Lookup::Here(snapshot.is_cancelled()),
            })
        })
    }

    /// Returns the process that runs the call, or ran it. `None` before the call has begun.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let future = executor.submit(double, 21);
    /// future.result()?;
    /// assert!(executor.worker_pids().contains(&future.worker_pid().unwrap()));
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    #[must_use]
    pub fn worker_pid(&self) -> Option<u32> {
        let worker_pid = |CallRef { cell, number }: &CallRef<OutcomeCell>| cell.worker_pid(*number);
        self.running_in().or_else(|| self.call.ask(worker_pid))
    }

    /// Calls `callback` with a clone of this future once there is an outcome.
    ///
    /// If there is an outcome already, `callback` runs at once in this thread. Else it runs on a thread of the pool, where it may
    /// submit and wait. Callbacks run one at a time, in the order in which they were added. The panic hook reports a callback
    /// that panics; nothing else suffers from it.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn double(x: u64) -> u64 {
    /// #     2 * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let future = executor.submit(double, 21);
    /// future.add_done_callback(move |future| sender.send(future.result()).unwrap());
    /// assert_eq!(receiver.recv().unwrap()?, 42);
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(Self) + Send + 'static) {
        let future = self.clone();
        let mut callback: Option<Callback> = Some(Box::new(move || callback(future)));
        let add = |CallRef { cell, number }: &CallRef<OutcomeCell>| {
            cell.add_callback(*number, &mut callback)
        };
        if self.call.ask(add) {
            self.request_background_read();
        }
    }
}

impl<R> Future<R> {
    pub(super) fn with_output(call: CallRef<OutcomeCell>, output: Option<ValueCodec<R>>) -> Self {
        Self { call, output, polled: None, is_cloned: AtomicBool::new(false) }
    }

    pub(super) fn call(&self) -> &CallRef<OutcomeCell> {
        &self.call
    }

    pub(super) fn output(&self) -> Option<ValueCodec<R>> {
        self.output
    }

    /// Fails in a process that was forked off the one that submitted the call.
    pub(super) fn check_process(&self) -> Result<()> {
        check_process(self.call.cell.owner_pid())
    }

    /// The process that has begun the call, while the call has no outcome.
    fn running_in(&self) -> Option<u32> {
        self.check_process().ok()?;
        self.call.ask(|CallRef { cell, number }| {
            cell.snapshot(*number).map(|_| {
                let (driver, call) = cell.driver()?;
                driver.running_in(call, *number)
            })
        })
    }
}

impl<R: 'static> std::future::Future for Future<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Err(error) = self.check_process() {
            return Poll::Ready(Err(error));
        }
        let call = self.call.clone();
        let polled = self.polled.get_or_insert_with(|| Polled::new(call));
        match polled.poll(context) {
            Some(outcome) => Poll::Ready(self.decode(outcome)),
            None => {
                self.request_background_read();
                Poll::Pending
            }
        }
    }
}

impl<R> Clone for Future<R> {
    fn clone(&self) -> Self {
        self.is_cloned.store(true, Ordering::Relaxed);
        let Self { call, output, .. } = self;
        Self { call: call.clone(), output: *output, polled: None, is_cloned: AtomicBool::new(true) }
    }
}

impl<R> fmt::Debug for Future<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Future");
        out.field("task", &self.call.cell.task());
        match self.call.ask(|CallRef { cell, number }| cell.outcome(*number)) {
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
