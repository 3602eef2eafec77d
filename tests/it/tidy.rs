//! The repository checks itself: layers, places of unsafe code, sizes, versions, and that the README and `.ci/run` have equal
//! commands. `tidy_imports` and `tidy_words` check the imports among files and the words.

use loky_tests::repository::{read, rust_files};

/// The modules of `loky/src` by layer, as ARCHITECTURE.md shows them. A module may use modules of lower layers only.
const LAYERS: &[&[&str]] = &[
    &["id", "limits", "clock", "unwind"],
    &["error", "calls", "sys"],
    &["observer", "segments"],
    &["codec"],
    &["config"],
    &["scheduler"],
    &["future", "task", "cpu_count"],
    &["registry", "wire", "shared"],
    &["transport"],
    &["worker", "spawn"],
    &["pool", "role"],
    &["executor"],
    &["map"],
    &["entry"],
    &["__private"],
];

/// Files outside of `sys` in which rustc lets unsafe code stand, each for the reason that it gives.
const UNSAFE_OUTSIDE_SYS: &[&str] = &["registry/builtin.rs", "entry.rs"];

/// The lines that are code, without what stands in comments and documentation.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

fn module_of(file: &str) -> &str {
    let first = file.split('/').next().expect("a name");
    first.strip_suffix(".rs").unwrap_or(first)
}

fn is_test(file: &str) -> bool {
    let names = ["tests.rs", "model.rs"];
    names.iter().any(|name| file.ends_with(name))
        || file.contains("tests/")
        || file == "transport/memory.rs"
}

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| {
        panic!("`{module}` stands in no layer: add it here and to ARCHITECTURE.md")
    })
}

/// The modules that a line names through `crate::`, also within braces.
fn named_modules(line: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let behind = line.split("crate::").skip(1);
    behind.map(|rest| rest.split(|c| !is_name(c)).next().expect("split yields one")).collect()
}

#[test]
fn modules_use_lower_layers_only() {
    let modules: Vec<&str> = LAYERS.concat();
    let mut edges = 0;
    for (file, text) in rust_files("loky/src") {
        let module = module_of(&file);
        if module == "lib" || is_test(&file) {
            continue;
        }
        for line in code(&text) {
            for used in named_modules(line) {
                if used != module && modules.contains(&used) && !line.contains("$crate::") {
                    edges += 1;
                    assert!(
                        layer(used) < layer(module),
                        "{file}: `{module}` must not use `{used}`: {line}"
                    );
                }
            }
            assert!(!line.contains("super::super"), "{file}: {line}");
        }
    }
    assert!(edges > 50, "the check sees {edges} uses only: is it blind?");
}

#[test]
fn architecture_names_the_layers() {
    let text = read("ARCHITECTURE.md");
    for (number, modules) in LAYERS.iter().enumerate() {
        let row = text.lines().find(|line| line.starts_with(&format!("| {number} |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for layer {number}"));
        for module in *modules {
            assert!(row.contains(&format!("`{module}`")), "layer {number} lacks `{module}`: {row}");
        }
    }
}

#[test]
fn scheduler_is_pure() {
    for (file, text) in rust_files("loky/src/scheduler") {
        if is_test(&file) {
            continue;
        }
        let impure = [
            "std::io",
            "std::fs",
            "std::net",
            "std::thread",
            "Mutex",
            "Condvar",
            "Instant::now",
            "clock::",
        ];
        for line in code(&text) {
            let found = impure.iter().find(|word| line.contains(**word));
            assert!(found.is_none(), "{file}: {line}");
        }
    }
}

#[test]
fn unsafe_code_stands_where_it_is_listed() {
    for (file, text) in rust_files("loky/src") {
        let is_listed = file.starts_with("sys/") || UNSAFE_OUTSIDE_SYS.contains(&file.as_str());
        let has_unsafe = code(&text).any(|line| {
            [
                "unsafe {",
                "unsafe fn",
                "unsafe impl",
                "unsafe extern",
                "#[unsafe(",
                "allow(unsafe_code",
            ]
            .iter()
            .any(|word| line.contains(word))
        });
        assert!(is_listed || !has_unsafe, "{file} has unsafe code and is not listed");
        if has_unsafe && file != "entry.rs" {
            assert!(text.contains("//! # Safety"), "{file} does not say why it is safe");
        }
    }
}

#[test]
fn files_are_small_and_have_module_head() {
    for folder in ["loky/src", "loky-macros/src", "examples", "tests/it", "tests/src", "benches"] {
        for (file, text) in rust_files(folder) {
            let lines = text.lines().count();
            assert!(lines <= 800, "{folder}/{file} has {lines} lines: look for its second subject");
            let begins_with_prose =
                text.starts_with("//!") || text.starts_with("#![") && text.contains("//!");
            let is_unit_test = file.ends_with("tests.rs") || file.contains("tests/");
            assert!(
                begins_with_prose || is_unit_test,
                "{folder}/{file} does not say what it is for"
            );
            let name = file.rsplit('/').next().expect("a name");
            let vague = ["utils.rs", "common.rs", "helpers.rs", "types.rs", "imp.rs", "misc.rs"];
            assert!(!vague.contains(&name), "{folder}/{file}: a file is named for its subject");
        }
    }
    for (file, text) in rust_files("ui-tests/cases") {
        assert!(text.lines().count() <= 25, "ui-tests/cases/{file} is too long");
    }
}

#[test]
fn versions_agree() {
    let manifest = read("Cargo.toml");
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("version = ")).expect("a version");
    let version = version.trim_matches('"');
    let pinned = format!("loky-macros = {{ path = \"loky-macros\", version = \"={version}\" }}");
    assert!(manifest.contains(&pinned), "the macros are pinned to {version}");
    assert!(
        read("CHANGELOG.md").contains(&format!("## {version}")),
        "CHANGELOG.md lacks {version}"
    );
}

