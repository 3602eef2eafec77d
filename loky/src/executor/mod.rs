//! The user's handle on a pool of workers.
//!
//! [`ProcessPoolExecutor`] checks and encodes calls, and leaves the rest to the [pool](crate::pool). The only state here is the
//! count of handles: dropping the last one ends the pool. Tested in the package `tests`.

mod builder;
mod reusable;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub use self::builder::{Builder, Own};
pub(crate) use self::reusable::is_one_shared;
pub use self::reusable::{
    Reusable, ReusableBuilder, Reuse, get_reusable_executor, reusable_executor,
};

use crate::codec::{EncodedValue, ValueCodec};
use crate::config::{Settings, check_max_workers};
use crate::error::{Error, ErrorKind, Result};
use crate::future::{Future, MapPart};
use crate::limits;
use crate::observer::Stats;
use crate::pool::Pool;
use crate::registry::IntoTask;
use crate::scheduler::Shutdown;
use crate::segments::Segments;
use crate::task::{Call, Task};
use crate::wire::args::CallArgs;

/// A pool of worker processes that runs tasks. Python's `ProcessPoolExecutor`.
///
/// Workers start with the first call. If a worker dies, the call that it was running fails, and another worker replaces it: see
/// [`CrashPolicy`](crate::CrashPolicy). Handles are cheap to clone, and threads can share them.
///
/// Dropping the last handle finishes all accepted calls and waits for them, as leaving Python's `with` block does. During a panic
/// it kills the workers instead. Futures outlive the executor.
///
/// ```
/// #[loky::task]
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
///     let three = executor.submit(add, (1, 2));
///     let seven = executor.spawn(add::call(3, 4));
///     assert_eq!((three.result()?, seven.result()?), (3, 7));
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct ProcessPoolExecutor {
    handle: Arc<Handle>,
}

/// The part that all clones of an executor share. Its drop ends the pool.
struct Handle {
    pool: Arc<Pool>,
    /// Whether the drop does not wait for the end.
    is_released: bool,
}

impl Handle {
    /// Drops a handle. If it is the last one, the pool ends without a thread that waits for it.
    fn release(handle: Arc<Self>) {
        if let Some(mut last) = Arc::into_inner(handle) {
            last.is_released = true;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.pool.shutdown(match self.is_released {
            true => Shutdown::NoWait,
            false if thread::panicking() => Shutdown::Kill,
            false => Shutdown::Wait,
        });
    }
}

impl ProcessPoolExecutor {
    /// Creates an executor with [`cpu_count`](crate::cpu_count()) workers and default settings.
    ///
    /// ```
    /// #[loky::task]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::new()?;
    ///     let squares: Vec<u64> = executor.map(square, 0..4).collect::<Result<_, _>>()?;
    ///     assert_eq!(squares, [0, 1, 4, 9]);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// The errors of [`Builder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Returns a builder for a new executor, with default settings.
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder().max_workers(3).build()?;
    ///     assert_eq!(executor.max_workers(), 3);
    ///     Ok(())
    /// }
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn from_settings(settings: Settings) -> Result<Self> {
        Ok(Self { handle: Arc::new(Handle { pool: Pool::new(settings)?, is_released: false }) })
    }

    fn pool(&self) -> &Arc<Pool> {
        &self.handle.pool
    }

    /// Submits a call of `task` with `args`, and returns its future. Python's `submit`.
    ///
    /// `task` is a function with `#[loky::task]`, or a [`Task`]. `args` are its arguments as one value: `()` for none, the bare
    /// value for one, a tuple for more. The method never waits for workers and never fails: each error is the outcome of the
    /// future.
    ///
    /// Short calls that a thread submits in a row, without asking for a result, travel to a worker as a batch. The last of them
    /// may wait there for a millisecond. Each is still a call of its own, which fails and is cancelled alone.
    ///
    /// ```
    /// #[loky::task]
    /// fn greet(name: String) -> String {
    ///     format!("hello, {name}")
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     assert_eq!(executor.submit(greet, "you".into()).result()?, "hello, you");
    ///
    ///     // A closure cannot be sent to a worker.
    ///     let error = executor.submit(|x: u64| x, 1).result().unwrap_err();
    ///     assert!(error.is_not_a_task());
    ///     Ok(())
    /// }
    /// ```
    pub fn submit<T, Args, Kind>(&self, task: T, args: Args) -> Future<T::Output>
    where
        T: IntoTask<Args, Kind>,
    {
        match task.into_task() {
            Ok(task) => self.submit_task(task, &args),
            Err(error) => Future::failed(std::any::type_name::<T>(), error),
        }
    }

    /// Submits a [`Call`], and returns its future.
    ///
    /// It equals [`submit`](Self::submit), but the arguments are written as for an ordinary call of the function, and the compiler
    /// checks each of them.
    ///
    /// ```
    /// #[loky::task]
    /// fn repeat(text: String, times: usize) -> String {
    ///     text.repeat(times)
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     assert_eq!(executor.spawn(repeat::call("ab".into(), 2)).result()?, "abab");
    ///     Ok(())
    /// }
    /// ```
    pub fn spawn<Args, R: 'static>(&self, call: Call<Args, R>) -> Future<R> {
        let (task, args) = call.into_parts();
        self.submit_task(task, &args)
    }

