//! The source text of the repository, for the tests that check it (`tests/it/tidy*.rs`).

mod circles;
mod imports;
mod rust_text;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

pub use circles::circles;
pub use imports::Imports;
pub use words::{ForbiddenWords, forbidden_words, forbidden_words_of_rust};

/// Returns the folder of the workspace.
///
/// # Panics
///
/// Panics if the package stands in no folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Returns the text of a file, whose path is relative to the workspace.
///
/// # Panics
///
/// Panics if the file cannot be read.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the Rust files below `folder`, as paths relative to it, with their text.
///
/// # Panics
///
/// Panics if there are none, since a check of no files is blind.
pub fn rust_files(folder: &str) -> Vec<(String, String)> {
    let files = files_below(folder, "rs");
    assert!(!files.is_empty(), "no Rust files in {folder}");
    files
}

/// Returns the files below `folder` whose names end with `.{extension}`, sorted, as paths relative to it, with their text.
///
/// # Panics
///
/// Panics if one of them is no text.
pub fn files_below(folder: &str, extension: &str) -> Vec<(String, String)> {
    let start = root().join(folder);
    let mut files = Vec::new();
    let mut folders = vec![start.clone()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                // A package outside of the workspace has a build folder of its own.
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|it| it == extension) {
                let name = path.strip_prefix(&start).expect("below").display().to_string();
                files.push((name, fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    files.sort();
    files
}
