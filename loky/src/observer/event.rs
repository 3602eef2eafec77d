//! What happens in one executor, as plain data.

use std::time::Duration;

use crate::error::{Error, ErrorKind, WorkerExit};

/// Something that has happened in an executor. [`Builder::observer`](crate::Builder::observer) says who is told.
///
/// Events come in the order in which things happened:
///
/// - of a call: one [`CallSubmitted`](Self::CallSubmitted); then any number of [`CallGiven`](Self::CallGiven), each but the
///   last with its [`CallTakenBack`](Self::CallTakenBack); then one [`CallFinished`](Self::CallFinished). A call that was not
///   accepted makes no event.
/// - of a worker: one [`WorkerStarted`](Self::WorkerStarted); then [`WorkerReady`](Self::WorkerReady) and
///   [`WorkerRetired`](Self::WorkerRetired), if it comes to that; then one [`WorkerExited`](Self::WorkerExited), before the
///   ends of the calls that it takes with it. A worker is replaced by the next one that starts with the same `index`.
///
/// A `call` is a number that no other call of the executor has, a `task` the name that the task is registered under, a
/// `worker_pid` the worker's process, and an `index` its place among the workers, from 0.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A call was accepted.
    #[non_exhaustive]
    CallSubmitted {
        /// Which.
        call: u64,
        /// Of what.
        task: &'static str,
    },
    /// A call was given to a worker, which begins it now, or after those that it was given before, or, if it is its first one, when
    /// it is ready.
    #[non_exhaustive]
    CallGiven {
        /// Which.
        call: u64,
        /// Of what.
        task: &'static str,
        /// To whom.
        worker_pid: u32,
    },
    /// A call lies with no worker any more, and has not begun: the one that had it is busy with another, not ready yet,
    /// or gone. Or the call is about to be cancelled.
    #[non_exhaustive]
    CallTakenBack {
        /// Which.
        call: u64,
        /// Of what.
        task: &'static str,
        /// From whom.
        worker_pid: u32,
    },
    /// A call is over: its future has an outcome, now or in a moment.
    #[non_exhaustive]
    CallFinished {
        /// Which.
        call: u64,
        /// Of what.
        task: &'static str,
        /// The worker that has begun it, if one has.
        worker_pid: Option<u32>,
        /// How long it ran, if its worker has said so.
        run_time: Option<Duration>,
        /// What kind of error this is. `None`: its task returned, an `Err` of its own included. (That the result cannot be
        /// decoded is found out later, by who asks for it.)
        error: Option<ErrorKind>,
    },
    /// The process of a worker was started.
    #[non_exhaustive]
    WorkerStarted {
        /// Which.
        worker_pid: u32,
        /// As what.
        index: usize,
    },
    /// The system did not start the process of a worker. If others are alive, it is tried again.
    #[non_exhaustive]
    WorkerNotStarted {
        /// As what it was to start.
        index: usize,
        /// Why not.
        cause: Error,
    },
    /// A worker can run calls: it has shaken hands, and run the [initializer](crate::Builder::initializer), if there is
    /// one.
    #[non_exhaustive]
    WorkerReady {
        /// Which.
        worker_pid: u32,
        /// As what it started.
        index: usize,
    },
    /// A worker was told to leave. It has nothing to do. (If it is to be replaced, the next [`WorkerStarted`](Self::WorkerStarted)
    /// does that.)
    #[non_exhaustive]
    WorkerRetired {
        /// Which.
        worker_pid: u32,
        /// As what it started.
        index: usize,
        /// For what reason.
        why: Retirement,
    },
    /// A worker is gone, and everything that it had said was heard.
    #[non_exhaustive]
    WorkerExited {
        /// Which.
        worker_pid: u32,
        /// As what it started.
        index: usize,
        /// How it ended, and the task that it ended in.
        exit: WorkerExit,
        /// Whether it was to go: it was told to leave, or killed with the whole executor. If not, it died of itself, or was
        /// killed for what it did ([`WorkerExit::cause`] says what that was).
        was_told: bool,
    },
    /// [`resize`](crate::ProcessPoolExecutor::resize) has changed how many workers there are to be.
    #[non_exhaustive]
    Resized {
        /// How many there were to be.
        from: usize,
        /// How many there are to be.
        to: usize,
    },
    /// [`ReusableBuilder::get`](crate::ReusableBuilder::get) has made another executor in the place of this one, which goes on for
    /// as long as somebody holds a handle of it. (One that is gone when that happens, broken or shut down, tells nothing more.)
    #[non_exhaustive]
    Replaced {
        /// The [`id`](crate::ProcessPoolExecutor::id) of the other one.
        by: u64,
    },
    /// The executor is unusable from now on. The ends of its calls follow.
    #[non_exhaustive]
    Broken {
        /// Why.
        cause: Error,
    },
    /// The executor takes no more calls: it was shut down, or its last handle was dropped. What becomes of its calls and
    /// workers follows. (One that has broken has told its last event when the last worker was gone, and tells this no more.)
    #[non_exhaustive]
    ShutDown {},
}

/// Why a worker was told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retirement {
    /// The executor is shut down, and there is nothing left to do.
    Shutdown,
    /// There are to be fewer workers: [`resize`](crate::ProcessPoolExecutor::resize).
    Resized,
    /// It had nothing to do for longer than [`idle_timeout`](crate::Builder::idle_timeout). Another one starts when calls need it.
    Idle,
    /// It has run as many calls as [`max_tasks_per_worker`](crate::Builder::max_tasks_per_worker) says. Another one replaces it.
    MaxTasks,
    /// Its memory has grown by more than [`memory_growth_limit`](crate::Builder::memory_growth_limit). Another one replaces it.
    MemoryGrowth,
}