    fn submit_task<Args, R: 'static>(&self, task: Task<Args, R>, args: &Args) -> Future<R> {
        let call = encode_call(task, args, Some(self.segments()));
        self.submit_encoded(task.name(), task.output(), call)
    }

    /// Submits calls and batches of one task together. A call that could not be encoded becomes a failed one in its place.
    pub(crate) fn submit_all<R: 'static>(
        &self,
        task: &'static str,
        output: ValueCodec<R>,
        calls: Vec<EncodedCall>,
    ) -> Vec<MapPart<R>> {
        let are_whole = calls.iter().all(Result::is_ok);
        if !are_whole {
            let alone = |call| match call {
                Err(error) => vec![Future::failed(task, error).into()],
                Ok(call) => self.submit_all(task, output, vec![Ok(call)]),
            };
            return calls.into_iter().flat_map(alone).collect();
        }
        let calls: Vec<_> = calls.into_iter().flatten().collect();
        let counts: Vec<_> = calls.iter().map(CallArgs::count).collect();
        let cells = self.pool().submit_all(task, calls).into_iter();
        cells.zip(counts).map(|(cell, count)| MapPart::new(cell, output, count)).collect()
    }

    fn submit_encoded<R: 'static>(
        &self,
        task: &'static str,
        output: ValueCodec<R>,
        call: EncodedCall,
    ) -> Future<R> {
        match call {
            Ok(call) => Future::new(self.pool().submit(task, call), output),
            Err(error) => Future::failed(task, error),
        }
    }

    /// The segments for long arguments of its calls.
    pub(crate) fn segments(&self) -> &Segments {
        self.pool().segments()
    }

    /// The number of calls that a `map` should have in flight, so that no worker waits for it. It may change at any moment.
    pub(crate) fn map_window(&self) -> usize {
        self.pool().map_window()
    }

    /// The number of calls of a `map` that should travel as one batch. It may change at any moment.
    pub(crate) fn map_chunk(&self) -> usize {
        self.pool().chunk()
    }

    /// Ends the executor in the given way. It accepts no calls afterwards.
    ///
    /// Any handle can do this. A later shutdown may be harsher than the first: [`Shutdown::Kill`] after [`Shutdown::NoWait`]
    /// kills. In a callback, an observer or a waker it always returns at once. If the executor is the reusable one, the next
    /// [`get_reusable_executor`](crate::get_reusable_executor) creates another.
    ///
    /// ```
    /// use loky::{ProcessPoolExecutor, Shutdown};
    ///
    /// #[loky::task]
    /// fn one() -> u64 {
    ///     1
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     let before = executor.submit(one, ());
    ///     executor.shutdown(Shutdown::Wait);
    ///     assert_eq!(before.result()?, 1);
    ///     assert!(executor.submit(one, ()).error().unwrap().is_shutdown_executor());
    ///     Ok(())
    /// }
    /// ```
    pub fn shutdown(&self, how: Shutdown) {
        reusable::forget(&self.handle);
        self.pool().shutdown(how);
    }

    /// Ends the executor as [`Shutdown::Wait`] does, but kills after `limit`. Returns `true` if nothing had to be killed.
    ///
    /// When `limit` has passed, [`Shutdown::Kill`] takes effect: workers and their descendants are killed, and unfinished calls
    /// fail with [`ErrorKind::ShutdownExecutor`]. The method returns when no process of the executor is left.
    ///
    /// - `Duration::ZERO` kills at once. The result is `true` only if the executor had no workers and no calls.
    /// - A `limit` beyond the range of the clock, such as `Duration::MAX`, is no limit.
    /// - If several threads end the executor at one time, the earliest limit counts for all. Each returns `false` if it killed,
    ///   or if a [`Shutdown::Kill`] of another thread did.
    /// - In a callback, an observer or a waker the method returns `false` at once, because these must not wait. The limit takes
    ///   effect in the background.
    /// - In a forked process it does nothing and returns `false`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use loky::ProcessPoolExecutor;
    ///
    /// #[loky::task]
    /// fn sleep(millis: u64) {
    ///     std::thread::sleep(Duration::from_millis(millis))
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     let short = executor.submit(sleep, 1);
    ///     assert!(executor.shutdown_timeout(Duration::from_secs(60)));
    ///     short.result()?;
    ///
    ///     let executor = ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     let endless = executor.submit(sleep, u64::MAX);
    ///     assert!(!executor.shutdown_timeout(Duration::from_millis(50)));
    ///     assert!(endless.error().unwrap().is_shutdown_executor());
    ///     Ok(())
    /// }
    /// ```
    pub fn shutdown_timeout(&self, limit: Duration) -> bool {
        reusable::forget(&self.handle);
        self.pool().shutdown_timeout(limit)
    }

    /// Starts all workers, and returns when they are ready for calls.
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    ///     executor.prewarm()?;
    ///     assert_eq!(executor.worker_pids().len(), 2);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Spawn`] if a worker cannot be started, [`ErrorKind::Handshake`] if the started process is no worker of this
    /// program, [`ErrorKind::ShutdownExecutor`] or [`ErrorKind::BrokenProcessPool`] if the executor has ended.
    pub fn prewarm(&self) -> Result<()> {
        self.pool().prewarm()
    }

    /// Returns the most workers that the executor has.
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::new()?;
    ///     assert_eq!(executor.max_workers(), loky::cpu_count());
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn max_workers(&self) -> usize {
        self.pool().max_workers()
    }

    /// Sets the most workers that the executor has, and returns at once.
    ///
    /// Additional workers start now, or with the first call if there was none. Of surplus workers, idle ones leave first, and
    /// busy ones when they have finished the call that they run. No call is lost: calls behind that one move to other workers.
    /// Workers that stay keep their processes.
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     executor.resize(2)?;
    ///     executor.prewarm()?;
    ///     assert_eq!(executor.worker_pids().len(), 2);
    ///     assert!(executor.resize(0).unwrap_err().is_invalid_config());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the number is 0 or above 32768, [`ErrorKind::ShutdownExecutor`] or
    /// [`ErrorKind::BrokenProcessPool`] if the executor has ended.
    pub fn resize(&self, max_workers: usize) -> Result<()> {
        check_max_workers(max_workers)?;
        self.pool().resize(max_workers)
    }

    /// Returns the process ids of the present workers, including those that are starting.
    ///
    /// ```
    /// #[loky::task]
    /// fn pid() -> u32 {
    ///     std::process::id()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     let pid = executor.submit(pid, ()).result()?;
    ///     assert_eq!(executor.worker_pids(), [pid]);
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        self.pool().worker_pids()
    }

    /// Returns the numbers of calls and workers, all of one moment.
    ///
    /// ```
    /// #[loky::task]
    /// fn one() -> u64 {
    ///     1
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     executor.submit(one, ()).result()?;
    ///     assert_eq!(executor.stats().succeeded, 1);
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.pool().stats()
    }

    /// Returns the number of this executor, which is unique in this process.
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::get_reusable_executor()?;
    ///     assert_eq!(executor.clone().id(), executor.id());
    ///     assert_ne!(loky::ProcessPoolExecutor::new()?.id(), executor.id());
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn id(&self) -> u64 {
        self.pool().id()
    }

    /// Returns whether the executor is unusable for good: see [`ErrorKind::BrokenProcessPool`].
    ///
    /// ```
    /// #[loky::task]
    /// fn fail() -> Result<(), String> {
    ///     Err("no database".into())
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor =
    ///         loky::ProcessPoolExecutor::builder().max_workers(1).initializer(fail, ()).build()?;
    ///     assert!(!executor.is_broken());
    ///     assert!(executor.prewarm().is_err());
    ///     assert!(executor.is_broken());
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.pool().is_broken()
    }

    /// Returns whether the executor was shut down, in any way.
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::new()?;
    ///     assert!(!executor.is_shutdown());
    ///     executor.shutdown(loky::Shutdown::NoWait);
    ///     assert!(executor.is_shutdown());
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn is_shutdown(&self) -> bool {
        self.pool().is_shut_down()
    }
}

