//! Futures in the order in which they get their outcomes.

use std::fmt;
use std::iter;
use std::time::{Duration, Instant};

use super::handle::Future;
use super::wait::distinct;
use super::watch::Watch;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};

/// Yields each of `futures` once, in completion order. Futures that have an outcome already come first.
///
/// A future and its clones count as one. Futures of a process that this one was forked off are left out.
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

/// The iterator that [`as_completed`] returns.
///
/// ```
/// # #[loky::task]
/// # fn square(x: u64) -> u64 {
/// #     x * x
/// # }
/// # loky::main! {
/// #     fn main() -> loky::Result<()> {
/// let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
/// let futures = (0..4).map(|x| executor.submit(square, x));
/// let mut completed: loky::AsCompleted<u64> = loky::as_completed(futures);
/// let first = completed.next().expect("one is done first");
/// assert!(first.is_done());
/// #         Ok(())
/// #     }
/// # }
/// ```
#[must_use = "iterators do nothing until they are used"]
pub struct AsCompleted<R> {
    watch: Watch<Future<R>>,
    /// How many futures there were at the beginning.
    all: usize,
}

impl<R: 'static> AsCompleted<R> {
    /// Limits the time of the whole iteration to `timeout` from now. When it has passed, the iterator yields one
    /// [`ErrorKind::Timeout`] and ends.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn square(x: u64) -> u64 {
    /// #     x * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    /// let futures = (0..4).map(|x| executor.submit(square, x));
    /// for future in loky::as_completed(futures).timeout(std::time::Duration::from_secs(60)) {
    ///     assert!(future?.result()? < 10);
    /// }
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn timeout(self, timeout: Duration) -> AsCompletedTimeout<R> {
        AsCompletedTimeout {
            futures: self,
            deadline: clock::deadline(Some(timeout)),
            is_over: false,
        }
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Future<R>> {
        // This process may have been forked off since the beginning: then no future is its own any more.
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

/// The iterator that [`AsCompleted::timeout`] returns. Its items are errors only if the time is over.
///
/// ```
/// # #[loky::task]
/// # fn square(x: u64) -> u64 {
/// #     x * x
/// # }
/// # loky::main! {
/// #     fn main() -> loky::Result<()> {
/// let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
/// use std::time::Duration;
///
/// let futures = (0..4).map(|x| executor.submit(square, x));
/// let completed: loky::AsCompletedTimeout<u64> =
///     loky::as_completed(futures).timeout(Duration::from_secs(60));
/// assert_eq!(completed.filter(Result::is_ok).count(), 4);
/// #         Ok(())
/// #     }
/// # }
/// ```
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
