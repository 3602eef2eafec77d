//! `loky::main! { fn main() { … } }`: the user's `main` inside of one that lets workers off before they reach it.
//!
//! The function keeps its attributes, which may make another of it (`#[tokio::main]`), and its return type. Never adds
//! code of its own inside of it. Tested by `ui-tests`.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::quote;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Safety, Signature, Visibility};

use crate::companion;
use crate::mistakes::Mistakes;

const FORM: &str = "write `loky::main! { fn main() { … } }`";

/// The attributes that the compiler itself knows and that leave a function what it is.
const PLAIN_ATTRS: [&str; 8] =
    ["doc", "cfg", "allow", "expect", "warn", "deny", "forbid", "deprecated"];

/// The expansion of `loky::main!`.
pub(crate) fn main(input: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let entry = Entry::parse(input, &mut mistakes);
    if let Some(entry) = &entry {
        check(entry, &mut mistakes);
    }
    if mistakes.count() == 0 {
        return entry.map_or_else(TokenStream::new, |entry| expand(&entry));
    }
    let errors = mistakes.into_compile_errors();
    let inert = inert(entry.as_ref());
    quote!(#errors #inert)
}

/// The function in the macro's brackets.
struct Entry {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    body: Group,
    /// What stands behind it, and should not.
    rest: TokenStream,
}

impl Entry {
    fn parse(input: TokenStream, mistakes: &mut Mistakes) -> Option<Self> {
        if input.is_empty() {
            mistakes.add_at(Span::call_site(), "`loky::main!` needs the function `main`", FORM);
            return None;
        }
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
            let what = "`loky::main!` takes one function, named `main`";
            mistakes.add_at(error.span(), what, FORM);
        });
        entry.ok()
    }
}

fn check(entry: &Entry, mistakes: &mut Mistakes) {
    let sig = &entry.sig;
    if sig.ident != "main" {
        let what =
            format!("the function in `loky::main!` must be named `main`, not `{}`", sig.ident);
        mistakes.add(&sig.ident, what, FORM);
    }
    let is_plain = |attr: &Attribute| PLAIN_ATTRS.iter().any(|name| attr.path().is_ident(name));
    if let Some(asyncness) = &sig.asyncness
        && entry.attrs.iter().all(is_plain)
    {
        let help = "put the attribute of its runtime on it, inside of `loky::main!`, such as `#[tokio::main]`";
        mistakes.add(asyncness, "an `async fn main` needs something that runs it", help);
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        mistakes.add(unsafety, "`main` cannot be an `unsafe fn`", FORM);
    }
    if let Some(abi) = &sig.abi {
        mistakes.add(abi, "`main` cannot be an `extern fn`", FORM);
    }
    if !sig.generics.params.is_empty() {
        mistakes.add(&sig.generics, "`main` cannot be generic", FORM);
    } else if let Some(clause) = &sig.generics.where_clause {
        mistakes.add(clause, "`main` cannot have a `where` clause", FORM);
    }
    check_parameters(sig, mistakes);
    if !entry.rest.is_empty() {
        let what = "`loky::main!` takes nothing but the function `main`";
        mistakes.add(&entry.rest, what, "move the rest out of the macro");
    }
}

fn check_parameters(sig: &Signature, mistakes: &mut Mistakes) {
    if !sig.inputs.is_empty() {
        let help = "leave them out: the arguments of the program are in `std::env::args`";
        mistakes.add(&sig.inputs, "`main` takes no parameters", help);
    } else if let Some(variadic) = &sig.variadic {
        mistakes.add(variadic, "`main` takes no parameters", FORM);
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

/// A `main` for the program that has none now, with the user's function inside, so that what it uses counts as used.
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
