//! `map`: the results of a task over an iterable, lazily and in order.
//!
//! Nothing is submitted before the first `next`; from then on so many calls are kept in flight that no worker waits for the
//! consumer, and no more, so that an endless iterable works. Each item is a call of its own. Tested in the package `tests`.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::ProcessPoolExecutor;
use crate::future::Future;
use crate::registry::IntoTask;

impl ProcessPoolExecutor {
    /// Calls `task` with each item of `iterable` and yields the results in the order of the items.
    ///
    /// Lazy: nothing is submitted before the first `next`, and then only a bounded number of calls ahead of the consumer, so
    /// a huge or endless iterable works. An item that fails is an `Err` of its own, and the iteration goes on. Dropping the
    /// iterator cancels what has not started.
    ///
    /// ```
    /// #[loky::task]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    ///         let squares: Vec<u64> = executor.map(square, 0..4).collect::<Result<_, _>>()?;
    ///         assert_eq!(squares, [0, 1, 4, 9]);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn map<'a, T, Args, Kind, I>(&self, task: T, iterable: I) -> Map<'a, T::Output>
    where
        T: IntoTask<Args, Kind>,
        Args: 'a,
        I: IntoIterator<Item = Args>,
        I::IntoIter: Send + 'a,
    {
        let calls: Calls<'a, T::Output> = match task.into_task() {
            Ok(task) => {
                let executor = self.clone();
                let submit = move |args| executor.submit_task(task, &args);
                Box::new(iterable.into_iter().map(submit))
            }
            Err(error) => {
                let name = std::any::type_name::<T>();
                let refuse = move |_| Future::failed(name, error.clone());
                Box::new(iterable.into_iter().map(refuse))
            }
        };
        let window = self.appetite();
        Map {
            calls,
            window,
            in_flight: VecDeque::new(),
            timeout: None,
            deadline: None,
            is_over: false,
        }
    }
}

/// Submits the next item's call each time it is asked.
type Calls<'a, R> = Box<dyn Iterator<Item = Future<R>> + Send + 'a>;

/// The results of [`ProcessPoolExecutor::map`], in the order of the items.
#[must_use = "iterators do nothing until they are used"]
pub struct Map<'a, R: 'static> {
    calls: Calls<'a, R>,
    window: usize,
    in_flight: VecDeque<Future<R>>,
    timeout: Option<Duration>,
    /// Set at the first `next`.
    deadline: Option<Instant>,
    is_over: bool,
}

impl<R> Map<'_, R> {
    /// Waits no longer than until `timeout` after the first `next`: then one [`ErrorKind::Timeout`] and the end.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<R> Iterator for Map<'_, R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        if self.is_over {
            return None;
        }
        if let Some(timeout) = self.timeout.take() {
            self.deadline = clock::deadline(Some(timeout));
        }
        while self.in_flight.len() < self.window
            && let Some(future) = self.calls.next()
        {
            self.in_flight.push_back(future);
        }
        let Some(future) = self.in_flight.pop_front() else {
            self.is_over = true;
            return None;
        };
        let result = future.result_until(self.deadline);
        // No call has an outcome of this kind: it is the waiting that has come to its end.
        if result.as_ref().is_err_and(Error::is_timeout) {
            self.is_over = true;
            self.in_flight.push_front(future);
            self.cancel_pending();
            let message = "the results of a map did not come in its time";
            return Some(Err(Error::new(ErrorKind::Timeout, message)));
        }
        Some(result)
    }
}

impl<R> Map<'_, R> {
    /// Takes back what has not started, the last first: so no worker picks up one of them meanwhile.
    fn cancel_pending(&mut self) {
        for future in self.in_flight.drain(..).rev() {
            future.cancel();
        }
    }
}

impl<R> Drop for Map<'_, R> {
    fn drop(&mut self) {
        self.cancel_pending();
    }
}

impl<R> fmt::Debug for Map<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("in_flight", &self.in_flight.len())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
