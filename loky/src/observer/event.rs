//! The events in one executor, as plain data.

use std::time::Duration;

use crate::error::{Error, ErrorKind, WorkerExit};

/// An event in an executor. [`Builder::observer`](crate::Builder::observer) sets the function that receives them.
///
/// ```
/// use std::sync::mpsc;
///
/// use loky::Event;
///
/// #[loky::task]
/// fn double(x: u64) -> u64 {
///     2 * x
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let (sender, events) = mpsc::channel();
///         let executor = loky::ProcessPoolExecutor::builder()
///             .max_workers(1)
///             .observer(move |event| {
///                 if let Event::CallFinished { task, error, .. } = event {
///                     let _ = sender.send((*task, *error));
///                 }
///             })
///             .build()?;
///         assert_eq!(executor.submit(double, 21).result()?, 42);
///         let (task, error) = events.recv().expect("an event");
///         assert!(task.ends_with("double") && error.is_none());
///         Ok(())
///     }
/// }
/// ```
///
/// The function receives events in the order in which things happened:
///
/// - For a call: one [`CallSubmitted`](Self::CallSubmitted); then any number of [`CallGiven`](Self::CallGiven), each but the
///   last with its [`CallTakenBack`](Self::CallTakenBack); then one [`CallFinished`](Self::CallFinished). A call that was not
///   accepted makes no event.
/// - For a worker: one [`WorkerStarted`](Self::WorkerStarted); then [`WorkerReady`](Self::WorkerReady) and
///   [`WorkerRetired`](Self::WorkerRetired), if it comes to that; then one [`WorkerExited`](Self::WorkerExited), before the
///   ends of the calls that the worker takes with it. The next worker that starts with an equal `index` replaces it.
///
/// `call` is a number that no other call of the executor has. `task` is the registered name of the task. `worker_pid` is the
/// process id of the worker. `index` is the worker's place among the workers, from 0.
///
/// Later versions may add events and fields: a `match` needs an arm for other events, and `..` in each pattern.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The executor accepted a call.
    #[non_exhaustive]
    CallSubmitted {
        /// The number of the call.
        call: u64,
        /// The name of its task.
        task: &'static str,
    },
    /// The pool dispatched a call to a worker. The worker begins it when it is ready and has finished earlier calls.
    #[non_exhaustive]
    CallGiven {
        /// The number of the call.
        call: u64,
        /// The name of its task.
        task: &'static str,
        /// The worker that got the call.
        worker_pid: u32,
    },
    /// The pool revoked a call that had not begun: its worker is busy with another call, not ready yet, or gone. Or the call is
    /// about to be cancelled.
    #[non_exhaustive]
    CallTakenBack {
        /// The number of the call.
        call: u64,
        /// The name of its task.
        task: &'static str,
        /// The worker that had the call.
        worker_pid: u32,
    },
    /// A call is over: its future has an outcome, now or in a moment.
    #[non_exhaustive]
    CallFinished {
        /// The number of the call.
        call: u64,
        /// The name of its task.
        task: &'static str,
        /// The worker that began the call. `None` if no worker did.
        worker_pid: Option<u32>,
        /// The time for which the call ran, if its worker reported it.
        run_time: Option<Duration>,
        /// The kind of the call's error. `None` if the task returned, also if it returned an `Err`. A result that cannot be
        /// decoded is not counted here, since only the future finds that out.
        error: Option<ErrorKind>,
    },
    /// The process of a worker was started.
    #[non_exhaustive]
    WorkerStarted {
        /// The worker's process.
        worker_pid: u32,
        /// The worker's place.
        index: usize,
    },
    /// The system did not start the process of a worker. If other workers are alive, the pool tries again.
    #[non_exhaustive]
    WorkerNotStarted {
        /// The place of the missing worker.
        index: usize,
        /// The reason.
        cause: Error,
    },
    /// A worker is ready for calls: it has finished the handshake and the [initializer](crate::Builder::initializer), if there
    /// is one.
    #[non_exhaustive]
    WorkerReady {
        /// The worker's process.
        worker_pid: u32,
        /// The worker's place.
        index: usize,
    },
    /// The pool told a worker that has no calls to leave. If it is to be replaced, a [`WorkerStarted`](Self::WorkerStarted)
    /// follows.
    #[non_exhaustive]
    WorkerRetired {
        /// The worker's process.
        worker_pid: u32,
        /// The worker's place.
        index: usize,
        /// The reason.
        why: Retirement,
    },
    /// A worker is gone, and the pool has read all its messages.
    #[non_exhaustive]
    WorkerExited {
        /// The worker's process.
        worker_pid: u32,
        /// The worker's place.
        index: usize,
        /// How the worker ended, and the task that it ended in.
        exit: WorkerExit,
        /// Whether the pool wanted the worker to end: told it to leave, or killed it with the whole executor. Otherwise it died of
        /// itself, or the pool killed it for a fault that [`WorkerExit::cause`] names.
        was_told: bool,
    },
    /// [`resize`](crate::ProcessPoolExecutor::resize) changed the number of workers.
    #[non_exhaustive]
    Resized {
        /// The number before.
        from: usize,
        /// The number from now on.
        to: usize,
    },
    /// [`ReusableBuilder::get`](crate::ReusableBuilder::get) created another executor in place of this one. This one goes on
    /// until its last handle is dropped. An executor that is broken or shut down by then makes no such event.
    #[non_exhaustive]
    Replaced {
        /// The [`id`](crate::ProcessPoolExecutor::id) of the new executor.
        by: u64,
    },
    /// The executor is unusable from now on. The ends of its calls follow.
    #[non_exhaustive]
    Broken {
        /// The reason.
        cause: Error,
    },
    /// The executor takes no more calls: it was shut down, or its last handle was dropped. The ends of its calls and workers
    /// follow. A broken executor makes no such event: its last event is the exit of its last worker.
    #[non_exhaustive]
    ShutDown {},
}

/// The reason why the pool told a worker to leave.
///
/// Later versions may add reasons.
///
/// ```
/// use std::sync::mpsc;
///
/// use loky::{Event, Retirement};
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let (sender, reasons) = mpsc::channel();
///         let executor = loky::ProcessPoolExecutor::builder()
///             .max_workers(2)
///             .observer(move |event| {
///                 if let Event::WorkerRetired { why, .. } = event {
///                     let _ = sender.send(*why);
///                 }
///             })
///             .build()?;
///         executor.prewarm()?;
///         executor.resize(1)?;
///         assert_eq!(reasons.recv(), Ok(Retirement::Resized));
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retirement {
    /// The executor is shut down, and no calls are left.
    Shutdown,
    /// [`resize`](crate::ProcessPoolExecutor::resize) lowered the number of workers.
    Resized,
    /// The worker was idle for longer than [`idle_timeout`](crate::Builder::idle_timeout). Another one starts when calls need it.
    Idle,
    /// The worker ran as many calls as [`max_tasks_per_worker`](crate::Builder::max_tasks_per_worker) allows. Another one
    /// replaces it.
    MaxTasks,
    /// The worker's memory grew by more than [`memory_growth_limit`](crate::Builder::memory_growth_limit). Another one replaces
    /// it.
    MemoryGrowth,
}
