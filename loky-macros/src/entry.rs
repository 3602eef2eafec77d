//! `loky::main!` and `#[loky::entry]`: the user's `main` inside one that turns the process of a worker into a worker.
//!
//! Both forms have one expansion. The user's function keeps its attributes, which may rewrite it (`#[tokio::main]`), and
//! its return type. The expansion never adds code inside that function. Tested by `ui-tests`.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::quote;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Safety, Signature, Visibility};

use crate::companion;
use crate::mistakes::Mistakes;

/// The attributes of the compiler that leave a function as it is.
const PLAIN_ATTRS: [&str; 8] =
    ["doc", "cfg", "allow", "expect", "warn", "deny", "forbid", "deprecated"];

/// The two ways to write an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Macro,
    Attribute,
}

impl Form {
    /// The name of this form in error messages.
    fn name(self) -> &'static str {
        match self {
            Self::Macro => "`loky::main!`",
            Self::Attribute => "`#[loky::entry]`",
        }
    }

    /// The help that shows the whole form.
    fn help(self) -> &'static str {
        match self {
            Self::Macro => "write `loky::main! { fn main() { … } }`",
            Self::Attribute => "write `#[loky::entry] fn main() { … }`",
        }
    }
}

/// The expansion of `loky::main!`.
pub(crate) fn main(input: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    if input.is_empty() {
        let what = "`loky::main!` needs the function `main`";
        mistakes.add_at(Span::call_site(), what, Form::Macro.help());
        let errors = mistakes.into_compile_errors();
        return quote!(#errors fn main() {});
    }
    let entry = Entry::parse(input, Form::Macro, &mut mistakes);
    if let Some(entry) = &entry
        && mistakes.count() == 0
    {
        return expand(entry);
    }
    let errors = mistakes.into_compile_errors();
    let inert = inert(entry.as_ref());
    quote!(#errors #inert)
}

/// The expansion of `#[loky::entry]`.
pub(crate) fn attribute(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    if !args.is_empty() {
        let what = "`#[loky::entry]` takes no arguments";
        mistakes.add(args, what, Form::Attribute.help());
    }
    let entry = Entry::parse(item.clone(), Form::Attribute, &mut mistakes);
    if let Some(entry) = &entry
        && mistakes.count() == 0
    {
        return expand(entry);
    }
    let errors = mistakes.into_compile_errors();
    // An item that is not `main` probably stands beside a `main`.
    let rest = match &entry {
        Some(entry) if entry.sig.ident == "main" => inert(Some(entry)),
        _ => item,
    };
    quote!(#errors #rest)
}

/// The user's function `main`.
struct Entry {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    body: Group,
    /// The tokens after the function, which are a mistake.
    rest: TokenStream,
}

impl Entry {
    /// Parses the function and notes the mistakes in its signature.
    fn parse(input: TokenStream, form: Form, mistakes: &mut Mistakes) -> Option<Self> {
        let function = |input: ParseStream<'_>| {
            let attrs = input.call(Attribute::parse_outer)?;
            let (vis, sig) = (input.parse()?, input.parse()?);
            let body: Group = input.parse()?;
            if body.delimiter() != Delimiter::Brace {
                return Err(syn::Error::new(body.span(), "no body"));
            }
            Ok(Self { attrs, vis, sig, body, rest: input.parse()? })
        };
        let entry = function.parse2(input).map_err(|error| {
            let what = match form {
                Form::Macro => "`loky::main!` takes one function, named `main`",
                Form::Attribute => "`#[loky::entry]` is for the function `main`",
            };
            mistakes.add_at(error.span(), what, form.help());
        });
        let entry = entry.ok()?;
        entry.check(form, mistakes);
        Some(entry)
    }

    fn check(&self, form: Form, mistakes: &mut Mistakes) {
        let sig = &self.sig;
        if sig.ident != "main" {
            let name = form.name();
            let what = format!("the function of {name} must be named `main`, not `{}`", sig.ident);
            mistakes.add(&sig.ident, what, form.help());
        }
        let is_plain = |attr: &Attribute| PLAIN_ATTRS.iter().any(|name| attr.path().is_ident(name));
        if let Some(asyncness) = &sig.asyncness
            && self.attrs.iter().all(is_plain)
        {
            let help = match form {
                Form::Macro => {
                    "put the attribute of a runtime on it, inside `loky::main!`, such as `#[tokio::main]`"
                }
                Form::Attribute => {
                    "put the attribute of a runtime below `#[loky::entry]`, such as `#[tokio::main]`"
                }
            };
            mistakes.add(asyncness, "an `async fn main` needs a runtime that runs it", help);
        }
        if let Safety::Unsafe(unsafety) = &sig.safety {
            mistakes.add(unsafety, "`main` cannot be an `unsafe fn`", form.help());
        }
        if let Some(abi) = &sig.abi {
            mistakes.add(abi, "`main` cannot be an `extern fn`", form.help());
        }
        if !sig.generics.params.is_empty() {
            mistakes.add(&sig.generics, "`main` cannot be generic", form.help());
        } else if let Some(clause) = &sig.generics.where_clause {
            mistakes.add(clause, "`main` cannot have a `where` clause", form.help());
        }
        check_parameters(sig, form, mistakes);
        if !self.rest.is_empty() {
            let what = "`loky::main!` takes nothing but the function `main`";
            mistakes.add(&self.rest, what, "move the rest out of the macro");
        }
    }
}

fn check_parameters(sig: &Signature, form: Form, mistakes: &mut Mistakes) {
    if !sig.inputs.is_empty() {
        let help = "leave them out: the arguments of the program are in `std::env::args`";
        mistakes.add(&sig.inputs, "`main` takes no parameters", help);
    } else if let Some(variadic) = &sig.variadic {
        mistakes.add(variadic, "`main` takes no parameters", form.help());
    }
}

fn expand(entry: &Entry) -> TokenStream {
    let Entry { attrs, vis, sig, body, .. } = entry;
    let (name, output) = (&sig.ident, &sig.output);
    let docs = attrs.iter().filter(|attr| attr.path().is_ident("doc"));
    let shared = attrs.iter().filter_map(companion::taken_over);
    let guard = Ident::new("_guard", Span::mixed_site());
    quote! {
        #(#docs)*
        #(#shared)*
        #vis fn #name() #output {
            #(#attrs)*
            #sig #body
            let #guard = ::loky::__private::v1::enter();
            main()
        }
    }
}

/// A `main` for a program whose own has a mistake. The user's function stands inside it, so that the compiler counts the
/// function's uses of other items.
fn inert(entry: Option<&Entry>) -> TokenStream {
    let function = entry.map(|Entry { attrs, sig, body, .. }| quote!(#(#attrs)* #sig #body));
    let items = entry.map(|entry| &entry.rest).filter(|rest| is_items(rest));
    quote! {
        #items
        #[allow(dead_code)]
        fn main() {
            #function
        }
    }
}

fn is_items(tokens: &TokenStream) -> bool {
    syn::parse2::<syn::File>(tokens.clone()).is_ok()
}
