//! The macros of the crate [`loky`](https://docs.rs/loky), which exports them: `#[loky::task]`, `#[loky::entry]` and
//! `loky::main!`.
//!
//! A task passes through small steps: `args` parses the attribute and `signature` the function, `validate` notes what cannot
//! travel, and `expand` writes the companion. After a mistake `fallback` writes an inert companion instead, so that the
//! callers of the task cause no further errors. `entry` expands the two forms of an entry.
//!
//! The macros never change the function below the attribute, never stop at the first mistake, and take no name from the value
//! namespace. Tested by the programs of the package `ui-tests`; code that needs no compiler has its tests beside it.

mod args;
mod companion;
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

/// Registers a function as a task, which worker processes can run.
///
/// See [`loky::task`](https://docs.rs/loky/latest/loky/attr.task.html) for the keys and the generated items.
///
/// ```
/// #[loky::task(name = "geo.add")]
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
///
/// assert_eq!(add::TASK.name(), "geo.add");
/// ```
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

/// Makes the function `main` the entry of the program, so that its workers start without running it.
///
/// See [`loky::entry`](https://docs.rs/loky/latest/loky/attr.entry.html).
///
/// ```
/// #[loky::entry]
/// fn main() {
///     assert!(!loky::is_worker());
/// }
/// ```
#[proc_macro_attribute]
pub fn entry(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::attribute(args.into(), item.into()).into()
}

/// Makes the function `main` the entry of the program, as a macro around it.
///
/// See [`loky::main!`](https://docs.rs/loky/latest/loky/macro.main.html).
///
/// ```
/// loky::main! {
///     fn main() {
///         assert!(!loky::is_worker());
///     }
/// }
/// ```
#[proc_macro]
pub fn main(input: TokenStream) -> TokenStream {
    entry::main(input.into()).into()
}
