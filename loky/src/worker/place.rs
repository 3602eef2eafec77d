//! Where this process stands: how many workers there are above one another, and which of its pool's workers it is.
//!
//! Told by the parent in its first message, before any task runs.

use std::sync::atomic::{AtomicU32, Ordering};

/// 0 in the user's process, 1 in its workers, 2 in theirs.
static DEPTH: AtomicU32 = AtomicU32::new(0);

static INDEX: AtomicU32 = AtomicU32::new(0);

/// What the parent has said that this process is.
pub(super) fn set(depth: u32, index: u32) {
    INDEX.store(index, Ordering::Relaxed);
    DEPTH.store(depth, Ordering::Relaxed);
}

/// How many workers there are above one another here: 0 in the user's process, 1 in a worker, 2 in the worker of a worker.
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
/// An executor cannot be built where this is `LOKY_MAX_DEPTH` (10, if that is not set) or more: see
/// [`ErrorKind::Recursion`](crate::ErrorKind::Recursion).
#[must_use]
pub fn depth() -> u32 {
    DEPTH.load(Ordering::Relaxed)
}

/// Whether this process is a worker.
///
/// True in tasks, and false in the program that submits them, and in programs that tasks run.
#[must_use]
pub fn is_worker() -> bool {
    depth() > 0
}

/// Which of its executor's workers this process is: a number below `max_workers` that no other live worker of that executor
/// has. `None` if it is no worker.
///
/// When a worker is replaced, its number goes to a later one. For what there is a limited number of, such as GPUs, see
/// [`Builder::worker_env`](crate::Builder::worker_env) as well.
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
