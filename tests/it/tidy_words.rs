//! Counts the words that STYLE.md forbids: none in the documentation of public items, elsewhere ever fewer.
//!
//! The numbers lie in `forbidden_words.tsv`: an area, the count in `//!` lines and `///` lines of public items, the count
//! everywhere else. They may only fall. `LOKY_TIDY=lower cargo test -p loky-tests --test it tidy_words` writes lower numbers, and
//! never higher ones; so a conflict in the file is solved by taking either side and running that.

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use loky_tests::repository::{
    ForbiddenWords, files_below, forbidden_words, forbidden_words_of_rust, read, root, rust_files,
};

const NUMBERS: &str = "tests/it/forbidden_words.tsv";

/// Pages of prose, whose words are all public.
const PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "benches/README.md"];

/// Folders of Rust files that are one area each. Of `loky/src`, each module is an area.
const FOLDERS: &[&str] =
    &["loky-macros/src", "tests/it", "tests/src", "examples", "ui-tests", "benches"];

fn found() -> BTreeMap<String, ForbiddenWords> {
    let mut areas: BTreeMap<String, ForbiddenWords> = BTreeMap::new();
    for page in PAGES {
        let public = forbidden_words(&read(page));
        areas.insert((*page).to_owned(), ForbiddenWords { public, elsewhere: 0 });
    }
    let docs = files_below("docs", "md").iter().map(|(_, text)| forbidden_words(text)).sum();
    areas.insert("docs".to_owned(), ForbiddenWords { public: docs, elsewhere: 0 });
    for folder in FOLDERS {
        for (_, text) in rust_files(folder) {
            *areas.entry((*folder).to_owned()).or_default() += forbidden_words_of_rust(&text);
        }
    }
    for (file, text) in rust_files("loky/src") {
        let module = file.split('/').next().expect("a name").trim_end_matches(".rs");
        *areas.entry(format!("loky/src/{module}")).or_default() += forbidden_words_of_rust(&text);
    }
    areas
}

fn stored() -> BTreeMap<String, ForbiddenWords> {
    let parse = |line: &str| {
        let mut columns = line.split('\t');
        let area = columns.next().expect("an area").to_owned();
        let mut number = || {
            columns
                .next()
                .and_then(|it| it.parse().ok())
                .unwrap_or_else(|| panic!("{NUMBERS}: {line}"))
        };
        (area, ForbiddenWords { public: number(), elsewhere: number() })
    };
    read(NUMBERS).lines().skip(1).map(parse).collect()
}

/// Stores what is lower now.
fn lower(stored: &BTreeMap<String, ForbiddenWords>, found: &BTreeMap<String, ForbiddenWords>) {
    let mut text = "area\tpublic\telsewhere\n".to_owned();
    for (area, before) in stored {
        let now = found.get(area).copied().unwrap_or_default();
        let public = now.public.min(before.public);
        let elsewhere = now.elsewhere.min(before.elsewhere);
        if public + elsewhere > 0 {
            text.push_str(&format!("{area}\t{public}\t{elsewhere}\n"));
        }
    }
    fs::write(root().join(NUMBERS), text).expect("a file of the repository");
}

#[test]
fn forbidden_words_become_fewer() {
    let found = found();
    if env::var_os("LOKY_TIDY").is_some_and(|it| it == "lower") {
        lower(&stored(), &found);
    }
    let stored = stored();
    let mut wrong = Vec::new();
    let mut compare = |area: &str, place: &str, now: usize, limit: usize| {
        if now > limit {
            wrong.push(format!("{area}, {place}: {now} forbidden words, of {limit} allowed"));
        } else if now < limit {
            wrong
                .push(format!("{area}, {place}: lower it to {now} in {NUMBERS} (LOKY_TIDY=lower)"));
        }
    };
    let areas: BTreeSet<&String> = stored.keys().chain(found.keys()).collect();
    for area in areas {
        let now = found.get(area).copied().unwrap_or_default();
        let limit = stored.get(area).copied().unwrap_or_default();
        compare(area, "public docs and module heads", now.public, limit.public);
        compare(area, "elsewhere", now.elsewhere, limit.elsewhere);
    }
    assert!(wrong.is_empty(), "the words are listed in tests/src/repository/words.rs\n{wrong:#?}");
}
