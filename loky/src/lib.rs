//! Runs functions in worker processes, which are exec'd copies of the program and may crash without harm to it.
//!
//! ```
//! #[loky::task]
//! fn add(a: u64, b: u64) -> u64 {
//!     a + b
//! }
//!
//! #[loky::entry]
//! fn main() -> loky::Result<()> {
//!     let executor = loky::ProcessPoolExecutor::new()?;
//!     assert_eq!(executor.submit(add, (1, 2)).result()?, 3);
//!     Ok(())
//! }
//! ```
//!
//! # Guide
//!
//! **A task** is an ordinary function with [`#[loky::task]`](macro@task). The program can still call it directly. The linker
//! registers it under its path, or under a name of your choice. Arguments and results are encoded by serde. A function whose
//! error type is not serde returns [`TaskResult`]. [`registry`] lists all tasks, and [`current_task`] names the one that runs.
//!
//! **An entry** is the place where a copy of the program becomes a worker. Write [`#[loky::entry]`](macro@entry) on `main`, or
//! [`main!`] around it, or call [`init`] as its first statement. Test binaries put [`enable_test_support!`] at the root of the
//! crate. A worker never runs the rest of `main`, and does not get the arguments of the program.
//!
//! **An executor** is a pool of workers: [`ProcessPoolExecutor`]. [`submit`](ProcessPoolExecutor::submit) returns a [`Future`].
//! [`map`](ProcessPoolExecutor::map) returns a lazy iterator, [`Map`]. [`wait`] and [`as_completed`] wait for several futures.
//! Dropping the last handle finishes the accepted calls. [`get_reusable_executor`] returns the executor that the whole process
//! shares: functions need not pass it around, and workers start once.
//!
//! **Workers** follow the settings of the [`Builder`]. They can leave when they are idle, be replaced after a number of calls or
//! when their memory grows, run an initializer first, and have variables of their own. [`worker_index`] tells a task which
//! worker it runs in.
//!
//! **Large data** for many calls belongs into shared memory: of the slices in [`shared`] only a handle is sent.
//!
//! **An error** describes the event. [`Error::kind`] classifies it, [`Error::worker_exit`] describes a dead worker,
//! [`Error::panic`] a panic, and [`Error::execution`] tells whether the call may have run. [`CrashPolicy`] decides which calls
//! fail when a worker dies. By default only the call that it was running fails.
//!
//! **Events** of an executor go to its [observer](Builder::observer) as [`Event`]s. [`Stats`] contains the numbers.
//!
//! # Guarantees and limits
//!
//! - Every accepted call resolves exactly once, whichever process dies. No call runs twice.
//! - A shutdown leaves no process, descriptor, thread or file behind. When this process ends, even by SIGKILL, its workers and
//!   their descendants end within two seconds. The exception is a process that was moved into a session of its own *and* whose
//!   parent has died: it cannot be found.
//! - The end of `main` under an [`entry`](macro@entry) finishes the accepted calls. `std::process::exit` and signals do not.
//! - The library prints nothing, and changes no signal handler, signal mask or environment variable of this process.
//! - A stack overflow of a Rust thread ends in an abort. A [`WorkerExit`] cannot tell the two apart.
//! - In a forked process the handles of its parent fail with [`ErrorKind::InvalidConfig`].
//! - If this program is process 1 of a container, the descendants of a killed worker become its children, and it does not reap
//!   them. Use `docker run --init`.
//! - Executors in tasks nest at most 10 levels deep. `LOKY_MAX_DEPTH` in the environment changes that; 0 is no limit.
//! - The linker drops a crate that the program never mentions, with its tasks. Write `use that_crate as _;`.
//! - The codec limits the depth of nested values. A value beyond it is a clear error.
//!
//! # Environment variables
//!
//! | variable | meaning |
//! |---|---|
//! | `LOKY_MAX_CPU_COUNT` | the most that [`cpu_count`] returns |
//! | `LOKY_MAX_DEPTH` | the most levels of nested executors |
//! | `LOKY_MAX_MEMORY_LEAK_SIZE` | the default of [`Builder::memory_growth_limit`], in bytes |
//!
//! # Platform
//!
//! | system | support |
//! |---|---|
//! | Linux 5.3 and later | full |
//! | older Linux, or without pidfds | full; a death is noticed within 50 ms instead of at once |
//! | Windows, macOS | not yet: a compile error |
//!
//! # Cargo features
//!
//! - `bytemuck`: types that derive `bytemuck::Pod` can be elements of [shared memory](shared), beside numbers.
//!
//! # Related crates
//!
//! `rayon` and `crossbeam` distribute work among threads, which a crash ends together. `procspawn` runs closures in processes,
//! with one process for each call or a simple pool. `ipc-channel` carries messages between processes that you start yourself.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "loky supports Linux only: Windows and macOS come with a later version. To build a program for other systems, depend on \
     loky under `[target.'cfg(target_os = \"linux\")'.dependencies]`"
);

