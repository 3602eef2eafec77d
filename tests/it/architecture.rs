//! Checks that the files that `ARCHITECTURE.md` names exist.

use loky_tests::repository::{read, root};

#[test]
fn named_files_exist() {
    let page = read("ARCHITECTURE.md");
    let is_path = |text: &&str| text.contains('/') && text.ends_with(".rs") && !text.contains(' ');
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_path).collect();
    assert!(named.len() > 10, "the page names {} files only: is the check blind?", named.len());
    let exists =
        |path: &str| ["", "loky/src"].iter().any(|at| root().join(at).join(path).is_file());
    let missing: Vec<_> = named.iter().filter(|path| !exists(path)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names files that do not exist: {missing:#?}");
}
