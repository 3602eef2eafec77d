//! The mistakes in the input, collected so that one compilation reports them all.
//!
//! Each mistake is one error at its tokens, with a second line that tells what to write instead. Stable Rust gives macros no
//! notes, so that line is part of the message. The code never panics: a panic of a macro has no place in the user's source.
//! Tested by the `fail` cases of `ui-tests`.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::Error;

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Mistakes {
    all: Option<Error>,
}

impl Mistakes {
    /// Adds a mistake that is about `tokens`.
    pub(crate) fn add(&mut self, tokens: impl ToTokens, what: impl Display, help: impl Display) {
        self.push(Error::new_spanned(tokens, message(what, help)));
    }

    /// Adds a mistake at a place where there may be no tokens.
    pub(crate) fn add_at(&mut self, span: Span, what: impl Display, help: impl Display) {
        self.push(Error::new(span, message(what, help)));
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.as_ref().map_or(0, |all| all.into_iter().count())
    }

    /// An invocation of `compile_error!` for each.
    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.all.map_or_else(TokenStream::new, |all| all.into_compile_error())
    }

    fn push(&mut self, error: Error) {
        match &mut self.all {
            Some(all) => all.combine(error),
            None => self.all = Some(error),
        }
    }
}

fn message(what: impl Display, help: impl Display) -> String {
    format!("{what}\nhelp: {help}")
}