/// The encoded arguments of a call, or the error of the encoding.
pub(crate) type EncodedCall = Result<CallArgs>;

thread_local! {
    /// The buffer in which this thread encodes the arguments of one call after another. Encoded arguments are copied out.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encodes a call, with long values in these segments. The error is the error of serde.
pub(crate) fn encode_call<Args, R>(
    task: Task<Args, R>,
    args: &Args,
    segments: Option<&Segments>,
) -> EncodedCall {
    // Taken out of the thread local, since the user's serde code may submit as well.
    let mut room = EncodedValue::from(ROOM.try_with(Cell::take).unwrap_or_default());
    let encoded =
        encode_into(task, args, &mut room, segments).map(|()| CallArgs::take_from(&mut room));
    let mut room = room.bytes;
    room.clear(); // An error leaves incomplete bytes behind.
    if room.capacity() <= limits::ROOM_KEEP_BYTES {
        let _ = ROOM.try_with(|kept| kept.set(room));
    }
    encoded
}

/// Appends the arguments of a call to `out`. After an error the appended bytes are incomplete.
pub(crate) fn encode_into<Args, R>(
    task: Task<Args, R>,
    args: &Args,
    out: &mut EncodedValue,
    segments: Option<&Segments>,
) -> Result<()> {
    task.encode(args, out, segments).map_err(|error| {
        let name = task.name();
        let message = format!("the arguments of `{name}` cannot be encoded: {error}");
        Error::new(ErrorKind::EncodeArgs, message).with_task(name)
    })
}

impl fmt::Debug for ProcessPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolExecutor")
            .field("id", &self.id())
            .field("max_workers", &self.max_workers())
            .field("is_broken", &self.is_broken())
            .field("is_shutdown", &self.is_shutdown())
            .finish()
    }
}
