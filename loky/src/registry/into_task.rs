//! The values that can be submitted: a [`Task`], or the function item of one.

use std::any::TypeId;

use super::Table;
use crate::error::{Error, ErrorKind, Result};
use crate::task::Task;

/// The tasks that [`submit`](crate::ProcessPoolExecutor::submit) accepts: a function with `#[loky::task]`, or its [`Task`].
///
/// `Args` are the arguments as one value: `()` for none, the bare value for one, a tuple for more. The compiler infers `Kind`,
/// which distinguishes functions by their number of arguments. The trait is sealed.
///
/// Functions of one's own can be generic over it:
///
/// ```
/// use loky::{Future, IntoTask, ProcessPoolExecutor};
///
/// #[loky::task]
/// fn double(x: u64) -> u64 {
///     2 * x
/// }
///
/// fn submit_twice<T, Args, Kind>(pool: &ProcessPoolExecutor, task: T, args: Args) -> [Future<T::Output>; 2]
/// where
///     T: IntoTask<Args, Kind> + Copy,
///     Args: Clone,
/// {
///     [pool.submit(task, args.clone()), pool.submit(task, args)]
/// }
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
///     for future in submit_twice(&pool, double, 4) {
///         assert_eq!(future.result()?, 8);
///     }
///     Ok(())
/// }
/// ```
///
/// A closure compiles too, but is not registered: its call fails with [`ErrorKind::NotATask`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called with `{Args}` in a worker",
    label = "no task for these arguments",
    note = "help: pass a function with `#[loky::task]` and its arguments as one value: `()` for none, the bare value for one, a tuple for more"
)]
pub trait IntoTask<Args, Kind>: sealed::Sealed<Args, Kind> {
    /// The type of the task's result.
    type Output: 'static;

    /// Returns the task.
    ///
    /// # Errors
    /// [`ErrorKind::NotATask`] if the function is not registered.
    fn into_task(self) -> Result<Task<Args, Self::Output>>;
}

mod sealed {
    /// Only the types of this module implement it.
    #[expect(unnameable_types, reason = "that seals the trait above it")]
    pub trait Sealed<Args, Kind> {}
}

/// The `Kind` of a [`Task`].
#[derive(Debug)]
#[doc(hidden)]
pub enum ByTask {}

impl<Args, R: 'static> sealed::Sealed<Args, ByTask> for Task<Args, R> {}

impl<Args, R: 'static> IntoTask<Args, ByTask> for Task<Args, R> {
    type Output = R;

    fn into_task(self) -> Result<Self> {
        Ok(self)
    }
}

/// Returns the task of the function item `F`.
fn task_of<F: 'static, Args: 'static, R: 'static>() -> Result<Task<Args, R>> {
    let entry = Table::get().by_item(TypeId::of::<F>());
    let typed = entry.and_then(|entry| entry.typed.downcast_ref());
    typed.copied().ok_or_else(|| not_a_task(std::any::type_name::<F>()))
}

/// The error for a value of the type `name`, whose kind only the name tells.
fn not_a_task(name: &str) -> Error {
    let message = if name.contains("{{closure}}") {
        format!(
            "the closure `{name}` is not a task, since code cannot be sent to a worker: write a function with \
             `#[loky::task]`, and pass what the closure captures as arguments"
        )
    } else if name.starts_with("fn(") || name.contains(" fn(") {
        format!(
            "a function pointer `{name}` is not a task: pass the function itself, or its `TASK`"
        )
    } else {
        format!("`{name}` is not a task: put `#[loky::task]` on the function")
    };
    Error::new(ErrorKind::NotATask, message)
}

impl<F: Fn() -> R + 'static, R: 'static> sealed::Sealed<(), fn() -> R> for F {}

impl<F: Fn() -> R + 'static, R: 'static> IntoTask<(), fn() -> R> for F {
    type Output = R;

    fn into_task(self) -> Result<Task<(), R>> {
        task_of::<F, _, _>()
    }
}

impl<F, A, R> sealed::Sealed<A, fn(A) -> R> for F
where
    F: Fn(A) -> R + 'static,
    A: 'static,
    R: 'static,
{
}

impl<F: Fn(A) -> R + 'static, A: 'static, R: 'static> IntoTask<A, fn(A) -> R> for F {
    type Output = R;

    fn into_task(self) -> Result<Task<A, R>> {
        task_of::<F, _, _>()
    }
}

macro_rules! function_items {
    ($($arg:ident)+) => {
        impl<F, R, $($arg),+> sealed::Sealed<($($arg,)+), fn($($arg),+) -> R> for F
        where
            F: Fn($($arg),+) -> R + 'static,
            R: 'static,
            $($arg: 'static,)+
        {
        }

        impl<F, R, $($arg),+> IntoTask<($($arg,)+), fn($($arg),+) -> R> for F
        where
            F: Fn($($arg),+) -> R + 'static,
            R: 'static,
            $($arg: 'static,)+
        {
            type Output = R;

            fn into_task(self) -> Result<Task<($($arg,)+), R>> {
                task_of::<F, _, _>()
            }
        }
    };
}

function_items!(A B);
function_items!(A B C);
function_items!(A B C D);
function_items!(A B C D E);
function_items!(A B C D E G);
function_items!(A B C D E G H);
function_items!(A B C D E G H I);
function_items!(A B C D E G H I J);
function_items!(A B C D E G H I J K);
function_items!(A B C D E G H I J K L);
function_items!(A B C D E G H I J K L M);
