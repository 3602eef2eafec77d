//! The kinds of [`Error`] and whether the call had begun.
//!
//! A kind is something that a caller can act on; details are in the error's accessors. Tested in `mod.rs`.

use super::Error;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $is:ident;)*) => {
        /// What went wrong, as far as a caller can act on it.
        ///
        /// The names are those of Python's `loky` and `concurrent.futures` where these have one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl Error {
            $(
                #[doc = concat!("Whether [`kind`](Error::kind) is [`ErrorKind::", stringify!($kind), "`].")]
                #[must_use]
                pub fn $is(&self) -> bool {
                    self.kind() == ErrorKind::$kind
                }
            )*
        }
    };
}

kinds! {
    /// The task panicked; [`Error::panic`] has the report. The worker lives on.
    Panicked, is_panicked;
    /// The worker that ran the call died; [`Error::worker_exit`] says how. Python's `TerminatedWorkerError`.
    TerminatedWorker, is_terminated_worker;
    /// The pool is unusable: its workers die at start again and again, or one died under
    /// [`CrashPolicy::BreakPool`](crate::CrashPolicy::BreakPool). [`Error::worker_exit`] says how the last one died.
    BrokenProcessPool, is_broken_process_pool;
    /// The executor was shut down before the call was submitted, or before it was finished.
    ShutdownExecutor, is_shutdown_executor;
    /// The call was cancelled before it started.
    Cancelled, is_cancelled;
    /// The time that the caller was ready to wait has passed; the call goes on.
    Timeout, is_timeout;
    /// The call ran longer than its own time limit, and its worker was killed.
    TaskTimeout, is_task_timeout;
    /// The arguments could not be encoded (serde failed or panicked).
    EncodeArgs, is_encode_args;
    /// The worker could not decode the arguments; the task did not run.
    DecodeArgs, is_decode_args;
    /// The task ran, but its result could not be encoded.
    EncodeResult, is_encode_result;
    /// The task ran, but its result could not be decoded here.
    DecodeResult, is_decode_result;
    /// What was submitted is no function that was registered with `#[loky::task]`.
    NotATask, is_not_a_task;
    /// The worker knows no task of this name.
    UnknownTask, is_unknown_task;
    /// Two tasks have the same name.
    DuplicateTask, is_duplicate_task;
    /// An executor was created in a worker, deeper than allowed: 10 levels, or what `LOKY_MAX_DEPTH` says.
    Recursion, is_recursion;
    /// A setting is out of its range or does not fit the program.
    InvalidConfig, is_invalid_config;
    /// A worker could not be started.
    Spawn, is_spawn;
    /// What was started is no worker of this program.
    Handshake, is_handshake;
    /// The operating system refused something: memory, or descriptors, of which each piece of shared memory in a call takes one.
    Io, is_io;
}

/// How far a call had come when its error arose: is it safe to run it again?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Execution {
    /// The task's code has not begun. It never says so of a call that did.
    NotStarted,
    /// The task's code may have begun, and did not end as far as is known.
    Started,
    /// The task's code ran to its end.
    Finished,
}
