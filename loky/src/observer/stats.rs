//! The numbers of one executor at one moment, as plain data.

/// The numbers of an executor at one moment, from [`ProcessPoolExecutor::stats`](crate::ProcessPoolExecutor::stats).
///
/// All numbers agree: `submitted` is `queued + given + succeeded + failed + cancelled`.
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
///         executor.submit(double, 21).result()?;
///         let stats = executor.stats();
///         assert_eq!((stats.submitted, stats.succeeded, stats.queued), (1, 1, 0));
///         assert_eq!((stats.workers, stats.workers_died), (1, 0));
///         Ok(())
///     }
/// }
/// ```
///
/// Later versions may add numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The highest number of workers.
    pub max_workers: usize,
    /// Workers that exist now, including starting and leaving ones.
    pub workers: usize,
    /// Workers of these that are idle.
    pub idle_workers: usize,
    /// Workers that are starting: not ready for calls yet, and perhaps without a process yet.
    pub starting_workers: usize,
    /// Calls that wait in the queue.
    pub queued: usize,
    /// Calls that were dispatched to a worker, running or next.
    pub given: usize,
    /// Calls that were accepted.
    pub submitted: u64,
    /// Calls whose task returned, also those that returned an `Err`.
    pub succeeded: u64,
    /// Calls that ended with an error of this library.
    pub failed: u64,
    /// Calls that were cancelled.
    pub cancelled: u64,
    /// Worker processes that were started.
    pub workers_started: u64,
    /// Worker processes that the pool told to leave, because they were idle or are to be replaced.
    pub workers_retired: u64,
    /// Worker processes that ended, and that the pool had not told to.
    pub workers_died: u64,
}
