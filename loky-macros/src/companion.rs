//! The parts that the real companion and the inert one share: name, visibility, and the attributes that they take over.
//!
//! Attributes that have a meaning for functions only are never taken over. Tested by `ui-tests`.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token, Visibility};

use crate::args::TaskArgs;
use crate::signature::{Function, generated, generated_at};

/// The declaration of a companion.
pub(crate) struct Companion {
    /// The name of the type.
    pub(crate) name: Ident,
    /// The visibility of the function.
    pub(crate) vis: Visibility,
    attrs: TokenStream,
    deprecated: Option<Attribute>,
}

impl Companion {
    /// The companion of `function`.
    pub(crate) fn new(function: &Function, args: &TaskArgs) -> Self {
        let deprecated = function.attrs.iter().find(|attr| attr.path().is_ident("deprecated"));
        Self {
            name: generated(args.companion.as_ref().unwrap_or(&function.sig.ident)),
            vis: generated_visibility(&function.vis),
            attrs: function.attrs.iter().filter_map(taken_over).collect(),
            deprecated: deprecated.cloned(),
        }
    }

    /// The type, with `items` as what it has.
    pub(crate) fn with_items(&self, items: &TokenStream) -> TokenStream {
        let Self { name, vis, attrs, deprecated } = self;
        let allow_deprecated = deprecated.as_ref().map(|_| quote!(#[allow(deprecated)]));
        quote! {
            #attrs
            #deprecated
            #[doc(hidden)]
            #[non_exhaustive]
            #vis enum #name {}

            #attrs
            #allow_deprecated
            #[doc(hidden)]
            impl #name {
                #items
            }
        }
    }
}

/// `vis` with a span of the macro, so that lints do not count it as code of the user.
fn generated_visibility(vis: &Visibility) -> Visibility {
    let mut vis = vis.clone();
    match &mut vis {
        Visibility::Public(token) => token.span = generated_at(token.span),
        Visibility::Restricted(it) => it.pub_token.span = generated_at(it.pub_token.span),
        Visibility::Inherited => {}
    }
    vis
}

/// The part of an attribute that generated code needs: conditions of `cfg`, and lints that the user allows.
pub(crate) fn taken_over(attr: &Attribute) -> Option<TokenStream> {
    let kept = kept(&attr.meta)?;
    Some(quote!(#[#kept]))
}

fn kept(meta: &Meta) -> Option<TokenStream> {
    let Meta::List(list) = meta else { return None };
    let tokens = &list.tokens;
    if list.path.is_ident("cfg") || list.path.is_ident("allow") {
        Some(quote!(#list))
    } else if list.path.is_ident("expect") {
        // The function fulfils it. The companion may not.
        Some(quote!(allow(#tokens)))
    } else if list.path.is_ident("cfg_attr") {
        let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
        let mut parts = parts.iter();
        let condition = parts.next()?;
        let attrs: Vec<_> = parts.filter_map(kept).collect();
        (!attrs.is_empty()).then(|| quote!(cfg_attr(#condition, #(#attrs),*)))
    } else {
        None
    }
}
