//! The expansion of a task: its companion, with a row for the link-time table inside.
//!
//! All names are absolute or begin with `__loky`, since the user's names are in scope, and may shadow the prelude. Only the codec
//! constant of each type has a trait bound, with the span of the type in the source. So a type without serde gives one error.
//! The expansion has no lint attribute that a `forbid` in the user's crate could reject, unless the function has it too. Tested
//! by `ui-tests`.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{LitStr, Type};

use crate::args::TaskArgs;
use crate::companion::Companion;
use crate::signature::{Function, generated_at};
use crate::type_text;

/// The companion of a function that was found fit to be a task.
pub(crate) fn companion(function: &Function, args: &TaskArgs) -> TokenStream {
    let companion = Companion::new(function, args);
    let parts = Parts::new(function);
    let task = task(&parts, args, &companion);
    let call = call(&parts, &companion);
    companion.with_items(&quote!(#task #call))
}

/// What the pieces of the expansion have in common.
struct Parts<'a> {
    function: &'a Function,
    types: Vec<&'a Type>,
    /// The type of all arguments together: `()`, the bare one, or a tuple.
    args: TokenStream,
    result: Type,
    /// For each argument the constant that holds its codec.
    codecs: Vec<Ident>,
    /// For each argument a name that none of the user's can be.
    locals: Vec<Ident>,
}

impl<'a> Parts<'a> {
    fn new(function: &'a Function) -> Self {
        let types = function.argument_types();
        let numbered = |prefix: &str| -> Vec<Ident> {
            (0..types.len()).map(|index| format_ident!("{prefix}{index}")).collect()
        };
        Self {
            function,
            args: together(&types),
            result: function.result_type(),
            codecs: numbered("__LOKY_ARG"),
            locals: numbered("__loky_arg"),
            types,
        }
    }
}

/// `()` for none, the bare one, or a tuple: for types, values and patterns alike.
pub(crate) fn together(parts: &[impl quote::ToTokens]) -> TokenStream {
    match parts {
        [one] => quote!(#one),
        parts => quote!((#(#parts),*)),
    }
}

/// The constant `TASK`.
fn task(parts: &Parts<'_>, args: &TaskArgs, companion: &Companion) -> TokenStream {
    let Parts { args: all, result, .. } = parts;
    let vis = &companion.vis;
    let codecs = codecs(parts);
    let functions = [item(parts), run(parts)];
    let encode = encode(parts);
    let entry = entry(parts, args);
    quote! {
        #vis const TASK: ::loky::Task<#all, #result> = {
            #codecs
            #(#functions)*
            static __LOKY_TYPED: ::loky::Task<#all, #result> =
                ::loky::Task::__new(&__LOKY_ENTRY, #encode, __LOKY_OUTPUT);
            #entry
            ::loky::__private::v1::register!(__LOKY_ENTRY);
            __LOKY_TYPED
        };
    }
}

/// The function `call`, with the names that the user gave the arguments.
fn call(parts: &Parts<'_>, companion: &Companion) -> TokenStream {
    let Parts { function, types, args, result, .. } = parts;
    let vis = &companion.vis;
    let names = function.argument_names();
    let values = together(&names);
    quote! {
        #vis fn call(#(#names: #types),*) -> ::loky::Call<#args, #result> {
            ::loky::Call::__new(Self::TASK, #values)
        }
    }
}

/// A constant for each type that travels: the only places that ask something of it.
fn codecs(parts: &Parts<'_>) -> TokenStream {
    let codec = |name: &Ident, ty: &Type, kind: &str| {
        let kind = format_ident!("{kind}", span = generated_at(ty.span()));
        quote_spanned! {generated_at(ty.span())=>
            const #name: ::loky::__private::v1::ValueCodec<#ty> = ::loky::__private::v1::#kind::<#ty>()
                .or_rather(::loky::__private::v1::BulkProbe::<#ty>::__LOKY_BULK);
        }
    };
    let arguments = parts.codecs.iter().zip(&parts.types);
    let arguments = arguments.map(|(name, ty)| codec(name, ty, "argument"));
    let kind = if is_result(&parts.result) { "fallible_output" } else { "output" };
    let output = codec(&format_ident!("__LOKY_OUTPUT"), &parts.result, kind);
    quote! {
        // Used by the types that have no such constant of their own, of which here is one in any case: else, of a task whose
        // types all have one, rustc would say that the import is not used.
        use ::loky::__private::v1::BySerde as _;
        const _: ::core::option::Option<::loky::__private::v1::ValueCodec<()>> =
            ::loky::__private::v1::BulkProbe::<()>::__LOKY_BULK;
        #(#arguments)* #output
    }
}

/// Whether the type is written as a `Result`, for the sake of the help that is given when it cannot travel.
fn is_result(ty: &Type) -> bool {
    match ty {
        Type::Group(group) => is_result(&group.elem),
        Type::Paren(paren) => is_result(&paren.elem),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Result" || last.ident == "TaskResult"),
        _ => false,
    }
}

fn item(parts: &Parts<'_>) -> TokenStream {
    let name = &parts.function.sig.ident;
    quote! {
        fn __loky_item() -> ::loky::__private::v1::Item {
            ::loky::__private::v1::item_of(&#name)
        }
    }
}

/// A closure, since the type of its argument written once more would be one more place for errors.
fn encode(parts: &Parts<'_>) -> TokenStream {
    let Parts { codecs, locals, .. } = parts;
    let pattern = together(locals);
    quote! {
        |#pattern, __loky_out| {
            #(__loky_out.put(#codecs, #locals)?;)*
            ::core::result::Result::Ok(())
        }
    }
}

fn run(parts: &Parts<'_>) -> TokenStream {
    let Parts { function, codecs, locals, .. } = parts;
    let name = &function.sig.ident;
    let values = together(locals);
    quote! {
        fn __loky_run(
            __loky_run: ::loky::__private::v1::Run<'_>,
        ) -> ::loky::__private::v1::Ran {
            __loky_run.task(
                |__loky_args| {
                    #(let #locals = __loky_args.take(#codecs)?;)*
                    ::core::result::Result::Ok(#values)
                },
                |#values| #name(#(#locals),*),
                __LOKY_OUTPUT,
            )
        }
    }
}

/// The row of the table.
fn entry(parts: &Parts<'_>, args: &TaskArgs) -> TokenStream {
    let name = &parts.function.sig.ident;
    let explicit_name = optional(args.name.as_ref().map(|name| {
        let text = LitStr::new(&name.value(), generated_at(name.span()));
        quote!(#text)
    }));
    let signature = type_text::signature(parts.types.iter().copied(), &parts.result);
    // With the span of the name, whose line is wanted, and not that of the attribute.
    let line = quote_spanned!(name.span()=> ::core::line!());
    quote! {
        static __LOKY_ENTRY: ::loky::__private::v1::TaskEntry = ::loky::__private::v1::TaskEntry {
            item: __loky_item,
            explicit_name: #explicit_name,
            plain_path: ::std::sync::OnceLock::new(),
            signature: #signature,
            file: ::core::file!(),
            line: #line,
            run: __loky_run,
            typed: &__LOKY_TYPED,
        };
    }
}

fn optional(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
