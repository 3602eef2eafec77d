//! The keys of the attribute: `#[loky::task(name = "geo.add", companion = "add_task")]`.
//!
//! The keys are read one by one. A mistake in one key is noted, and the others are still read. The parser never rejects the
//! whole attribute, so the task expands with its correct keys even beside an error. Tested by `ui-tests`.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{LitStr, Token};

use crate::mistakes::Mistakes;

/// The keys, each with an example of its use.
const KEYS: [(&str, &str); 2] =
    [("name", r#"name = "geo.add""#), ("companion", r#"companion = "add_task""#)];

/// The keys of later versions, each with the help for a program that wants it now.
const LATER_KEYS: [(&str, &str); 3] = [
    ("codec", "leave it out: a later version brings it"),
    (
        "retries",
        "leave it out: a later version brings it; until then submit the call again if `Error::is_terminated_worker`",
    ),
    (
        "timeout",
        "leave it out: a later version brings it; until then `Future::result_timeout` limits the wait for one call",
    ),
];

/// The values of the attribute's keys.
#[derive(Default)]
pub(crate) struct TaskArgs {
    /// The name to register under.
    pub(crate) name: Option<LitStr>,
    /// The name of the companion.
    pub(crate) companion: Option<Ident>,
}

impl TaskArgs {
    /// Parses the tokens in the attribute's brackets.
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
        if let Some((name, help)) = LATER_KEYS.iter().find(|(name, _)| key == name) {
            mistakes.add(&key, format_args!("`{name}` is not supported yet"), help);
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
            _ => self.companion = entry.companion(mistakes),
        }
    }
}

/// One `key = value`, with an example of the key's use.
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
