//! Large data that many calls read, in memory that all processes share: only its handle travels, without a copy.
//!
//! [`SharedBytes`] and [`SharedSlice`] are like `Arc<[u8]>` and `Arc<[T]>`, except that clones may live in several processes.
//! They are created from a slice or vector, or filled in place as a [`SharedSliceMut`] and then frozen. After that the values cannot
//! change: the kernel prevents it, also for `unsafe` code and /proc.
//!
//! ```
//! use loky::shared::{SharedSlice, SharedSliceMut};
//!
//! #[loky::task]
//! fn sum(numbers: SharedSlice<f64>, part: std::ops::Range<usize>) -> f64 {
//!     numbers[part].iter().sum()
//! }
//!
//! loky::main! {
//!     fn main() -> loky::Result<()> {
//!         let mut numbers = SharedSliceMut::<f64>::zeroed(100_000)?;
//!         numbers.iter_mut().zip(1_u32..).for_each(|(number, i)| *number = i.into());
//!         let numbers = numbers.freeze()?;
//!
//!         let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
//!         let halves = [0..50_000, 50_000..100_000];
//!         let sums = halves.map(|half| executor.submit(sum, (numbers.clone(), half)));
//!         assert_eq!(sums[0].result()? + sums[1].result()?, 5_000_050_000.0);
//!         Ok(())
//!     }
//! }
//! ```
//!
//! Handles can be arguments and results of tasks, also inside a `Vec`, an `Option`, a struct or a map, and in any number. A task may
//! keep a handle, return it, or pass it to workers of its own. Serde alone cannot carry a handle, for instance to a file: that is an
//! error with a clear message. [`to_vec`](slice::to_vec) makes a copy that serde can carry.
//!
//! # Lifetime
//!
//! The memory lives until the last handle in any process is dropped, and the last call with a handle in its arguments or result
//! is over. Then the kernel frees it, also when processes are killed. It has no name in a file system, so nothing is ever left
//! behind. A future keeps the handles in its result.
//!
//! # Limits
//!
//! A handle takes a descriptor in each process that holds it, so `ulimit -n` limits their number. Beyond that limit, creation fails
//! with [`ErrorKind::Io`](crate::ErrorKind::Io), and so does a call whose arguments or result need too many; nothing else is
//! affected. For many small values a `Vec` is better: to create and map shared memory takes some microseconds, as long as
//! sending 10 KiB.
//!
//! The memory counts as that of the process that created it, also in a container.
//!
// Implementation: `sys/segment.rs` has the memory and its seals, `codec/attachments.rs` passes the descriptor.
// Tested in `tests.rs`, and through real workers in the package `tests`.

mod slice;
#[cfg(test)]
mod tests;
mod travel;

pub use self::slice::{SharedSlice, SharedSliceMut};
pub use crate::sys::pod::Pod;

/// Bytes in shared memory: like an `Arc<[u8]>` whose clones may live in several processes.
///
/// ```
/// use loky::shared::SharedBytes;
///
/// let page = SharedBytes::from_vec(b"<html>".to_vec())?;
/// let again = page.clone(); // shares the memory
/// assert!(again.starts_with(b"<") && page == again);
/// # Ok::<(), loky::Error>(())
/// ```
pub type SharedBytes = SharedSlice<u8>;
