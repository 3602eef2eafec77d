//! A task: a registered function, its arguments, and running one call of it.
//!
//! `#[loky::task]` generates an [`entry`] for the link-time table, a [`Task`] with the types for the caller, and a function that
//! [`run`]s one call from bytes in the worker. Nothing here touches processes. The macros are tested in the package `ui-tests`,
//! the rest in `tests.rs`.

mod arguments;
mod entry;
mod run;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::OnceLock;

pub use self::arguments::{Arguments, EncodedArgs};
pub use self::entry::{Item, TaskEntry, item_of};
pub use self::run::{Failure, Ran, Run};

use crate::codec::{self, CodecError, EncodedValue, ValueCodec, output};
use crate::segments::Segments;

type Encode<Args> = fn(&Args, &mut EncodedArgs<'_>) -> Result<(), CodecError>;

/// A registered function as a value, with its types.
///
/// `#[loky::task] fn add(…)` generates one as `add::TASK`. It serves where the function item itself does not: in constants, in
/// tables, as a field.
///
/// ```
/// #[loky::task]
/// fn double(x: u64) -> u64 {
///     2 * x
/// }
/// const DOUBLE: loky::Task<u64, u64> = double::TASK;
/// assert!(DOUBLE.name().ends_with("double"));
/// ```
pub struct Task<Args, R> {
    entry: &'static TaskEntry,
    encode: Encode<Args>,
    output: ValueCodec<R>,
}

impl<Args, R> Task<Args, R> {
    /// For the expansion of the macro only.
    #[doc(hidden)]
    #[must_use]
    pub const fn __new(
        entry: &'static TaskEntry,
        encode: Encode<Args>,
        output: ValueCodec<R>,
    ) -> Self {
        Self { entry, encode, output }
    }

    /// Returns the registered name: the path of the function, or the name in the attribute.
    ///
    /// ```
    /// #[loky::task(name = "geo.double")]
    /// fn double(x: u64) -> u64 {
    ///     2 * x
    /// }
    /// assert_eq!(double::TASK.name(), "geo.double");
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.entry.name()
    }

    pub(crate) fn output(&self) -> ValueCodec<R> {
        self.output
    }

    /// Appends the encoded arguments to `out`. Long ones go into these segments. After an error the appended bytes are incomplete.
    pub(crate) fn encode(
        &self,
        args: &Args,
        out: &mut EncodedValue,
        segments: Option<&Segments>,
    ) -> Result<(), CodecError> {
        let mut encoded = EncodedArgs::new(std::mem::take(out), segments);
        let result = (self.encode)(args, &mut encoded);
        *out = encoded.into_value();
        result
    }
}

/// The task that the macro generates after a mistake: the program does not compile, but uses of the task are no further errors.
#[doc(hidden)]
#[must_use]
pub const fn refused<Args, R>() -> Task<Args, R> {
    static ENTRY: TaskEntry = TaskEntry {
        item: || item_of(&refused::<(), ()>),
        explicit_name: None,
        plain_path: OnceLock::new(),
        signature: "",
        file: "",
        line: 0,
        run: |run| run.task(|_| Ok(()), |()| (), output()),
        typed: &(),
    };
    Task { entry: &ENTRY, encode: |_, _| Ok(()), output: codec::refused() }
}

impl<Args, R> Clone for Task<Args, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Args, R> Copy for Task<Args, R> {}

impl<Args, R> fmt::Debug for Task<Args, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name())
            .field("signature", &self.entry.signature)
            .finish()
    }
}

/// A task with its arguments, not yet submitted.
///
/// `add::call(1, 2)` creates one. The compiler checks the number and the types of the arguments there.
///
/// ```
/// #[loky::task]
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
/// let call = add::call(1, 2);
/// assert!(call.task().name().ends_with("add"));
/// ```
#[must_use = "a call does nothing until it is given to an executor"]
pub struct Call<Args, R> {
    task: Task<Args, R>,
    args: Args,
}

impl<Args, R> Call<Args, R> {
    /// For the expansion of the macro only.
    #[doc(hidden)]
    pub const fn __new(task: Task<Args, R>, args: Args) -> Self {
        Self { task, args }
    }

    /// Returns the task.
    ///
    /// ```
    /// #[loky::task(name = "geo.triple")]
    /// fn triple(x: u64) -> u64 {
    ///     3 * x
    /// }
    /// assert_eq!(triple::call(1).task().name(), "geo.triple");
    /// ```
    #[must_use]
    pub fn task(&self) -> Task<Args, R> {
        self.task
    }

    pub(crate) fn into_parts(self) -> (Task<Args, R>, Args) {
        (self.task, self.args)
    }
}

impl<Args: Clone, R> Clone for Call<Args, R> {
    fn clone(&self) -> Self {
        Self { task: self.task, args: self.args.clone() }
    }
}

impl<Args: fmt::Debug, R> fmt::Debug for Call<Args, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("task", &self.task).field("args", &self.args).finish()
    }
}
