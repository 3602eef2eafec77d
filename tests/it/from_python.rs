//! Checks that every test that `docs/from-python.md` names exists.

use loky_tests::repository::{read, rust_files};

/// The functions of a file, with those that a table of cases names.
fn has_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let case = format!("{name}: ");
    text.lines()
        .map(str::trim_start)
        .any(|line| line.starts_with(&function) || line.starts_with(&case))
}

/// The module that a file is, as a path: `map` for `map.rs` and for `map/mod.rs`.
fn module(file: &str) -> String {
    let path = file.trim_end_matches(".rs").replace('/', "::");
    path.trim_end_matches("::mod").to_owned()
}

#[test]
fn named_tests_exist() {
    let page = read("docs/from-python.md");
    let files: Vec<(String, String)> = ["tests/it", "loky/src"]
        .into_iter()
        .flat_map(rust_files)
        .map(|(file, text)| (module(&file), text))
        .collect();
    let rows = page.split("\n## Tests\n").nth(1).expect("the chapter").lines();
    let ours = rows.filter(|row| row.starts_with("| ")).filter_map(|row| row.split('|').nth(2));
    let named: Vec<&str> = ours.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 100, "the page names {} tests only: is the check blind?", named.len());
    let is_missing = |path: &&&str| {
        let (module, name) = path.rsplit_once("::").expect("`module::test`");
        !files.iter().any(|(other, text)| other == module && has_test(text, name))
    };
    let missing: Vec<_> = named.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "docs/from-python.md names tests that do not exist: {missing:#?}");
}
