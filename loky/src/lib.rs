//! Run functions in worker processes: exec'd copies of the same program, which may crash without hurting it.
//!
//! ```
//! #[loky::task]
//! fn add(a: u64, b: u64) -> u64 {
//!     a + b
//! }
//!
//! loky::main! {
//!     fn main() -> loky::Result<()> {
//!         let executor = loky::ProcessPoolExecutor::new()?;
//!         assert_eq!(executor.submit(add, (1, 2)).result()?, 3);
//!         Ok(())
//!     }
//! }
//! ```
//!
//! # Guide
//!
//! **A task** is an ordinary function with [`#[loky::task]`](macro@task): it can still be called as before, and is registered
//! when the program is linked, under its path or a name that you give it. Arguments and result travel by serde; a function
//! whose error is not serde returns [`TaskResult`]. [`registry`] lists all tasks.
//!
//! **An entry** is where a copy of the program finds out that it is a worker: [`main!`], or [`init`] as the first statement of
//! `main`, or [`enable_test_support!`] at the root of a crate of tests. Workers never reach the rest of `main`, and get none of
//! the program's arguments.
//!
//! **An executor** is a pool of workers: [`ProcessPoolExecutor`]. [`submit`](ProcessPoolExecutor::submit) gives a [`Future`],
//! [`map`](ProcessPoolExecutor::map) a lazy iterator ([`Map`] has its adapters); [`wait`] and [`as_completed`] wait for many
//! futures. Dropping the last handle finishes what was accepted. [`get_reusable_executor`] gives the one that the whole process
//! shares, so that nobody has to pass it around or to start workers twice.
//!
//! **Workers** live as long as their [`Builder`] says: they may leave when they have nothing to do, be replaced after so many calls
//! or so much memory, run an initializer first, and have variables of their own. [`worker_index`] tells a task which of them it
//! runs in.
//!
//! **Large data** that many calls read lies in shared memory: [`shared`] has slices of which only the handle travels.
//!
//! **An error** says what happened: [`Error::kind`], and for a dead worker [`Error::worker_exit`], for a panic
//! [`Error::panic`]; [`Error::execution`] says whether the call may have run. Which calls a dying worker takes with it is the
//! [`CrashPolicy`]: by default the one that it was running.
//!
//! **What happens** in an executor is told to its [observer](Builder::observer), as [`Event`]s; [`Stats`] has the numbers.
//!
//! # Guarantees and limits
//!
//! - Every accepted call resolves exactly once, whatever dies. A call never runs twice.
//! - Nothing is left behind: no process, descriptor, thread or file after a shutdown; and when this process is gone, by SIGKILL
//!   too, its workers and what they started are gone within two seconds. What a task moved into a session of its own *and* whose
//!   parent has died is beyond what can be found.
//! - The end of [`main!`] finishes what was accepted; `std::process::exit` and signals do not.
//! - The library prints nothing, and changes no signal handler, signal mask or environment variable of this process.
//! - A stack overflow of a Rust thread ends in an abort: in a [`WorkerExit`] the two look alike.
//! - In a process that was forked off the one that made an executor, its handles fail with [`ErrorKind::InvalidConfig`].
//! - Where this program is process 1 of a container, what is left of a killed worker becomes its child, and nobody reaps it:
//!   `docker run --init` does.
//! - Executors in tasks can be nested 10 levels deep; `LOKY_MAX_DEPTH` in the environment changes that (0: no limit).
//! - A crate whose tasks the program never mentions is not linked: `use that_crate as _;` mends that.
//! - Values nested deeper than the codec's limit do not travel; they fail with a clear error.
//!
//! # Platform
//!
//! | | |
//! |---|---|
//! | Linux 5.3 and later | everything |
//! | older Linux, or without pidfds | everything; deaths are noticed within 50 ms rather than at once |
//! | Windows, macOS | not yet |
//!
//! # Cargo features
//!
//! - `bytemuck`: types that derive `bytemuck::Pod` can be elements of [shared memory](shared), beside numbers.
//!
//! # Related crates
//!
//! `rayon` and `crossbeam` share work among threads, which share a fate. `procspawn` runs closures in processes with one process
//! for each call or a simple pool. `ipc-channel` carries messages between processes that you start yourself.

// What the macros expand to names the crate so, here as everywhere.
extern crate self as loky;

