//! The user's handle on a pool of workers.
//!
//! [`ProcessPoolExecutor`] checks and encodes what it is given and leaves the rest to the [pool](crate::pool). Dropping the
//! last handle ends the pool; that is all the state that lies here. Tested in the package `tests`.

mod builder;
mod reusable;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::thread;

pub use self::builder::{Builder, Own};
pub(crate) use self::reusable::is_one_shared;
pub use self::reusable::{
    Reusable, ReusableBuilder, Reuse, get_reusable_executor, reusable_executor,
};

use crate::codec::{EncodedValue, ValueCodec};
use crate::config::{Settings, check_max_workers};
use crate::error::{Error, ErrorKind, Result};
use crate::future::Future;
use crate::future::chunk::MapPart;
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
/// Workers start with the first call. One that dies fails the one call that it was running, and is replaced (see
/// [`CrashPolicy`](crate::CrashPolicy)). Handles are cheap to clone and can be shared by threads.
///
/// Dropping the last handle finishes all accepted calls and waits for them, as leaving Python's `with` block does; while
/// panicking it kills instead. Futures outlive it.
///
/// ```
/// #[loky::task]
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
///         let three = executor.submit(add, (1, 2));
///         let seven = executor.spawn(add::call(3, 4));
///         assert_eq!((three.result()?, seven.result()?), (3, 7));
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone)]
pub struct ProcessPoolExecutor {
    handle: Arc<Handle>,
}

/// What all clones of an executor share: when it goes, the pool ends.
struct Handle {
    pool: Arc<Pool>,
    /// Whether its end is not to be waited for.
    is_released: bool,
}

impl Handle {
    /// Lets a handle go that nobody holds who would want to wait for the pool's end, if it is the last.
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
    /// An executor with [`cpu_count`](crate::cpu_count()) workers and every other setting at its default.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Settings for a new executor.
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn from_settings(settings: Settings) -> Result<Self> {
        Ok(Self { handle: Arc::new(Handle { pool: Pool::new(settings)?, is_released: false }) })
    }

    fn pool(&self) -> &Arc<Pool> {
        &self.handle.pool
    }

    /// Has `task` called with `args` in a worker.
    ///
    /// `task` is a function with `#[loky::task]` or a [`Task`]; `args` are its arguments as one value: `()` for none, the
    /// bare value for one, a tuple for more. Never blocks on workers and never fails itself: whatever is wrong is the
    /// outcome of the future. Python's `submit`.
    ///
    /// Short calls that are submitted in a row, while nobody asks for one, travel to a worker together: the last of them may wait
    /// there for a millisecond, and each is a call of its own all the same.
    ///
    /// ```
    /// #[loky::task]
    /// fn greet(name: String) -> String {
    ///     format!("hello, {name}")
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         assert_eq!(executor.submit(greet, "you".into()).result()?, "hello, you");
    ///         let no_task = executor.submit(|x: u64| x, 1).result().unwrap_err();
    ///         assert!(no_task.is_not_a_task());
    ///         Ok(())
    ///     }
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

