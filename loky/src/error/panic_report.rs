//! What is known of a panic in a worker: plain data, made there and carried here.

/// A panic of a task, as the worker saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanicReport {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
    pub(crate) worker_pid: u32,
}

impl PanicReport {
    /// The message of the panic. A payload that is no text is described by what it is.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where the panic began, as `file:line:column`. `None` if the program replaced the worker's panic hook.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The stack at the panic, as [`std::backtrace::Backtrace`] prints it.
    ///
    /// Always captured, unless `RUST_BACKTRACE` (or `RUST_LIB_BACKTRACE`, which comes first) is `0` in the worker.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }

    /// The process that the task panicked in. It lives on.
    #[must_use]
    pub fn worker_pid(&self) -> u32 {
        self.worker_pid
    }
}
