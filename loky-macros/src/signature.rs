//! The function below the attribute, which is read but never changed.
//!
//! Only the tokens before the body are parsed, so the body may use syntax that the parser does not know. `validate` rejects
//! functions that cannot be tasks. Tested by `ui-tests`.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, FnArg, Pat, ReturnType, Signature, Type, Visibility, parse_quote_spanned};

use crate::mistakes::Mistakes;

/// The most arguments that a task may have: tuples of more have no serde.
pub(crate) const MAX_ARGUMENTS: usize = 12;

/// A function but for its body.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
}

impl Function {
    /// Reads `item`, or notes that it is no function.
    pub(crate) fn parse(item: TokenStream, mistakes: &mut Mistakes) -> Option<Self> {
        let mut body = None;
        let head = |input: ParseStream<'_>| {
            let attrs = input.call(Attribute::parse_outer)?;
            let (vis, sig) = (input.parse()?, input.parse()?);
            body = input.parse::<TokenStream>()?.into_iter().next();
            Ok(Self { attrs, vis, sig })
        };
        let function = head.parse2(item).map_err(|error| {
            let help = "put it on a free function: `fn name(arguments) -> result { … }`";
            mistakes.add_at(error.span(), "`#[loky::task]` is for functions", help);
        });
        let is_body = |token: &TokenTree| matches!(token, TokenTree::Group(it) if it.delimiter() == Delimiter::Brace);
        if let Ok(function) = &function
            && !body.as_ref().is_some_and(is_body)
        {
            let help = "put `#[loky::task]` on a free function that has one";
            mistakes.add(&function.sig, "a task needs a body", help);
            return None;
        }
        function.ok()
    }

    /// The types of the arguments, as written.
    pub(crate) fn argument_types(&self) -> Vec<&Type> {
        let typed = self.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(&*typed.ty),
            FnArg::Receiver(_) => None,
        });
        typed.collect()
    }

    /// A name for each argument: as written, or, for a pattern, one that no other item can have.
    pub(crate) fn argument_names(&self) -> Vec<Ident> {
        let mut names: Vec<Ident> = Vec::new();
        for (index, input) in self.sig.inputs.iter().enumerate() {
            let written = match input {
                FnArg::Typed(typed) => match &*typed.pat {
                    Pat::Ident(pat) => Some(generated(&pat.ident)),
                    _ => None,
                },
                FnArg::Receiver(_) => None,
            };
            // Arguments that come out of a `macro_rules!` can have one name twice.
            let name = written.filter(|name| !names.contains(name));
            names.push(name.unwrap_or_else(|| format_ident!("__loky_arg{index}")));
        }
        names
    }

    /// The type of the result: `()` where none is written.
    pub(crate) fn result_type(&self) -> Type {
        match &self.sig.output {
            ReturnType::Type(_, ty) => (**ty).clone(),
            ReturnType::Default => parse_quote_spanned!(self.sig.ident.span()=> ()),
        }
    }
}

/// Whether rustc itself rejects a function with this type, with a clear error: unsized types, and `_`.
pub(crate) fn is_refused_anyway(ty: &Type) -> bool {
    match ty {
        Type::Slice(_) | Type::TraitObject(_) => true,
        Type::Path(path) if path.path.is_ident("str") => true,
        _ => has_placeholder(ty.to_token_stream()),
    }
}

fn has_placeholder(tokens: TokenStream) -> bool {
    let mut is_lifetime = false;
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => has_placeholder(group.stream()),
        TokenTree::Punct(punct) => {
            is_lifetime = punct.as_char() == '\'';
            false
        }
        TokenTree::Ident(ident) => !std::mem::take(&mut is_lifetime) && ident == "_",
        TokenTree::Literal(_) => false,
    })
}

/// `name` at its place, with a span of the macro, so that lints do not count it as code of the user.
pub(crate) fn generated(name: &Ident) -> Ident {
    let mut name = name.clone();
    name.set_span(generated_at(name.span()));
    name
}

/// The place of `span`, with the name resolution of the macro.
pub(crate) fn generated_at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}
