//! Rust text as words: comments, strings and test code are left out.

use std::iter::Peekable;
use std::str::Chars;

/// Returns the tokens of a Rust text: names, and single characters but for `::`. Comments, strings and characters in quotes are
/// left out, and so are items under `#[cfg(test)]`, except that `mod name;` keeps its name in [`Tokens::test_modules`].
pub(super) fn tokens(text: &str) -> Tokens {
    let mut all = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '/' if chars.peek() == Some(&'/') => skip_until(&mut chars, |c| c == '\n'),
            '/' if chars.peek() == Some(&'*') => skip_comment(&mut chars),
            '"' => skip_string(&mut chars),
            '\'' => skip_character_or_lifetime(&mut chars),
            ':' if chars.peek() == Some(&':') => {
                chars.next();
                all.push("::".to_owned());
            }
            c if is_of_name(c) => {
                let mut name = c.to_string();
                while let Some(c) = chars.next_if(|c| is_of_name(*c)) {
                    name.push(c);
                }
                if is_raw_string(&name, &mut chars) {
                    skip_raw_string(&mut chars);
                } else {
                    all.push(name);
                }
            }
            c if c.is_whitespace() => {}
            c => all.push(c.to_string()),
        }
    }
    without_tests(all)
}

/// The result of [`tokens`].
pub(super) struct Tokens {
    pub tokens: Vec<String>,
    /// Modules in files of their own which only tests have.
    pub test_modules: Vec<String>,
}

/// Returns the index behind the bracket that closes the one at `open`.
pub(super) fn behind_closing(tokens: &[String], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

fn without_tests(all: Vec<String>) -> Tokens {
    let mut tokens = Vec::new();
    let mut test_modules = Vec::new();
    let mut index = 0;
    while index < all.len() {
        let is_attribute = all[index] == "#" && all.get(index + 1).is_some_and(|it| it == "[");
        let end = if is_attribute { behind_closing(&all, index + 1) } else { index + 1 };
        let attribute = &all[index..end];
        let is_for_tests = is_attribute
            && attribute.get(2).is_some_and(|it| it == "cfg")
            && attribute.iter().any(|it| it == "test")
            && attribute.iter().all(|it| it != "not" && it != "any");
        if !is_for_tests {
            tokens.extend(attribute.iter().cloned());
            index = end;
            continue;
        }
        let item_end = behind_item(&all, end);
        let item = &all[end..item_end];
        if item.last().is_some_and(|it| it == ";")
            && let Some(place) = item.iter().position(|it| it == "mod")
        {
            test_modules.push(item[place + 1].clone());
        }
        index = item_end;
    }
    Tokens { tokens, test_modules }
}

/// Returns the index behind the item that begins at `start`, its attributes included.
fn behind_item(tokens: &[String], start: usize) -> usize {
    let mut index = start;
    while index < tokens.len() {
        match tokens[index].as_str() {
            ";" | "," => return index + 1,
            "{" if tokens[start] != "use" => return behind_closing(tokens, index),
            "{" | "(" | "[" => index = behind_closing(tokens, index),
            _ => index += 1,
        }
    }
    index
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn skip_until(chars: &mut Peekable<Chars<'_>>, is_end: impl Fn(char) -> bool) {
    chars.by_ref().find(|c| is_end(*c));
}

fn skip_comment(chars: &mut Peekable<Chars<'_>>) {
    let mut depth = 0;
    let mut last = '/';
    for next in chars.by_ref() {
        match (last, next) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                last = next;
                continue;
            }
        }
        if depth == 0 {
            return;
        }
        last = ' ';
    }
}

fn skip_string(chars: &mut Peekable<Chars<'_>>) {
    while let Some(next) = chars.next() {
        match next {
            '\\' => drop(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

fn is_raw_string(name: &str, chars: &mut Peekable<Chars<'_>>) -> bool {
    matches!(name, "r" | "br" | "cr") && matches!(chars.peek(), Some('"' | '#'))
}

fn skip_raw_string(chars: &mut Peekable<Chars<'_>>) {
    let mut marks = 0;
    while chars.next_if_eq(&'#').is_some() {
        marks += 1;
    }
    // A raw name, such as `r#type`, has no quote.
    if chars.next_if_eq(&'"').is_none() {
        return;
    }
    loop {
        skip_until(chars, |c| c == '"');
        let found = (0..marks).take_while(|_| chars.next_if_eq(&'#').is_some()).count();
        if found == marks || chars.peek().is_none() {
            return;
        }
    }
}

fn skip_character_or_lifetime(chars: &mut Peekable<Chars<'_>>) {
    let mut ahead = chars.clone();
    let first = ahead.next();
    if first == Some('\\') {
        chars.next();
        chars.next();
        skip_until(chars, |c| c == '\'');
    } else if ahead.next() == Some('\'') {
        chars.next();
        chars.next();
    }
}
