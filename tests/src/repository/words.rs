//! Counts the words that STYLE.md forbids in prose, since they hide the subject of a sentence.

/// The words that do not occur in documentation of public items and become rarer everywhere else. They are divided here, so that
/// this file does not count.
const FORBIDDEN: &[&[&str]] = &[
    &[concat!("wh", "o")],
    &[concat!("wh", "oever")],
    &[concat!("some", "body")],
    &[concat!("no", "body")],
    &["so", "many"],
    &["so", "long"],
    &["the", "same"],
];

/// How many forbidden words a text has, by where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForbiddenWords {
    /// In `//!` lines, and in `///` lines of public items.
    pub public: usize,
    /// Everywhere else: comments, documentation of private items, names, strings.
    pub elsewhere: usize,
}

impl std::ops::AddAssign for ForbiddenWords {
    fn add_assign(&mut self, other: Self) {
        self.public += other.public;
        self.elsewhere += other.elsewhere;
    }
}

/// Counts the forbidden words of a text. A phrase counts across the end of a line too.
pub fn forbidden_words(text: &str) -> usize {
    let text = text.to_lowercase();
    let words = words(&text);
    let begins_with = |rest: &[Word<'_>], phrase: &[&str]| {
        rest.len() >= phrase.len()
            && phrase.iter().zip(rest).enumerate().all(|(number, (wanted, word))| {
                word.text == *wanted && (number == 0 || word.continues_phrase)
            })
    };
    let counts = |start: usize| FORBIDDEN.iter().any(|phrase| begins_with(&words[start..], phrase));
    (0..words.len()).filter(|start| counts(*start)).count()
}

/// Counts the forbidden words of a Rust file, as formatted by rustfmt.
pub fn forbidden_words_of_rust(text: &str) -> ForbiddenWords {
    let mut public = String::new();
    let mut elsewhere = String::new();
    // The indentation of the public enum or trait whose body the line belongs to: its variants and methods are public too.
    let mut container = None;
    let mut documentation = String::new();
    let mut is_exported = false;
    for line in text.lines() {
        let code = line.trim_start();
        let indentation = line.len() - code.len();
        if code.starts_with("//!") {
            public.push_str(line);
            public.push('\n');
            continue;
        }
        if code.starts_with("///") {
            documentation.push_str(line);
            documentation.push('\n');
            continue;
        }
        elsewhere.push_str(line);
        elsewhere.push('\n');
        if code.starts_with("#[") {
            is_exported |= code.starts_with("#[macro_export");
            continue;
        }
        let is_public = code.starts_with("pub ") || is_exported || container.is_some();
        (if is_public { &mut public } else { &mut elsewhere }).push_str(&documentation);
        documentation.clear();
        is_exported = false;
        if container == Some(indentation) && code.starts_with('}') {
            container = None;
        }
        let opens = code.starts_with("pub enum ") || code.starts_with("pub trait ");
        if container.is_none() && opens && code.ends_with('{') {
            container = Some(indentation);
        }
    }
    ForbiddenWords { public: forbidden_words(&public), elsewhere: forbidden_words(&elsewhere) }
}

struct Word<'a> {
    text: &'a str,
    /// Whether only spaces, line ends and comment marks stand between this word and the one before it.
    continues_phrase: bool,
}

fn words(text: &str) -> Vec<Word<'_>> {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_space = |c: char| c.is_whitespace() || matches!(c, '/' | '!' | '>');
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_of_word) {
        let (gap, from) = rest.split_at(start);
        let end = from.find(|c| !is_of_word(c)).unwrap_or(from.len());
        words.push(Word { text: &from[..end], continues_phrase: gap.chars().all(is_space) });
        rest = &from[end..];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, public: usize, elsewhere: usize) {
        assert_eq!(forbidden_words_of_rust(text), ForbiddenWords { public, elsewhere }, "{text}");
    }

    #[test]
    fn docs_of_public_items_count_as_public() {
        check(concat!("/// Wh", "o runs.\n#[must_use]\npub fn f() {}\n"), 1, 0);
        check(concat!("/// Wh", "o runs.\npub(crate) fn f() {}\n"), 0, 1);
        check(concat!("//! For wh", "oever\n"), 1, 0);
        check(concat!("/// Wh", "o.\n#[macro_export]\nmacro_rules! m {}\n"), 1, 0);
    }

    #[test]
    fn variants_of_public_enum_are_public() {
        check(
            concat!("pub enum E {\n    /// Wh", "o.\n    A,\n}\n/// Wh", "o.\nfn f() {}\n"),
            1,
            1,
        );
        check(concat!("enum E {\n    /// Wh", "o.\n    A,\n}\n"), 0, 1);
    }

    #[test]
    fn phrase_counts_across_lines_but_not_across_sentences() {
        check(concat!("// Of the\n// sa", "me.\n"), 0, 1);
        check(concat!("// So. Many, the. Sa", "me.\n"), 0, 0);
        check(concat!("// whole wh", "o_is and nob", "odys\n"), 0, 0);
    }
}
