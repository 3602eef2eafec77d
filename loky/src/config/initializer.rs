//! The call that each new worker makes before it is given any.

use std::fmt;
use std::sync::Arc;

use crate::codec::EncodedValue;
use crate::unwind;

/// What a task may return that serves as [initializer](crate::Builder::initializer): nothing, or a `Result` of nothing, whose
/// error can be displayed.
///
/// An `Err` is a failure of the initializer, and its text the reason.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of an initializer",
    label = "this task returns `{Self}`",
    note = "help: an initializer returns `()`, or `Result<(), E>` where `E` implements `std::fmt::Display`"
)]
pub trait InitializerOutput {
    /// What it returns if all went well.
    #[doc(hidden)]
    fn success() -> Self;

    /// Why the initializer has failed; `None` if it has not.
    #[doc(hidden)]
    fn into_failure(self) -> Option<String>;
}

impl InitializerOutput for () {
    fn success() -> Self {}

    fn into_failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> InitializerOutput for Result<(), E> {
    fn success() -> Self {
        Ok(())
    }

    fn into_failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// A task with its arguments, and what its result says. Two are equal if they call the same task with the same bytes.
#[derive(Clone)]
pub(crate) struct Initializer {
    pub(crate) task: &'static str,
    /// Its arguments, encoded.
    pub(crate) args: EncodedValue,
    /// The result that it has if all went well.
    success: Vec<u8>,
    judge: Arc<Judge>,
}

/// Why the initializer has failed, if its result says so.
type Judge = dyn Fn(&EncodedValue) -> Result<(), String> + Send + Sync;

impl Initializer {
    /// `judge` decodes a result that is not `success`, and says why the initializer has failed if it has.
    pub(crate) fn new(
        task: &'static str,
        args: EncodedValue,
        success: Vec<u8>,
        judge: impl Fn(&EncodedValue) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { task, args, success, judge: Arc::new(judge) }
    }

    /// Whether a result is the one of success. One that is not has to be [judged](Self::judge).
    pub(crate) fn is_success(&self, result: &[u8]) -> bool {
        result == self.success
    }

    /// Whether a result means that all went well. Runs code of the user's: with no lock held, and on no thread that anything
    /// waits for.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn judge(&self, result: &EncodedValue) -> Result<(), String> {
        unwind::guarded(|| (self.judge)(result))
            .unwrap_or_else(|text| Err(format!("what it returned panicked here: {text}")))
    }
}

impl PartialEq for Initializer {
    fn eq(&self, other: &Self) -> bool {
        (self.task, &self.args) == (other.task, &other.args)
    }
}

impl Eq for Initializer {}

impl fmt::Debug for Initializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initializer").field("task", &self.task).finish_non_exhaustive()
    }
}
