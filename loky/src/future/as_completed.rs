//! Futures in the order in which they get their outcomes.

use std::fmt;
use std::iter;
use std::time::{Duration, Instant};

use super::Future;
use super::wait::distinct;
use super::watch::Watch;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};

/// Yields each of `futures` once, as soon as it has an outcome; those that have one come first.
///
/// In a process that was forked off the one that submitted them they are left out.
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
///         let futures: Vec<_> = (0..4).map(|x| executor.submit(square, x)).collect();
///         let mut squares: Vec<u64> =
///             loky::as_completed(futures).map(|future| future.result()).collect::<Result<_, _>>()?;
///         squares.sort();
///         assert_eq!(squares, [0, 1, 4, 9]);
///         Ok(())
///     }
/// }
/// ```
pub fn as_completed<R: 'static>(futures: impl IntoIterator<Item = Future<R>>) -> AsCompleted<R> {
    let mut watch = Watch::new();
    for (number, future) in distinct(futures.into_iter()).into_iter().enumerate() {
        watch.add(number, future);
    }
    AsCompleted { all: watch.len(), watch }
}

/// The iterator of [`as_completed`].
#[must_use = "iterators do nothing until they are used"]
pub struct AsCompleted<R> {
    watch: Watch<Future<R>>,
    /// How many there were at the beginning.
    all: usize,
}

impl<R: 'static> AsCompleted<R> {
    /// Waits no longer than until `timeout` from now: then one [`ErrorKind::Timeout`] and the end.
    pub fn timeout(self, timeout: Duration) -> AsCompletedTimeout<R> {
        AsCompletedTimeout {
            futures: self,
            deadline: clock::deadline(Some(timeout)),
            is_over: false,
        }
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Future<R>> {
        // Also those are left out that this process has left behind with its parent since the beginning.
        let mut completed = iter::from_fn(|| self.watch.next(deadline));
        completed.find_map(|(_, future)| future.check_process().is_ok().then_some(future))
    }
}

impl<R: 'static> Iterator for AsCompleted<R> {
    type Item = Future<R>;

    fn next(&mut self) -> Option<Future<R>> {
        self.next_until(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.watch.len()))
    }
}

/// The iterator of [`AsCompleted::timeout`].
#[must_use = "iterators do nothing until they are used"]
pub struct AsCompletedTimeout<R> {
    futures: AsCompleted<R>,
    deadline: Option<Instant>,
    is_over: bool,
}

impl<R: 'static> Iterator for AsCompletedTimeout<R> {
    type Item = Result<Future<R>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        if let Some(future) = self.futures.next_until(self.deadline) {
            return Some(Ok(future));
        }
        self.is_over = true;
        let left = self.futures.watch.len();
        if left == 0 {
            return None;
        }
        let all = self.futures.all;
        let message = format!("{left} (of {all}) futures unfinished");
        Some(Err(Error::new(ErrorKind::Timeout, message)))
    }
}

impl<R> fmt::Debug for AsCompleted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("watch", &self.watch).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for AsCompletedTimeout<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompletedTimeout")
            .field("futures", &self.futures)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
