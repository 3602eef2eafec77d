//! The keys of the attribute: `#[loky::task(name = "geo.add", timeout = "30s")]`.
//!
//! Each key stands for itself: a mistake in one is noted and the others are still read. Never rejects the whole attribute,
//! so that the task expands, with what was right, even beside an error. Tested by `ui-tests`.

use std::time::Duration;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{LitInt, LitStr, Path, Token};

use crate::duration;
use crate::mistakes::Mistakes;

/// The keys, each with how it is written.
const KEYS: [(&str, &str); 4] = [
    ("name", r#"name = "geo.add""#),
    ("timeout", r#"timeout = "30s""#),
    ("retries", "retries = 2"),
    ("companion", r#"companion = "add_task""#),
];

/// What the attribute said.
#[derive(Default)]
pub(crate) struct TaskArgs {
    /// The name to register under.
    pub(crate) name: Option<LitStr>,
    /// The wall time of one run.
    pub(crate) timeout: Option<Duration>,
    /// How often a call may run again.
    pub(crate) retries: Option<u32>,
    /// The name of the companion.
    pub(crate) companion: Option<Ident>,
}

impl TaskArgs {
    /// Reads what stands in the attribute's brackets.
    pub(crate) fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut args = Self::default();
        let keys = |input: ParseStream<'_>| {
            let mut seen = Vec::new();
            while !input.is_empty() {
                args.read_key(input, &mut seen, mistakes)?;
                input.parse::<Option<Token![,]>>()?;
            }
            Ok(())
        };
        if let Err(error) = keys.parse2(tokens) {
            mistakes.add_at(error.span(), error, format_args!("keys are {}", known_keys()));
        }
        args
    }

    fn read_key(
        &mut self,
        input: ParseStream<'_>,
        seen: &mut Vec<Ident>,
        mistakes: &mut Mistakes,
    ) -> syn::Result<()> {
        let Ok(key) = input.call(Ident::parse_any) else {
            let rest = until_comma(input)?;
            let what = "a key of `#[loky::task]` was expected here";
            mistakes.add(rest, what, format_args!("keys are {}", known_keys()));
            return Ok(());
        };
        let has_value = input.parse::<Option<Token![=]>>()?.is_some();
        let value = until_comma(input)?;
        if seen.contains(&key) {
            mistakes.add(&key, format_args!("`{key}` is given twice"), "keep one of them");
            return Ok(());
        }
        seen.push(key.clone());
        if key == "codec" {
            check_codec(&key, value, mistakes);
        } else if let Some((_, example)) = KEYS.iter().find(|(name, _)| key == name) {
            if has_value && !value.is_empty() {
                self.set(&Entry { key, value, example }, mistakes);
            } else {
                let what = format_args!("`{key}` needs a value");
                mistakes.add(&key, what, format_args!("write `{example}`"));
            }
        } else {
            let what = format_args!("unknown key `{key}` of `#[loky::task]`");
            mistakes.add(&key, what, format_args!("keys are {}", known_keys()));
        }
        Ok(())
    }

    fn set(&mut self, entry: &Entry, mistakes: &mut Mistakes) {
        match entry.key.to_string().as_str() {
            "name" => self.name = entry.name(mistakes),
            "timeout" => self.timeout = entry.timeout(mistakes),
            "retries" => self.retries = entry.retries(mistakes),
            _ => self.companion = entry.companion(mistakes),
        }
    }
}

/// One `key = value`, and how the key is written.
struct Entry {
    key: Ident,
    value: TokenStream,
    example: &'static str,
}

impl Entry {
    fn name(&self, mistakes: &mut Mistakes) -> Option<LitStr> {
        let name: LitStr = syn::parse2(self.value.clone()).ok().or_else(|| {
            self.refuse("`name` must be a string", mistakes);
            None
        })?;
        if name.value().is_empty() {
            self.refuse("`name` must not be empty", mistakes);
            return None;
        }
        if name.value().contains(char::is_control) {
            self.refuse("`name` must not contain control characters", mistakes);
            return None;
        }
        Some(name)
    }

    fn timeout(&self, mistakes: &mut Mistakes) -> Option<Duration> {
        let text: Option<LitStr> = syn::parse2(self.value.clone()).ok();
        let timeout = text.and_then(|text| duration::parse(&text.value()));
        if timeout.is_none() {
            let what =
                "`timeout` must be a number with the unit `ms`, `s`, `m` or `h`, more than 0";
            self.refuse(what, mistakes);
        }
        timeout
    }

    fn retries(&self, mistakes: &mut Mistakes) -> Option<u32> {
        let number: Option<LitInt> = syn::parse2(self.value.clone()).ok();
        let retries = number
            .filter(|number| matches!(number.suffix(), "" | "u32"))
            .and_then(|number| number.base10_parse().ok());
        if retries.is_none() {
            self.refuse("`retries` must be a whole number that fits `u32`", mistakes);
        }
        retries
    }

    fn companion(&self, mistakes: &mut Mistakes) -> Option<Ident> {
        let text: Option<LitStr> = syn::parse2(self.value.clone()).ok();
        let companion = text.and_then(|text| text.parse().ok());
        if companion.is_none() {
            self.refuse("`companion` must be an identifier in a string", mistakes);
        }
        companion
    }

    fn refuse(&self, what: &str, mistakes: &mut Mistakes) {
        mistakes.add(&self.value, what, format_args!("write `{}`", self.example));
    }
}

fn check_codec(key: &Ident, value: TokenStream, mistakes: &mut Mistakes) {
    if syn::parse2::<Path>(value).is_ok() {
        let help = "leave it out, and choose a codec for the whole executor";
        mistakes.add(key, "`codec` is not supported yet", help);
    } else {
        mistakes.add(key, "`codec` must be the path of a type", "leave it out");
    }
}

fn known_keys() -> String {
    KEYS.map(|(key, _)| format!("`{key}`")).join(", ")
}

/// The tokens up to the next comma that is not inside of `<…>`.
fn until_comma(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let mut tokens = TokenStream::new();
    let mut depth = 0_usize;
    while !input.is_empty() && (depth > 0 || !input.peek(Token![,])) {
        let token: TokenTree = input.parse()?;
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == '<' => depth += 1,
            TokenTree::Punct(punct) if punct.as_char() == '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        tokens.extend([token]);
    }
    Ok(tokens)
}