// The expansions of the macros name the crate `loky`, also in this crate.
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

/// Makes the function `main` the entry of the program, where a copy that was started as a worker becomes one.
///
/// In the process of the user it runs `main`. In a worker nothing of `main` runs. `main` may have any return type that Rust
/// permits, and any other attributes.
///
/// ```
/// #[loky::task]
/// fn three() -> u64 {
///     3
/// }
///
/// #[loky::entry]
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///     assert_eq!(executor.submit(three, ()).result()?, 3);
///     Ok(())
/// }
/// ```
///
/// When `main` returns, the executors that still exist finish the accepted calls, as Python's do at exit: the reusable one,
/// those in statics, and those that were shut down without waiting. They accept no more calls then, and no new executor
/// starts. If `main` panics, they are killed.
///
/// # Asynchronous programs
///
/// The attribute of a runtime stands below, so that the runtime starts in the user's process only:
///
/// ```text
/// #[loky::entry]
/// #[tokio::main]
/// async fn main() { … }
/// ```
///
/// [`main!`] is this attribute as a macro around the function; an editor does not look into the braces of a macro.
///
/// # Documentation tests
///
/// rustdoc joins the examples of a crate into one program. Add `loky::enable_test_support!();` to one of them, or mark each as
/// `standalone_crate`.
pub use loky_macros::entry;
/// Makes the function `main` inside it the entry of the program, as [`#[loky::entry]`](macro@entry) does.
///
/// Attributes stay on the function, so `loky::main! { #[tokio::main] async fn main() { … } }` works too.
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
pub use loky_macros::main;
/// Registers a function as a task, which workers can run.
///
/// The function itself does not change. The linker registers it under its path, as [`std::any::type_name`] returns it, or under
/// the name in the attribute.
///
/// ```
/// #[loky::task]
/// pub fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
///
/// #[loky::task(name = "geo.scale")]
/// fn scale(points: Vec<(f64, f64)>, by: f64) -> Vec<(f64, f64)> {
///     points.into_iter().map(|(x, y)| (x * by, y * by)).collect()
/// }
///
/// assert_eq!(add(1, 2), 3); // an ordinary function
/// assert_eq!(scale::TASK.name(), "geo.scale"); // the task as a value
/// let call = add::call(1, 2); // the task with its arguments, for `ProcessPoolExecutor::spawn`
/// # let _ = call;
/// ```
///
/// | key | meaning |
/// |---|---|
/// | `name = "…"` | the registered name |
/// | `companion = "…"` | the name of the type that has `TASK` and `call`; by default the name of the function |
///
/// The keys `timeout` and `retries` come with a later version. Until then they are compile errors.
///
/// A task has at most 12 arguments, which are owned values. These and the result implement `serde::Serialize` and
/// `serde::de::DeserializeOwned`. A function whose error does not implement them returns [`TaskResult`]. Functions that are
/// generic, `async`, `unsafe`, `extern` or methods, and arguments that are references, are compile errors with a help text.
///
/// The macro also generates a type with the name of the function, which has `TASK` and `call`. So a task cannot be imported
/// beside a module of its name, unless `companion` renames that type.
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
pub use crate::worker::{current_task, depth, is_worker, worker_index};
