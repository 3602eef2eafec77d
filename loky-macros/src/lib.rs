//! The macros of `loky`, to be used through that crate: `#[loky::task]` and `loky::main!`.
//!
//! A task goes through small steps: `args` reads the attribute, `signature` the function, `validate` refuses what cannot
//! travel, `expand` writes the companion, or `fallback` an inert one, so that a mistake in a task is not followed by one
//! more at each of its callers. `entry` is `loky::main!`.
//!
//! Never: change the function that the attribute stands on, stop at the first mistake, or take a name from the value
//! namespace. Tested by the programs of the package `ui-tests`; what needs no compiler has its tests beside it.

mod args;
mod companion;
mod duration;
mod entry;
mod expand;
mod fallback;
mod mistakes;
mod signature;
mod type_text;
mod validate;

use proc_macro::TokenStream;
use quote::quote;

use crate::args::TaskArgs;
use crate::mistakes::Mistakes;
use crate::signature::Function;

/// Registers a function as a task, to be run in worker processes.
///
/// The function stays what it is. Beside it stands a companion of the same name, for types: `add::TASK` is the task as a
/// value, `add::call(1, 2)` the task with its arguments.
///
/// Keys, all optional: `name = "geo.add"` registers under that name instead of the path of the function,
/// `timeout = "30s"` (`ms`, `s`, `m`, `h`) and `retries = 2` are defaults for its calls, `companion = "add_task"` gives the
/// companion another name.
#[proc_macro_attribute]
pub fn task(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let args = TaskArgs::parse(args.into(), &mut mistakes);
    let item = proc_macro2::TokenStream::from(item);
    let companion = Function::parse(item.clone(), &mut mistakes).map(|function| {
        let fit = validate::check(&function, &mut mistakes);
        let write = if fit { expand::companion } else { fallback::companion };
        write(&function, &args)
    });
    let errors = mistakes.into_compile_errors();
    quote!(#item #companion #errors).into()
}

/// Wraps the `main` of a program, so that its workers start without running it.
///
/// Takes that one function, with its attributes and any return type that a `main` may have.
#[proc_macro]
pub fn main(input: TokenStream) -> TokenStream {
    entry::main(input.into()).into()
}