mod calls;
mod clock;
mod codec;
mod config;
mod cpu_count;
mod entry;
mod error;
mod executor;
mod future;
mod id;
mod limits;
mod map;
mod observer;
mod pool;
mod registry;
mod role;
mod scheduler;
mod segments;
pub mod shared;
mod spawn;
mod sys;
mod task;
mod transport;
mod unwind;
mod wire;
mod worker;

#[doc(hidden)]
pub mod __private;

/// Runs the examples of the README with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Wraps the program's `main`, and makes a copy of the program that was started as a worker one.
///
/// Takes one function `main` without parameters, of any return type that a `main` may have. Attributes stay on it, so
/// `#[tokio::main] async fn main()` works. In a worker nothing of it runs.
///
/// ```
/// #[loky::task]
/// fn three() -> u64 {
///     3
/// }
///
/// loky::main! {
///     fn main() -> Result<(), Box<dyn std::error::Error>> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///         assert_eq!(executor.submit(three, ()).result()?, 3);
///         Ok(())
///     }
/// }
/// ```
///
/// At its end, executors that are still there finish what they have accepted, as Python's do at exit: the reusable one, those in
/// statics, those that were shut down without waiting. They take no more calls then, and no others begin. If `main` panics, they
/// are killed.
///
/// In the examples of a crate's documentation, which rustdoc joins into one program, add `loky::enable_test_support!();` to
/// one of them, or mark each as `standalone_crate`.
pub use loky_macros::main;
/// Registers a function as a task, which can be called in a worker.
///
/// The function stays as it is. It is registered when the program is linked: under its path, as
/// [`std::any::type_name`] gives it, or under the name that the attribute gives it.
///
/// ```
/// #[loky::task]
/// pub fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
///
/// #[loky::task(name = "geo.scale", timeout = "30s", retries = 2)]
/// fn scale(points: Vec<(f64, f64)>, by: f64) -> Vec<(f64, f64)> {
///     points.into_iter().map(|(x, y)| (x * by, y * by)).collect()
/// }
///
/// assert_eq!(add(1, 2), 3); // still an ordinary function
/// assert_eq!(scale::TASK.name(), "geo.scale"); // the task as a value
/// let call = add::call(1, 2); // the task with its arguments, for `ProcessPoolExecutor::spawn`
/// # let _ = call;
/// ```
///
/// | key | meaning |
/// |---|---|
/// | `name = "…"` | the name that the task is registered under |
/// | `timeout = "30s"` | how long one run may take (`ms`, `s`, `m`, `h`); takes effect in a later version |
/// | `retries = 2` | how often a call may run again when its worker died; takes effect in a later version |
/// | `companion = "…"` | the name of the type that holds `TASK` and `call`; by default the function's |
///
/// Arguments are at most 12 owned values; they and the result are `serde::Serialize + serde::de::DeserializeOwned`. A function
/// whose error is not returns [`TaskResult`]. Functions that are generic, `async`, `unsafe`, `extern` or methods, and
/// references, are refused with an error that says what to do instead.
///
/// Beside the function stands a type of the same name, which holds `TASK` and `call`: so a task cannot be imported beside a
/// module of its own name, unless `companion` gives that type another.
pub use loky_macros::task;

pub use crate::config::{CrashPolicy, InitializerOutput, Stdio};
pub use crate::cpu_count::{cpu_count, physical_cpu_count};
pub use crate::entry::init;
pub use crate::error::{
    Error, ErrorKind, Execution, PanicReport, RemoteError, Result, ResultExt, TaskResult,
    WorkerExit,
};
pub use crate::executor::{
    Builder, ProcessPoolExecutor, ReusableBuilder, Reuse, get_reusable_executor, reusable_executor,
};
#[doc(hidden)]
pub use crate::executor::{Own, Reusable};
pub use crate::future::{
    AsCompleted, AsCompletedTimeout, Future, ReturnWhen, Waited, as_completed, wait,
};
pub use crate::map::{Map, MapUnordered};
pub use crate::observer::{Event, Retirement, Stats};
pub use crate::registry::{IntoTask, Registry, TaskInfo, assert_registered, registry};
pub use crate::scheduler::Shutdown;
pub use crate::task::{Call, Task};
pub use crate::worker::{depth, is_worker, worker_index};
