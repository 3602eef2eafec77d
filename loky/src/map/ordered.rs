//! The map whose results come in the order of the items.

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
/// Its methods are adapters, to be used before the first `next`:
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

    /// Takes and submits so many items at a time, which is cheaper than one after another. By default it is chosen while
    /// running: one, and more once the calls turn out to be short.
    ///
    /// It is a matter of transport alone: each item is a call of its own, which fails alone and is cancelled alone. No chunk
    /// is larger than the [`window`](Self::window). With 1 each item is submitted before the next is taken. With 0 the first item is an [`InvalidConfig`](crate::ErrorKind::InvalidConfig), then comes the
    /// end.
    pub fn chunksize(mut self, chunksize: usize) -> Self {
        self.flow.supply.pace.chunksize = Some(chunksize);
        self
    }

    /// Takes at most so many items that are not yielded yet: how far it may run ahead of the consumer. By default it is
    /// chosen while running: enough that no worker has to wait, and at least a chunk for each worker.
    ///
    /// Arguments and results of so many calls may lie in memory at a time. With 1 an item is taken only when the result of
    /// the one before was yielded. With 0 the first item is an [`InvalidConfig`](crate::ErrorKind::InvalidConfig), then comes the end.
    pub fn window(mut self, window: usize) -> Self {
        self.flow.supply.pace.window = Some(window);
        self
    }

    /// Submits and waits no longer than until `timeout` after the first `next`. Then come the results that are there, one
    /// [`Timeout`](crate::ErrorKind::Timeout) in the place of the first that is not, and the end. What has not started is cancelled.
    ///
    /// An iterable that blocks is not interrupted.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.flow.timeout = Some(timeout);
        self
    }

    /// Yields the results as they come, each with the index of its item. The last of the adapters.
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
