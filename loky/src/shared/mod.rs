//! Large data that many calls read, in memory that all processes share: it is not copied, only its handle travels.
//!
//! [`SharedBytes`] and [`SharedSlice`] are like `Arc<[u8]>` and `Arc<[T]>`, except that clones may live in several processes. They
//! are made from what is there, or filled in place as a [`SharedSliceMut`] and then frozen; after that nobody can change them,
//! neither by `unsafe` nor by way of /proc: the kernel sees to it.
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
//! They can be arguments and results of tasks, and stand anywhere inside of these, any number in a call: in a `Vec`, an
//! `Option`, a struct, a map. A task may keep what it got, give it back, or pass it on to workers of its own. (With serde alone, to
//! a file for instance, they do not travel: that is an error which says so. [`to_vec`](slice::to_vec) makes what does.)
//!
//! # How long it lives
//!
//! The memory is there until the last handle is gone, in whatever process, and the last call that has one among its arguments or
//! its result; then the kernel takes it back, also when processes are killed. It has no name in any file system, so nothing can be
//! left behind. A future keeps what is in its result.
//!
//! # Limits
//!
//! Each has a descriptor in each process that holds it: `ulimit -n` says how many there can be at a time, of a call's arguments as
//! well. Past that, to make another one is an error, or the call that brings it fails, with [`ErrorKind::Io`](crate::ErrorKind::Io);
//! nothing else is hurt. For many small values a `Vec` is the better choice: to make and to map such memory takes some
//! microseconds, which is as long as it takes to send some 10 KiB.
//!
//! It counts as memory of the process that has made it, in a container too.
//!
// How it works: `sys/segment.rs` has the memory and its seals, `codec/attachments.rs` the way by which the descriptor comes along.
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
/// let again = page.clone(); // the same memory
/// assert!(again.starts_with(b"<") && page == again);
/// # Ok::<(), loky::Error>(())
/// ```
pub type SharedBytes = SharedSlice<u8>;
