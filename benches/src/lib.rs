//! Measuring loky beside what it is built on.
//!
//! A time alone says little: it differs by machine, by what else runs there, and by where the system puts two processes. So
//! each number is a ratio: blocks of the subject and of a reference are measured by turns in one run ([`interleave`]), and
//! the best and the median of the blocks' ratios are held against a [`Budget`]. The references are the bare channel to
//! another process ([`EchoProcess`]) and a pool of threads ([`ThreadPool`]).
//!
//! The rows of the table are in `budget/`; run them with `cargo bench`, which also takes, after `--`, the names of rows (parts
//! of them will do), `--quick` and `--placement NAME`. `README.md` in this folder has the rest.

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

/// What goes wrong in a bench, which then ends.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result of a bench.
pub type Result<T> = std::result::Result<T, Error>;

/// Does what this process was started for, if a bench has started it as the other side of a reference or as a hog.
///
/// To be called as the first statement of `main`, which is to return when this says true.
#[must_use]
pub fn was_helper() -> bool {
    raw_stream::was_echo() || hogs::was_hog()
}
