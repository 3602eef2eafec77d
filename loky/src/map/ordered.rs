//! The map that yields its results in the order of the items.

use std::fmt;
use std::iter::FusedIterator;
use std::time::Duration;

use super::MapUnordered;
use super::flow::Flow;
use super::in_flight::Queue;
use super::supply::Supply;
use crate::error::Result;

/// The results of [`ProcessPoolExecutor::map`](crate::ProcessPoolExecutor::map), in the order of the items.
///
/// Its methods are adapters. Use them before the first `next`.
///
/// ```
/// use std::time::Duration;
///
/// #[loky::task]
/// fn root(x: u64) -> u64 {
///     x.isqrt()
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
///         let roots = executor.map(root, 0..).chunksize(100).timeout(Duration::from_secs(60));
///         let sum: u64 = roots.take(1000).sum::<loky::Result<_>>()?;
///         assert_eq!(sum, (0..1000).map(root).sum());
///         Ok(())
///     }
/// }
/// ```
#[must_use = "iterators do nothing until they are used"]
pub struct Map<'a, R: 'static> {
    flow: Flow<'a, R, Queue<R>>,
}

impl<'a, R> Map<'a, R> {
    pub(super) fn new(supply: Supply<'a, R>) -> Self {
        let in_flight = Queue::new();
        Self { flow: Flow { in_flight, supply, timeout: None, deadline: None, is_over: false } }
    }

    /// Sets how many items are taken and submitted at a time. By default the map starts with one, and takes more once the calls turn
    /// out to be short.
    ///
    /// A larger chunk costs less per call. It changes nothing else: each item is a call of its own, which fails alone and is
    /// cancelled alone. A chunk is never larger than the [`window`](Self::window). With 1, each item is submitted before the next
    /// is taken. With 0, the map yields one [`InvalidConfig`](crate::ErrorKind::InvalidConfig) and ends.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn square(x: u64) -> u64 {
    /// #     x * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    /// let squares: u64 = executor.map(square, 0..1000).chunksize(100).sum::<loky::Result<_>>()?;
    /// assert_eq!(squares, (0..1000).map(square).sum());
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn chunksize(mut self, chunksize: usize) -> Self {
        self.flow.supply.pace.chunksize = Some(chunksize);
        self
    }

    /// Sets how far the map runs ahead of the consumer: the most items that are taken and not yet yielded. By default the map
    /// chooses enough that no worker waits, and at least one chunk per worker.
    ///
    /// Arguments and results of that many calls may be in memory at a time. With 1, an item is taken only after the previous result
    /// was yielded. With 0, the map yields one [`InvalidConfig`](crate::ErrorKind::InvalidConfig) and ends.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn square(x: u64) -> u64 {
    /// #     x * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    /// let mut squares = executor.map(square, 0..).window(10);
    /// assert_eq!(squares.next().unwrap()?, 0);
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn window(mut self, window: usize) -> Self {
        self.flow.supply.pace.window = Some(window);
        self
    }

    /// Limits the time of the map to `timeout` from the first `next` on.
    ///
    /// When it has passed, the map yields the results that are there, then one [`Timeout`](crate::ErrorKind::Timeout) in place of
    /// the first missing result, and ends. It cancels the calls that have not begun. An iterable that blocks is not interrupted.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn square(x: u64) -> u64 {
    /// #     x * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    /// let squares = executor.map(square, 0..4).timeout(std::time::Duration::from_secs(60));
    /// assert_eq!(squares.collect::<loky::Result<Vec<_>>>()?, [0, 1, 4, 9]);
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.flow.timeout = Some(timeout);
        self
    }

    /// Yields the results in completion order, each with the index of its item. It comes last among the adapters.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn square(x: u64) -> u64 {
    /// #     x * x
    /// # }
    /// # loky::main! {
    /// #     fn main() -> loky::Result<()> {
    /// let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    /// let mut squares: Vec<_> = executor.map(square, 0..4).unordered().collect();
    /// squares.sort_by_key(|(index, _)| *index);
    /// for (index, result) in squares {
    ///     assert_eq!(result?, square(index as u64));
    /// }
    /// #         Ok(())
    /// #     }
    /// # }
    /// ```
    pub fn unordered(self) -> MapUnordered<'a, R> {
        let Flow { in_flight, supply, timeout, deadline, is_over } = self.flow;
        let in_flight = in_flight.into_pile();
        MapUnordered { flow: Flow { in_flight, supply, timeout, deadline, is_over } }
    }
}

impl<R> Iterator for Map<'_, R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        self.flow.next().map(|(_, result)| result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.flow.size_hint()
    }
}

impl<R> FusedIterator for Map<'_, R> {}

impl<R> fmt::Debug for Map<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.flow.debug("Map", f)
    }
}