#[test]
fn readme_and_ci_run_equal_commands() {
    let readme = read("README.md");
    let ci = read(".ci/run");
    let test = "cargo test --workspace --all-features";
    let main_job = "cargo run --release --example wordcount";
    let bench = "cargo bench";
    let is_line = |text: &str, command: &str| text.lines().any(|line| line.trim() == command);
    for command in [test, main_job, bench] {
        assert!(is_line(&readme, command), "README.md lacks `{command}`");
    }
    assert!(is_line(&ci, test), ".ci/run does not run the README's test command");
    let counts = "cargo run --release --target-dir target/counts -p loky-benches --bin counts";
    assert!(is_line(&ci, counts), ".ci/run does not count instructions");
}

#[test]
fn cargo_bench_runs_the_budget_alone() {
    // A target that is left out here is built as a bench of libtest, which chokes on the options of the budget.
    for package in ["loky", "loky-macros", "examples", "tests", "ui-tests", "benches"] {
        let manifest = read(format!("{package}/Cargo.toml"));
        let lib = manifest.split("[lib]\n").nth(1).unwrap_or_default();
        let lib = lib.split("\n[").next().expect("split yields one");
        assert!(lib.contains("bench = false"), "{package}/Cargo.toml: the library is a bench");
    }
    let manifest = read("tests/Cargo.toml");
    for (file, _) in rust_files("tests/src/bin") {
        let name = file.trim_end_matches(".rs");
        let is_none = manifest.contains(&format!("name = \"{name}\"\nbench = false"));
        assert!(is_none, "tests/Cargo.toml: `{name}` is a bench");
    }
    for program in read("benches/Cargo.toml").split("[[bin]]\n").skip(1) {
        let program = program.split("\n[").next().expect("split yields one");
        assert!(program.contains("bench = false"), "benches/Cargo.toml: a bench: {program}");
    }
}

#[test]
fn readme_begins_with_example_that_runs() {
    let readme = read("README.md");
    let first =
        readme.split("```rust\n").nth(1).expect("an example").split("```").next().expect("its end");
    let example = read("examples/say_hello.rs");
    assert!(example.ends_with(first), "README.md and examples/say_hello.rs differ");
    let main = example.split("#[loky::entry]").nth(1).expect("an entry");
    assert!(first.contains(main), "the example is cut");
}

#[test]
fn no_work_is_left_in_comments() {
    for folder in ["loky/src", "loky-macros/src", "examples", "tests", "benches"] {
        for (file, text) in rust_files(folder) {
            let marks = [
                concat!("TO", "DO"),
                concat!("FIX", "ME"),
                concat!("#[ig", "nore"),
                concat!("tod", "o!("),
            ];
            let found = marks.iter().find(|mark| text.contains(**mark));
            assert!(found.is_none(), "{folder}/{file}: {found:?}");
        }
    }
}
