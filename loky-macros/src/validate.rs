//! What a task may not be, each mistake with a way out.
//!
//! Looks at syntax only. Whether a type is serde is rustc's to say, at the one place where the expansion asks; nothing
//! here may guess at it by a type's name. Tested by the `fail` cases of `ui-tests`, one a refusal.

use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, FnArg, GenericParam, Generics, Lifetime, ParenthesizedGenericArguments, Path,
    Safety, Signature, Type, TypeFnPtr, TypeImplTrait, TypeNever, TypeReference,
};

use crate::mistakes::Mistakes;
use crate::signature::{Function, MAX_ARGUMENTS, is_refused_anyway};
use crate::type_text;

/// Notes all that is wrong with `function`, but for what rustc says itself. Says whether nothing was.
pub(crate) fn check(function: &Function, mistakes: &mut Mistakes) -> bool {
    let before = mistakes.count();
    check_attributes(&function.attrs, mistakes);
    check_qualifiers(&function.sig, mistakes);
    check_generics(&function.sig.generics, mistakes);
    for input in &function.sig.inputs {
        check_input(input, mistakes);
    }
    check_number_of_arguments(&function.sig, mistakes);
    TypeCheck { mistakes, role: Role::Result }.visit_return_type(&function.sig.output);
    let result = function.result_type();
    let mut types = function.argument_types().into_iter().chain([&result]);
    mistakes.count() == before && !types.any(is_refused_anyway)
}

fn check_attributes(attrs: &[Attribute], mistakes: &mut Mistakes) {
    if let Some(attr) = attrs.iter().find(|attr| attr.path().is_ident("target_feature")) {
        let help = "write a task that looks whether the worker's processor has it, and calls this function";
        mistakes.add(attr, "a task cannot have `#[target_feature]`", help);
    }
}

fn check_qualifiers(sig: &Signature, mistakes: &mut Mistakes) {
    if let Some(asyncness) = &sig.asyncness {
        let help = "write a plain `fn`; to wait in it, run the future to its end there";
        mistakes.add(asyncness, "a task cannot be an `async fn`", help);
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        let help = "write a safe function that calls the unsafe one";
        mistakes.add(unsafety, "a task cannot be an `unsafe fn`", help);
    }
    if let Some(abi) = &sig.abi {
        let help = "write a plain `fn` that calls the `extern` one";
        mistakes.add(abi, "a task cannot be an `extern fn`", help);
    }
}

fn check_generics(generics: &Generics, mistakes: &mut Mistakes) {
    for param in &generics.params {
        let (what, help) = match param {
            GenericParam::Lifetime(it) => {
                (format!("the lifetime `{}`", it.lifetime), "take and return owned values")
            }
            GenericParam::Type(it) => (format!("the type `{}`", it.ident), ONE_TASK_EACH),
            GenericParam::Const(it) => (format!("the constant `{}`", it.ident), ONE_TASK_EACH),
        };
        mistakes.add(param, format_args!("a task cannot be generic over {what}"), help);
    }
    if let Some(clause) = generics.where_clause.as_ref().filter(|_| generics.params.is_empty()) {
        mistakes.add(clause, "a task cannot have a `where` clause", "leave it out");
    }
}

const ONE_TASK_EACH: &str =
    "write a task for each case that is needed, and let it call the generic function";

fn check_input(input: &FnArg, mistakes: &mut Mistakes) {
    let attrs = match input {
        FnArg::Receiver(receiver) => {
            let help = "write a free function that takes the value as an argument";
            mistakes.add(receiver, "a task cannot take `self`", help);
            return;
        }
        FnArg::Typed(typed) => {
            TypeCheck { mistakes, role: Role::Argument }.visit_type(&typed.ty);
            &typed.attrs
        }
    };
    let is_cfg =
        |attr: &&Attribute| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr");
    if let Some(attr) = attrs.iter().find(is_cfg) {
        let help = "put `#[cfg]` on the whole function, once for each form of it";
        mistakes.add(attr, "an argument of a task cannot be conditional", help);
    }
}

fn check_number_of_arguments(sig: &Signature, mistakes: &mut Mistakes) {
    if let Some(variadic) = &sig.variadic {
        mistakes.add(variadic, "a task cannot be variadic", "take a `Vec`");
    }
    if let Some(first_too_many) = sig.inputs.iter().nth(MAX_ARGUMENTS) {
        let n_arguments = sig.inputs.len();
        let what = format!("a task takes at most {MAX_ARGUMENTS} arguments, not {n_arguments}");
        let help = "put some of them into a struct that derives `serde::Serialize` and `serde::Deserialize`";
        mistakes.add(first_too_many, what, help);
    }
}

/// Where a type stands.
#[derive(Clone, Copy)]
enum Role {
    Argument,
    Result,
}

impl Role {
    fn verb(self) -> &'static str {
        match self {
            Self::Argument => "take",
            Self::Result => "return",
        }
    }
}

/// Looks through a type for what cannot travel.
struct TypeCheck<'a> {
    mistakes: &'a mut Mistakes,
    role: Role,
}

impl<'ast> Visit<'ast> for TypeCheck<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let what = format!("a task cannot {} a reference", self.role.verb());
        let owned = owned(&reference.elem);
        self.mistakes.add(reference, what, format_args!("{} `{owned}`", self.role.verb()));
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident == "_" {
            let what = format!("a task cannot {} a borrowed value", self.role.verb());
            self.mistakes.add(lifetime, what, "write `'static`, or an owned type");
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        let what = format!("a task cannot {} `impl Trait`", self.role.verb());
        self.mistakes.add(ty, what, "name the type");
    }

    fn visit_type_never(&mut self, never: &'ast TypeNever) {
        let what = format!("a task cannot {} `!`", self.role.verb());
        let help = "leave the result out: a body that never returns is of any type";
        self.mistakes.add(never, what, help);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.first().is_some_and(|segment| segment.ident == "Self") {
            self.mistakes.add(
                path,
                "a task cannot name `Self`",
                "write a free function, and name the type",
            );
            return;
        }
        visit::visit_path(self, path);
    }

    // Pointers to functions and the arguments of `dyn Fn(…)` have rules of their own, and are not serde anyway.
    fn visit_type_fn_ptr(&mut self, _: &'ast TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'ast ParenthesizedGenericArguments) {}
    // The length of an array may borrow whatever it likes.
    fn visit_expr(&mut self, _: &'ast Expr) {}
}

/// What to write for a reference to `target`.
fn owned(target: &Type) -> String {
    match target {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Path(path) if path.path.is_ident("Path") => "PathBuf".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", type_text::text(&slice.elem)),
        Type::Reference(reference) => owned(&reference.elem),
        other => type_text::text(other),
    }
}
