//! The call that each new worker runs before all others.

use std::fmt;
use std::sync::Arc;

use crate::codec::EncodedValue;
use crate::unwind;

/// The result types of tasks that can be an [initializer](crate::Builder::initializer): `()`, and `Result<(), E>` where `E`
/// implements `Display`.
///
/// An `Err` is a failure of the initializer, and its text becomes a part of the error. The trait is sealed.
///
/// ```
/// #[loky::task]
/// fn check(limit: u32) -> Result<(), String> {
///     if limit == 0 { Err("nothing to load".into()) } else { Ok(()) }
/// }
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let executor =
///         loky::ProcessPoolExecutor::builder().max_workers(1).initializer(check, 0).build()?;
///     let error = executor.prewarm().unwrap_err();
///     assert!(error.to_string().contains("nothing to load"), "{error}");
///     Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of an initializer",
    label = "this task returns `{Self}`",
    note = "help: an initializer returns `()`, or `Result<(), E>` where `E` implements `std::fmt::Display`"
)]
pub trait InitializerOutput: sealed::Sealed {
    /// Returns the value of a success.
    #[doc(hidden)]
    fn success() -> Self;

    /// Returns the reason of a failure; `None` after a success.
    #[doc(hidden)]
    fn into_failure(self) -> Option<String>;
}

mod sealed {
    /// Only the types of this module implement it.
    #[expect(unnameable_types, reason = "that seals the trait above it")]
    pub trait Sealed {}
}

impl sealed::Sealed for () {}

impl InitializerOutput for () {
    fn success() -> Self {}

    fn into_failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> sealed::Sealed for Result<(), E> {}

impl<E: fmt::Display> InitializerOutput for Result<(), E> {
    fn success() -> Self {
        Ok(())
    }

    fn into_failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// A task with its arguments, and the meaning of its result. Two are equal if they call one task with equal bytes.
#[derive(Clone)]
pub(crate) struct Initializer {
    pub(crate) task: &'static str,
    /// Its arguments, encoded.
    pub(crate) args: EncodedValue,
    /// The encoded result of a success.
    success: Vec<u8>,
    judge: Arc<Judge>,
}

/// Decodes a result and returns the reason of a failure.
type Judge = dyn Fn(&EncodedValue) -> Result<(), String> + Send + Sync;

impl Initializer {
    /// `judge` decodes a result that differs from `success`, and returns the reason if it is a failure.
    pub(crate) fn new(
        task: &'static str,
        args: EncodedValue,
        success: Vec<u8>,
        judge: impl Fn(&EncodedValue) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { task, args, success, judge: Arc::new(judge) }
    }

    /// Whether a result has the bytes of a success. Any other result must be [judged](Self::judge).
    pub(crate) fn is_success(&self, result: &[u8]) -> bool {
        result == self.success
    }

    /// Whether a result is a success. Runs code of the user: no lock may be held, and nothing may wait for the thread.
    ///
    /// # Errors
    /// The reason of the failure.
    pub(crate) fn judge(&self, result: &EncodedValue) -> Result<(), String> {
        unwind::guarded(|| (self.judge)(result))
            .unwrap_or_else(|text| Err(format!("its result panicked in this process: {text}")))
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