    /// Has a [`Call`] run in a worker: as [`submit`](Self::submit), with the arguments checked and spread by rustc.
    pub fn spawn<Args, R: 'static>(&self, call: Call<Args, R>) -> Future<R> {
        let (task, args) = call.into_parts();
        self.submit_task(task, &args)
    }

    fn submit_task<Args, R: 'static>(&self, task: Task<Args, R>, args: &Args) -> Future<R> {
        let call = encode_call(task, args, Some(self.segments()));
        self.submit_encoded(task.name(), task.output(), call)
    }

    /// Submits calls and chunks of one task together. One that could not be encoded is a failed one in its place.
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
        let slots = self.pool().submit_all(task, calls).into_iter();
        slots.zip(counts).map(|(slot, count)| MapPart::new(slot, output, count)).collect()
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

    /// Where long arguments of its calls lie.
    pub(crate) fn segments(&self) -> &Segments {
        self.pool().segments()
    }

    /// How many calls a `map` may have in flight so that no worker waits for it. It may change from one moment to the next.
    pub(crate) fn map_window(&self) -> usize {
        self.pool().map_window()
    }

    /// How many calls of a `map` are best given to a worker together. It may change from one moment to the next.
    pub(crate) fn map_chunk(&self) -> usize {
        self.pool().chunk()
    }

    /// Takes no more calls, and ends the pool in the given way. Each handle can do it; dropping handles does it as well.
    ///
    /// A second shutdown may be harsher than the first: [`Shutdown::Kill`] after [`Shutdown::NoWait`] kills. In a callback it
    /// returns at once, whatever the way. After that of the reusable executor, the next
    /// [`get_reusable_executor`](crate::get_reusable_executor) makes another.
    pub fn shutdown(&self, how: Shutdown) {
        reusable::forget(&self.handle);
        self.pool().shutdown(how);
    }

    /// Starts all workers and returns when they are up.
    ///
    /// # Errors
    /// [`ErrorKind::Spawn`] if one cannot be started, [`ErrorKind::Handshake`] if what was started is no worker of this
    /// program, [`ErrorKind::ShutdownExecutor`] or [`ErrorKind::BrokenProcessPool`] if the executor is at its end.
    pub fn prewarm(&self) -> Result<()> {
        self.pool().prewarm()
    }

    /// The most workers that it has.
    #[must_use]
    pub fn max_workers(&self) -> usize {
        self.pool().max_workers()
    }

    /// Changes how many workers it has at most, and returns at once.
    ///
    /// If there are to be more, they start now (or with the first call, if there was none). If there are to be fewer, idle
    /// ones leave first, and busy ones when they have finished the call that they run; no call is lost, and what lay behind
    /// that call runs elsewhere. Workers that stay keep their processes.
    ///
    /// ```
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         executor.resize(2)?;
    ///         executor.prewarm()?;
    ///         assert_eq!(executor.worker_pids().len(), 2);
    ///         assert!(executor.resize(0).unwrap_err().is_invalid_config());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the number is none that a pool can have, [`ErrorKind::ShutdownExecutor`] or
    /// [`ErrorKind::BrokenProcessPool`] if the executor is at its end.
    pub fn resize(&self, max_workers: usize) -> Result<()> {
        check_max_workers(max_workers)?;
        self.pool().resize(max_workers)
    }

    /// The process ids of the workers that are there now, those that are still starting included.
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        self.pool().worker_pids()
    }

    /// What it has and has done: numbers of calls and workers, all of one moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.pool().stats()
    }

    /// A number that no other executor of this process has or had.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.pool().id()
    }

    /// Whether it is unusable for good: see [`ErrorKind::BrokenProcessPool`].
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.pool().is_broken()
    }

    /// Whether it was shut down, in whatever way.
    #[must_use]
    pub fn is_shutdown(&self) -> bool {
        self.pool().is_shut_down()
    }
}

/// The arguments of a call, ready to be submitted; or why there are none.
pub(crate) type EncodedCall = Result<CallArgs>;

thread_local! {
    /// Where this thread encodes: the room for the arguments of one call after another, which are kept apart from it.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encodes a call, with what is long in these segments. Whatever serde does wrong is the error.
pub(crate) fn encode_call<Args, R>(
    task: Task<Args, R>,
    args: &Args,
    segments: Option<&Segments>,
) -> EncodedCall {
    // While the user's code runs, which may submit as well, it is not there.
    let mut room = EncodedValue::from(ROOM.try_with(Cell::take).unwrap_or_default());
    let encoded =
        encode_into(task, args, &mut room, segments).map(|()| CallArgs::take_from(&mut room));
    let mut room = room.bytes;
    room.clear(); // What was appended before an error is rubbish.
    if room.capacity() <= limits::ROOM_KEEP_BYTES {
        let _ = ROOM.try_with(|kept| kept.set(room));
    }
    encoded
}

/// Appends the arguments of a call to `out`. After an error what was appended is rubbish.
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
