//! [`PanicReport`]: the facts of a panic in a worker, as plain data.

use std::fmt;

use super::stack;
use crate::limits;

/// The report of a task's panic, made in its worker.
///
/// `Display` is one sentence with the place and the message. `{:?}` adds the functions of the user's on the stack, each on a line
/// of its own; `{:#?}` has all fields.
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
///         let report = error.panic().expect("it panicked");
///         assert_eq!(report.message(), "attempt to divide by zero");
///         assert_eq!(executor.worker_pids(), [report.worker_pid()]); // the worker lives on
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PanicReport {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
    pub(crate) worker_pid: u32,
}

impl PanicReport {
    /// Returns the message of the panic. A payload that is not text is described by its nature.
    ///
    /// ```
    /// fn is_overflow(error: &loky::Error) -> bool {
    ///     error.panic().is_some_and(|report| report.message().contains("overflow"))
    /// }
    /// # assert!(!is_overflow(&loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err()));
    /// ```
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the place where the panic began, as `file:line:column`. `None` if the program replaced the worker's panic hook.
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
    ///         let location = error.panic().unwrap().location().unwrap();
    ///         assert_eq!(location.split(':').count(), 3, "{location}");
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// Returns the stack at the panic, as [`std::backtrace::Backtrace`] prints it.
    ///
    /// The worker always captures it, unless `RUST_BACKTRACE` is `0` there. `RUST_LIB_BACKTRACE`, if set, decides instead.
    ///
    /// ```
    /// #[loky::task]
    /// fn fail() {
    ///     panic!("on purpose")
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let builder = loky::ProcessPoolExecutor::builder().max_workers(1);
    ///         let executor = builder.env("RUST_LIB_BACKTRACE", "0").build()?;
    ///         let error = executor.submit(fail, ()).result().unwrap_err();
    ///         assert_eq!(error.panic().unwrap().backtrace(), None);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }

    /// Returns the process id of the worker in which the task panicked. That worker lives on.
    ///
    /// ```
    /// fn log(error: &loky::Error) {
    ///     if let Some(report) = error.panic() {
    ///         eprintln!("worker {} panicked: {}", report.worker_pid(), report.message());
    ///     }
    /// }
    /// # log(&loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err());
    /// ```
    #[must_use]
    pub fn worker_pid(&self) -> u32 {
        self.worker_pid
    }

    /// Writes the user's frames, each on a line of its own.
    pub(super) fn fmt_frames(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backtrace = self.backtrace.as_deref().unwrap_or_default();
        let mut frames = stack::user_frames(backtrace);
        for frame in frames.by_ref().take(limits::DEBUG_FRAMES) {
            write!(f, "\n  at {}", frame.function)?;
            if let Some(place) = frame.place {
                write!(f, " ({place})")?;
            }
        }
        match frames.count() {
            0 => Ok(()),
            left => write!(f, "\n  and {left} more, see `PanicReport::backtrace`"),
        }
    }
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "panicked at {location}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

impl fmt::Debug for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            write!(f, "{self}")?;
            return self.fmt_frames(f);
        }
        let Self { message, location, backtrace, worker_pid } = self;
        let mut out = f.debug_struct("PanicReport");
        out.field("message", message).field("location", location);
        out.field("backtrace", backtrace).field("worker_pid", worker_pid).finish()
    }
}
