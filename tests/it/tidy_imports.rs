//! Files import in one direction: a circle of imports among files cannot be read from any end.

use std::collections::{BTreeMap, BTreeSet};

use loky_tests::repository::{Imports, circles, rust_files};

/// Folders of `loky/src` whose files may be in circles of imports, each with the number of such files. The numbers may only fall.
const FILES_IN_CIRCLES: &[(&str, usize)] = &[("error", 2), ("executor", 3), ("scheduler", 3)];

/// The folder whose files may import each other: the serializer of a nested value calls itself through several types.
const FREE: &str = "codec";

fn folder(file: &str) -> &str {
    file.split_once('/').map_or("", |(folder, _)| folder)
}

#[track_caller]
fn check(crate_folder: &str, allowed: &[(&str, usize)]) {
    let imports = Imports::of(&rust_files(crate_folder)).by_file();
    let edges: usize = imports.values().map(|it| it.len()).sum();
    assert!(
        edges >= imports.len() / 2,
        "{edges} imports among {} files: is the check blind?",
        imports.len()
    );
    let circles = circles(&imports);
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for circle in &circles {
        *found.entry(folder(&circle[0])).or_default() += circle.len();
    }
    found.remove(FREE);
    let mut wrong = Vec::new();
    for (folder, files) in &found {
        let limit = allowed.iter().find(|(it, _)| it == folder).map_or(0, |(_, limit)| *limit);
        if *files > limit {
            wrong.push(format!("`{folder}` has {files} files in circles, of {limit} allowed"));
        }
    }
    for (folder, limit) in allowed {
        let files = found.get(folder).copied().unwrap_or(0);
        if files < *limit {
            wrong
                .push(format!("`{folder}` has {files} files in circles: lower {limit} to {files}"));
        }
    }
    assert!(wrong.is_empty(), "{crate_folder}: {wrong:#?}\n{}", described(&circles, &imports));
}

/// The circles, each with the imports among its files.
fn described(circles: &[Vec<String>], imports: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut text = String::new();
    for circle in circles.iter().filter(|it| folder(&it[0]) != FREE) {
        text.push_str("a circle:\n");
        for file in circle {
            let inside: Vec<&String> =
                imports[file].iter().filter(|it| circle.contains(it)).collect();
            text.push_str(&format!("    {file} imports from {inside:?}\n"));
        }
    }
    text
}

#[test]
fn files_of_loky_import_in_one_direction() {
    check("loky/src", FILES_IN_CIRCLES);
}

#[test]
fn files_of_macros_import_in_one_direction() {
    check("loky-macros/src", &[]);
}

#[test]
fn test_files_import_nothing_from_each_other() {
    for (file, others) in Imports::of(&rust_files("tests/it")).by_file() {
        assert!(
            others.is_empty(),
            "tests/it/{file} imports from {others:?}: move that to tests/src"
        );
    }
}
