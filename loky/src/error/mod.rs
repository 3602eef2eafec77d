//! The one error of the library, and the data that it carries.
//!
//! [`Error`] is opaque: a [kind](ErrorKind) that a caller can act on, predicates, and accessors for the facts that crossed the
//! process boundary ([`PanicReport`], [`WorkerExit`]). Messages are lower case, name their subject in backticks and end without a
//! full stop. A message never repeats the text of its source.
//!
//! | | `{}` | `{:?}` | `{:#?}` |
//! |---|---|---|---|
//! | [`Error`] | the message | the message, the sources, the user's frames of a panic | all fields |
//! | [`RemoteError`] | the message | the message, the sources | all fields |
//!
//! This module does no I/O and knows neither processes nor channels. Tested in `tests.rs`.

mod kind;
mod panic_report;
mod remote;
mod result_ext;
mod stack;
#[cfg(test)]
mod tests;
mod worker_exit;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

pub use self::kind::{ErrorKind, Execution};
pub use self::panic_report::PanicReport;
pub use self::remote::{RemoteError, TaskResult};
pub use self::result_ext::ResultExt;
pub use self::worker_exit::WorkerExit;

/// The result of everything in this crate that can fail.
///
/// ```
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///         executor.prewarm()
///     }
/// }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a call, or an executor, failed.
///
/// [`kind`](Self::kind) and the predicates tell the cases apart. An error is cheap to clone, and all clones of a future give equal
/// errors.
///
/// ```
/// # let error = loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
/// assert!(error.is_invalid_config());
/// assert_eq!(error.to_string(), "`max_workers` must be greater than 0");
/// ```
///
/// `Display` is the message alone; [`source`](StdError::source) has the error of the system, if there was one. `Debug`, which
/// `unwrap` and a `main` that returns an error print, is for people: the message, the sources, and for a panic the user's
/// functions on the stack, each on a line of its own. `{:#?}` has all fields.
///
/// ```
/// #[loky::task]
/// fn percent(part: u64, whole: u64) -> u64 {
///     100 * part / whole
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///         let error = executor.submit(percent, (1, 0)).result().unwrap_err();
///         let text = format!("{error:?}");
///         let (message, frames) = text.split_once('\n').unwrap();
///         assert_eq!(message, error.to_string());
///         assert!(frames.contains("percent"));
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

/// Cheap to clone: all calls of a broken pool share its cause, and each adds little of its own.
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

    /// An error with an error of the operating system as its source. `message` names the attempt, and does not repeat `error`.
    pub(crate) fn io(kind: ErrorKind, message: &str, error: std::io::Error) -> Self {
        Self::new(kind, message).with_source(error)
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
        debug_assert!(
            !self.inner.message.contains(&source.to_string()),
            "the message repeats its source: {}",
            self.inner.message
        );
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Returns the kind of this error, for a `match`.
    ///
    /// ```
    /// use loky::ErrorKind;
    ///
    /// let error = loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Returns the registered name of the task whose call failed. `None` if the error concerns no call.
    ///
    /// ```
    /// #[loky::task(name = "garden.area")]
    /// fn area(sides: Vec<u64>) -> u64 {
    ///     sides[0] * sides[1]
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let error = executor.submit(area, vec![3]).result().unwrap_err();
    ///         assert_eq!(error.task(), Some("garden.area"));
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.inner.task
    }

    /// Returns how far the call had come: is it safe to run it again?
    ///
    /// An error that concerns no call has [`Execution::NotStarted`].
    ///
    /// ```
    /// use loky::Execution;
    ///
    /// #[loky::task]
    /// fn crash() {
    ///     std::process::abort()
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let error = executor.submit(crash, ()).result().unwrap_err();
    ///         assert_eq!(error.execution(), Execution::Started); // it may have had an effect
    ///         executor.shutdown(loky::Shutdown::Wait);
    ///         let error = executor.submit(crash, ()).result().unwrap_err();
    ///         assert_eq!(error.execution(), Execution::NotStarted);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn execution(&self) -> Execution {
        self.inner.execution
    }

    /// Returns the report of the panic, for [`ErrorKind::Panicked`] and where an initializer panicked.
    ///
    /// ```
    /// #[loky::task]
    /// fn fail() {
    ///     panic!("on purpose")
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let error = executor.submit(fail, ()).result().unwrap_err();
    ///         assert_eq!(error.panic().unwrap().message(), "on purpose");
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn panic(&self) -> Option<&PanicReport> {
        self.inner.panic.as_deref()
    }

    /// Returns how the worker ended, for [`ErrorKind::TerminatedWorker`] and where a worker's death broke the pool.
    ///
    /// ```
    /// #[loky::task]
    /// fn leave() {
    ///     std::process::exit(42)
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let error = executor.submit(leave, ()).result().unwrap_err();
    ///         assert_eq!(error.worker_exit().unwrap().code(), Some(42));
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn worker_exit(&self) -> Option<&WorkerExit> {
        self.inner.worker_exit.as_deref()
    }

    /// Writes all fields, for `{:#?}`.
    fn fmt_fields(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.fmt_fields(f);
        }
        write!(f, "{self}")?;
        for source in sources(self) {
            write!(f, "\n  caused by: {source}")?;
        }
        self.panic().map_or(Ok(()), |report| report.fmt_frames(f))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// The sources of an error, the nearest first.
fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a dyn StdError> {
    std::iter::successors(error.source(), |source| StdError::source(*source))
        .map(|source| source as &dyn StdError)
}
