//! Waiting for several futures until enough of them are done.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::handle::Future;
use super::watch::Watch;
use crate::clock;

/// How many futures [`wait`] waits for. Python's `return_when`.
///
/// ```
/// # #[loky::task]
/// # fn half(x: u64) -> u64 {
/// #     x / 2
/// # }
/// # loky::main! {
/// #     fn main() -> loky::Result<()> {
/// let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
/// use loky::{ReturnWhen, wait};
///
/// let futures: Vec<_> = (0..4).map(|x| executor.submit(half, x)).collect();
/// let waited = wait(&futures, ReturnWhen::FirstCompleted, None);
/// assert!(!waited.done.is_empty());
/// #         Ok(())
/// #     }
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReturnWhen {
    /// Until one has an outcome, cancelled or not.
    FirstCompleted,
    /// Until one has failed, or all have an outcome. A cancelled call has not failed, and neither has a result that cannot be
    /// decoded: `wait` does not decode.
    FirstException,
    /// Until all have an outcome.
    #[default]
    AllCompleted,
}

/// The futures that [`wait`] has waited for, in two groups. Each keeps the order in which the futures were given.
///
/// ```
/// # #[loky::task]
/// # fn half(x: u64) -> u64 {
/// #     x / 2
/// # }
/// # loky::main! {
/// #     fn main() -> loky::Result<()> {
/// let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
/// use loky::{ReturnWhen, wait};
///
/// let futures: Vec<_> = (0..4).map(|x| executor.submit(half, x)).collect();
/// let waited = wait(&futures, ReturnWhen::AllCompleted, None);
/// for future in waited.done {
///     assert!(future.result()? < 2);
/// }
/// #         Ok(())
/// #     }
/// # }
/// ```
#[non_exhaustive]
pub struct Waited<R> {
    /// The futures that have an outcome.
    pub done: Vec<Future<R>>,
    /// The other futures.
    pub not_done: Vec<Future<R>>,
}

impl<R> fmt::Debug for Waited<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, not_done } = self;
        f.debug_struct("Waited").field("done", done).field("not_done", not_done).finish()
    }
}

/// Waits until enough of `futures` have an outcome, or until `timeout` has passed. `None` waits without a limit.
///
/// A future and its clones count as one and come back once. In a process that was forked off the one that submitted the calls,
/// `wait` returns at once.
///
/// ```
/// use loky::{ReturnWhen, wait};
///
/// #[loky::task]
/// fn half(x: u64) -> u64 {
///     x / 2
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
///         let futures: Vec<_> = (0..4).map(|x| executor.submit(half, x)).collect();
///         let waited = wait(&futures, ReturnWhen::AllCompleted, None);
///         assert_eq!((waited.done.len(), waited.not_done.len()), (4, 0));
///         Ok(())
///     }
/// }
/// ```
#[must_use]
pub fn wait<R: 'static>(
    futures: &[Future<R>],
    return_when: ReturnWhen,
    timeout: Option<Duration>,
) -> Waited<R> {
    let deadline = clock::deadline(timeout);
    let futures = distinct(futures.iter().cloned());
    let mut watch = Watch::new();
    for (number, future) in futures.iter().enumerate() {
        watch.add(number, future.clone());
    }
    while let Some((_, future)) = watch.next(deadline) {
        let is_enough = match return_when {
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstException => future.has_failed(),
            ReturnWhen::AllCompleted => false,
        };
        if is_enough {
            break;
        }
    }
    let (done, not_done) = futures.into_iter().partition(Future::is_done);
    Waited { done, not_done }
}

/// The futures without those that are clones of an earlier one.
pub(super) fn distinct<R>(futures: impl Iterator<Item = Future<R>>) -> Vec<Future<R>> {
    let mut seen = HashSet::new();
    let call = |future: &Future<R>| (Arc::as_ptr(&future.call().cell), future.call().number);
    futures.filter(|future| seen.insert(call(future))).collect()
}
