//! The one error of the library, and the data that it carries.
//!
//! [`Error`] is opaque: a [kind](ErrorKind) that one can act on, predicates, and accessors for what crossed the process
//! boundary ([`PanicReport`], [`WorkerExit`]). Messages are lower case, name their subject in backticks and end without a
//! full stop. This module knows nothing of processes or channels; tested in `tests.rs`.

mod kind;
mod panic_report;
mod remote;
#[cfg(test)]
mod tests;
mod worker_exit;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

pub use self::kind::{ErrorKind, Execution};
pub use self::panic_report::PanicReport;
pub use self::remote::{RemoteError, TaskResult};
pub use self::worker_exit::WorkerExit;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call, or an executor, failed.
///
/// Cheap to clone: every clone of a future gives the same error. What kind it is says [`kind`](Self::kind) or one of the
/// predicates.
///
/// ```
/// # let error = loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
/// assert!(error.is_invalid_config());
/// assert_eq!(error.to_string(), "`max_workers` must be greater than 0");
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

/// Cheap to clone: a broken pool gives each of its calls the same cause, with little of their own.
#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Arc<str>,
    task: Option<&'static str>,
    execution: Execution,
    panic: Option<Arc<PanicReport>>,
    worker_exit: Option<Arc<WorkerExit>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Arc<str>>) -> Self {
        let inner = Inner {
            kind,
            message: message.into(),
            task: None,
            execution: Execution::NotStarted,
            panic: None,
            worker_exit: None,
            source: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// An error of the operating system: `message` says what was tried.
    pub(crate) fn io(kind: ErrorKind, message: &str, error: std::io::Error) -> Self {
        Self::new(kind, format!("{message}: {error}")).with_source(error)
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    pub(crate) fn with_task(self, task: &'static str) -> Self {
        self.change(|inner| inner.task = Some(task))
    }

    pub(crate) fn with_execution(self, execution: Execution) -> Self {
        self.change(|inner| inner.execution = execution)
    }

    pub(crate) fn with_panic(self, report: PanicReport) -> Self {
        self.change(|inner| inner.panic = Some(Arc::new(report)))
    }

    pub(crate) fn with_worker_exit(self, exit: WorkerExit) -> Self {
        self.change(|inner| inner.worker_exit = Some(Arc::new(exit)))
    }

    pub(crate) fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    /// What went wrong, as far as a caller can act on it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The registered name of the task whose call failed, where a call is concerned.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.inner.task
    }

    /// How far the call had come: is it safe to run it again?
    ///
    /// For errors that concern no call it is [`Execution::NotStarted`].
    #[must_use]
    pub fn execution(&self) -> Execution {
        self.inner.execution
    }

    /// What the task panicked with, where the kind is [`ErrorKind::Panicked`].
    #[must_use]
    pub fn panic(&self) -> Option<&PanicReport> {
        self.inner.panic.as_deref()
    }

    /// How the worker ended, where one did: for [`ErrorKind::TerminatedWorker`], and for
    /// [`ErrorKind::BrokenProcessPool`] that came of a worker's death.
    #[must_use]
    pub fn worker_exit(&self) -> Option<&WorkerExit> {
        self.inner.worker_exit.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, message, task, execution, panic, worker_exit, source } = &*self.inner;
        let mut out = f.debug_struct("Error");
        out.field("kind", kind).field("message", message).field("execution", execution);
        if let Some(task) = task {
            out.field("task", task);
        }
        if let Some(panic) = panic {
            out.field("panic", panic);
        }
        if let Some(exit) = worker_exit {
            out.field("worker_exit", exit);
        }
        if let Some(source) = source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
