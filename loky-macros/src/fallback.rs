//! The companion of a function with a mistake. It does nothing, but uses of the task cause no further errors.
//!
//! It is never registered, and requires nothing of the function's types: types that cannot be named outside the function become
//! `()`. Tested by the `fail` cases of `ui-tests` that use the tasks that they declare.

use proc_macro2::{Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{Lifetime, Type};

use crate::args::TaskArgs;
use crate::companion::Companion;
use crate::expand::together;
use crate::signature::{Function, is_refused_anyway};

/// The inert companion of a function.
pub(crate) fn companion(function: &Function, args: &TaskArgs) -> TokenStream {
    if is_in_impl(function) {
        // No type can be declared beside it.
        return TokenStream::new();
    }
    let companion = Companion::new(function, args);
    let vis = &companion.vis;
    let is_generic = !function.sig.generics.params.is_empty();
    let stand_in = |ty: &Type| if is_generic { quote!(()) } else { stand_in(ty) };
    let types: Vec<_> = function.argument_types().iter().map(|ty| stand_in(ty)).collect();
    let (task_args, result) = (together(&types), stand_in(&function.result_type()));

    // Callers may pass values of any type, references to their locals included.
    let numbered = |prefix: &str| -> Vec<Ident> {
        (0..types.len()).map(|index| format_ident!("{prefix}{index}")).collect()
    };
    let (params, names) = (numbered("__LokyArg"), numbered("__loky_arg"));
    let (call_args, values) = (together(&params), together(&names));
    companion.with_items(&quote! {
        #vis const TASK: ::loky::Task<#task_args, #result> = ::loky::__private::v1::refused();
        #vis fn call<#(#params),*>(#(#names: #params),*) -> ::loky::Call<#call_args, #result> {
            ::loky::Call::__new(::loky::__private::v1::refused(), #values)
        }
    })
}

/// Whether the function can only be one of an `impl` or a trait.
fn is_in_impl(function: &Function) -> bool {
    fn names_self(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == "Self",
            TokenTree::Group(group) => names_self(group.stream()),
            _ => false,
        })
    }
    function.sig.receiver().is_some() || names_self(function.sig.to_token_stream())
}

/// `ty` where no lifetime can be elided, or `()` if it cannot be named at all.
fn stand_in(ty: &Type) -> TokenStream {
    let tokens = ty.to_token_stream();
    if is_nameable(tokens.clone()) && !is_refused_anyway(ty) {
        with_static_lifetimes(tokens)
    } else {
        quote!(())
    }
}

fn is_nameable(tokens: TokenStream) -> bool {
    tokens.into_iter().all(|token| match token {
        TokenTree::Ident(ident) => ident != "impl",
        TokenTree::Punct(punct) => punct.as_char() != '!',
        TokenTree::Group(group) => is_nameable(group.stream()),
        TokenTree::Literal(_) => true,
    })
}

/// `&T` as `&'static T`, and `'_` as `'static`.
fn with_static_lifetimes(tokens: TokenStream) -> TokenStream {
    let mut result = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let inner = with_static_lifetimes(group.stream());
                result.extend([TokenTree::from(Group::new(group.delimiter(), inner))]);
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                let is_named =
                    matches!(tokens.peek(), Some(TokenTree::Punct(it)) if it.as_char() == '\'');
                let lifetime = (!is_named).then(|| Lifetime::new("'static", Span::mixed_site()));
                let ampersand = Punct::new('&', Spacing::Alone);
                result.extend(quote!(#ampersand #lifetime));
            }
            TokenTree::Ident(ident) if ident == "_" => {
                result.extend([TokenTree::from(Ident::new("static", ident.span()))]);
            }
            other => result.extend([other]),
        }
    }
    result
}
