//! Numbers of one executor at one moment.

/// What an executor has and has done: [`ProcessPoolExecutor::stats`](crate::ProcessPoolExecutor::stats).
///
/// All numbers are of one moment, and agree: `submitted` is `queued + given + succeeded + failed + cancelled`.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The most workers that there are to be.
    pub max_workers: usize,
    /// Workers that are there now, those that are starting or leaving included.
    pub workers: usize,
    /// Of those, how many have nothing to do.
    pub idle_workers: usize,
    /// Workers that are on their way up: not ready for calls yet, and perhaps not even started.
    pub starting_workers: usize,
    /// Calls that wait for a worker.
    pub queued: usize,
    /// Calls that lie with a worker, running or next.
    pub given: usize,
    /// Calls that were accepted.
    pub submitted: u64,
    /// Calls whose task returned, an `Err` of its own included.
    pub succeeded: u64,
    /// Calls that ended with an error of this library.
    pub failed: u64,
    /// Calls that were cancelled.
    pub cancelled: u64,
    /// Worker processes that were started.
    pub workers_started: u64,
    /// Worker processes that were told to leave: since there was nothing for them to do, or since others were to replace them.
    pub workers_retired: u64,
    /// Worker processes that ended without having been told to.
    pub workers_died: u64,
}
