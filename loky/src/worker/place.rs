//! The place of this process: its depth below the user's process, and its index among its pool's workers.
//!
//! The parent's first message brings both, before any task runs.

use std::sync::atomic::{AtomicU32, Ordering};

/// 0 in the user's process, 1 in its workers, 2 in theirs.
static DEPTH: AtomicU32 = AtomicU32::new(0);

static INDEX: AtomicU32 = AtomicU32::new(0);

/// Stores the place that the parent's first message names.
pub(super) fn set(depth: u32, index: u32) {
    INDEX.store(index, Ordering::Relaxed);
    DEPTH.store(depth, Ordering::Relaxed);
}

/// Returns the depth of this process: 0 in the user's process, 1 in its workers, 2 in the workers of a worker.
///
/// ```
/// #[loky::task]
/// fn depth_there() -> u32 {
///     loky::depth()
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///         assert_eq!((loky::depth(), executor.submit(depth_there, ()).result()?), (0, 1));
///         Ok(())
///     }
/// }
/// ```
///
/// Executors cannot be built at the depth `LOKY_MAX_DEPTH` (default 10) and below it: see
/// [`ErrorKind::Recursion`](crate::ErrorKind::Recursion).
#[must_use]
pub fn depth() -> u32 {
    DEPTH.load(Ordering::Relaxed)
}

/// Returns whether this process is a worker.
///
/// It is true in tasks. It is false in the program that submits them, and in programs that tasks start.
///
/// ```
/// #[loky::task]
/// fn is_worker_there() -> bool {
///     loky::is_worker()
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///         assert!(executor.submit(is_worker_there, ()).result()? && !loky::is_worker());
///         Ok(())
///     }
/// }
/// ```
#[must_use]
pub fn is_worker() -> bool {
    depth() > 0
}

/// Returns the index of this worker among its executor's workers. `None` if this process is not a worker.
///
/// The index is below `max_workers`, and no two live workers of an executor share one. The worker that replaces another gets its
/// index. To give each worker a resource of its own, such as a GPU, see [`Builder::worker_env`](crate::Builder::worker_env) as well.
///
/// ```
/// #[loky::task]
/// fn index_there() -> Option<usize> {
///     loky::worker_index()
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///         assert_eq!(executor.submit(index_there, ()).result()?, Some(0));
///         assert_eq!(loky::worker_index(), None);
///         Ok(())
///     }
/// }
/// ```
#[must_use]
pub fn worker_index() -> Option<usize> {
    is_worker().then(|| INDEX.load(Ordering::Relaxed) as usize)
}
