//! The text of a signature: `(u64, Vec<u8>) -> String`.
//!
//! It goes into the table and is compared between binaries, so it must never depend on how the source was spaced, nor on
//! how a compiler happens to print tokens. Tested here.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// `(arguments) -> result`, with spaces that do not depend on those of the source.
pub(crate) fn signature<'a>(
    arguments: impl IntoIterator<Item = &'a syn::Type>,
    result: &syn::Type,
) -> String {
    let arguments: Vec<_> = arguments.into_iter().map(text).collect();
    format!("({}) -> {}", arguments.join(", "), text(result))
}

/// Any tokens of a type, spaced as rustfmt would.
pub(crate) fn text(tokens: impl ToTokens) -> String {
    let mut pieces = Vec::new();
    flatten(tokens.to_token_stream(), &mut pieces);
    let mut text = String::new();
    let mut before: Option<&str> = None;
    for piece in &pieces {
        if before.is_some_and(|before| is_spaced(before, piece)) {
            text.push(' ');
        }
        text.push_str(piece);
        before = Some(piece);
    }
    text
}

/// The pieces of text that no space can divide: words, lifetimes, `::`, `->`, other marks, and brackets.
fn flatten(tokens: TokenStream, pieces: &mut Vec<String>) {
    let mut joined = String::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                pieces.extend([open].iter().filter(|it| !it.is_empty()).map(ToString::to_string));
                flatten(group.stream(), pieces);
                pieces.extend([close].iter().filter(|it| !it.is_empty()).map(ToString::to_string));
            }
            TokenTree::Punct(punct) => {
                joined.push(punct.as_char());
                let goes_on =
                    punct.spacing() == Spacing::Joint && matches!(joined.as_str(), ":" | "-" | "'");
                if !goes_on {
                    pieces.push(std::mem::take(&mut joined));
                }
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                joined.push_str(&token.to_string());
                pieces.push(std::mem::take(&mut joined));
            }
        }
    }
}

fn is_spaced(before: &str, after: &str) -> bool {
    let is_word = |char: Option<char>| {
        char.is_some_and(|char| char.is_alphanumeric() || matches!(char, '_' | '\'' | '"'))
    };
    let after_is_word = is_word(after.chars().next());
    match (before, after) {
        (_, "->" | "=" | "+" | "}") => true,
        ("," | ";" | ":" | "->" | "=" | "+" | "{", _) => !matches!(after, ">" | ")" | "]" | ","),
        ("as" | "const" | "dyn" | "mut", _) => true,
        (">" | ")" | "]", _) => after_is_word,
        _ => after_is_word && is_word(before.chars().last()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(text(source.parse::<TokenStream>().unwrap()), expected);
    }

    #[test]
    fn types_are_spaced_as_one_would_write_them() {
        check("u64", "u64");
        check("Vec < Vec<u8>>", "Vec<Vec<u8>>");
        check(
            ":: std :: collections::HashMap<String,u64>",
            "::std::collections::HashMap<String, u64>",
        );
        check("( u8,)", "(u8,)");
        check("(u8,(u16 , [u8;4 ]))", "(u8, (u16, [u8; 4]))");
        check("Cow<'static,str>", "Cow<'static, str>");
        check(
            "Result<(),Box<dyn Error+Send+'static>>",
            "Result<(), Box<dyn Error + Send + 'static>>",
        );
        check("Box<dyn ::a::B>", "Box<dyn ::a::B>");
        check("<Vec<u8> as Trait>::Out", "<Vec<u8> as Trait>::Out");
        check("Foo<{N}, Item=u8,>", "Foo<{ N }, Item = u8,>");
        check("Box<dyn for<'a> Fn(u8)->u8>", "Box<dyn for<'a> Fn(u8) -> u8>");
        check("r#type::r#Fn", "r#type::r#Fn");
        check("Foo<-1>", "Foo<-1>");
    }

    #[test]
    fn a_signature_has_its_arguments_in_brackets() {
        let [a, b]: [syn::Type; 2] = ["u64", "Vec<u8>"].map(|it| syn::parse_str(it).unwrap());
        let unit: syn::Type = syn::parse_str("()").unwrap();
        assert_eq!(signature([], &unit), "() -> ()");
        assert_eq!(signature([&a], &b), "(u64) -> Vec<u8>");
        assert_eq!(signature([&a, &b], &a), "(u64, Vec<u8>) -> u64");
    }
}
