//! Measures loky beside what it is built on.
//!
//! A time alone says little: it depends on the machine, on its load, and on the CPUs of two processes. So each number is a
//! ratio. Blocks of a subject and of a reference alternate in one run ([`interleave`]). The best and the median ratio are shown, and
//! the median is compared with a [`Budget`]. The references are the bare channel to another process ([`EchoProcess`]) and a pool
//! of threads ([`ThreadPool`]).
//!
//! The rows of the table are in `budget/`. `cargo bench` runs them, and accepts parts of row names, `--quick` and `--placement NAME`
//! after `--`. `README.md` in this folder describes all programs.

mod blocks;
mod budget;
mod callers;
mod hogs;
mod memory;
mod options;
pub mod peers;
mod placement;
mod raw_stream;
mod report;
mod thread_pool;

pub use blocks::{Blocks, Unit, interleave};
pub use budget::{Budget, Verdict};
pub use callers::{calls_per_second, p50};
pub use memory::Memory;
pub use options::{Effort, Options};
pub use placement::{Place, Placement};
pub use raw_stream::{EchoProcess, MESSAGE_BYTES, batched, ping_pong};
pub use report::{Tally, heading, line};
pub use thread_pool::ThreadPool;

/// The error that ends a bench.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result of a bench.
pub type Result<T> = std::result::Result<T, Error>;

/// Serves as the other side of a reference, or as a hog, if a bench has started this process for that.
///
/// Call it as the first statement of `main`, and return if it returns true.
#[must_use]
pub fn was_helper() -> bool {
    raw_stream::was_echo() || hogs::was_hog()
}
