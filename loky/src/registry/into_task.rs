//! What can be submitted: a [`Task`], or the function item that one was made of.

use std::any::TypeId;

use super::Table;
use crate::error::{Error, ErrorKind, Result};
use crate::task::Task;

/// What [`submit`](crate::ProcessPoolExecutor::submit) takes: a function with `#[loky::task]`, or its [`Task`].
///
/// `Args` are the arguments as one value (`()` for none, the bare value for one, a tuple for more). `Kind` is found by the
/// compiler and tells functions of different numbers of arguments apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called with `{Args}` in a worker",
    label = "no task for these arguments",
    note = "help: pass a function with `#[loky::task]` and its arguments as one value: `()` for none, the bare value for one, a tuple for more"
)]
pub trait IntoTask<Args, Kind> {
    /// What the task returns.
    type Output: 'static;

    /// The task itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotATask`] if the function is not registered.
    fn into_task(self) -> Result<Task<Args, Self::Output>>;
}

/// Marks a [`Task`] among the things that can be submitted.
#[derive(Debug)]
#[doc(hidden)]
pub enum ByTask {}

impl<Args, R: 'static> IntoTask<Args, ByTask> for Task<Args, R> {
    type Output = R;

    fn into_task(self) -> Result<Self> {
        Ok(self)
    }
}

/// The task that was made of the function item `F`.
fn task_of<F: 'static, Args: 'static, R: 'static>() -> Result<Task<Args, R>> {
    let entry = Table::get().by_item(TypeId::of::<F>());
    let typed = entry.and_then(|entry| entry.typed.downcast_ref());
    typed.copied().ok_or_else(|| {
        let path = std::any::type_name::<F>();
        let message = format!("`{path}` is no task: it needs `#[loky::task]`");
        Error::new(ErrorKind::NotATask, message)
    })
}

impl<F: Fn() -> R + 'static, R: 'static> IntoTask<(), fn() -> R> for F {
    type Output = R;

    fn into_task(self) -> Result<Task<(), R>> {
        task_of::<F, _, _>()
    }
}

impl<F: Fn(A) -> R + 'static, A: 'static, R: 'static> IntoTask<A, fn(A) -> R> for F {
    type Output = R;

    fn into_task(self) -> Result<Task<A, R>> {
        task_of::<F, _, _>()
    }
}

macro_rules! function_items {
    ($($arg:ident)+) => {
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
