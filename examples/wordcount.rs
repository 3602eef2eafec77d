//! Counts the words of a folder's text files in worker processes, and prints a table.
//!
//! `wordcount [FOLDER] [--crash]`. The default folder is the documentation of the Rust toolchain, or this repository. With
//! `--crash` one file crashes its worker. Only that file fails.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs, io};

use serde::{Deserialize, Serialize};

/// The counts of one file, or of all.
#[derive(Default, Serialize, Deserialize)]
struct Counts {
    lines: u64,
    bytes: u64,
    words: HashMap<String, u64>,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
        for (word, count) in other.words {
            *self.words.entry(word).or_default() += count;
        }
    }
}

#[loky::task]
fn count(path: PathBuf, crashes: bool) -> loky::TaskResult<Counts> {
    if crashes {
        std::process::abort();
    }
    let bytes = fs::read(&path)?;
    let text = String::from_utf8_lossy(&bytes);
    let is_html = path.extension().is_some_and(|extension| extension == "html");
    let text = if is_html { without_tags(&text) } else { text };
    let mut counts = Counts { bytes: bytes.len() as u64, ..Counts::default() };
    for line in text.lines() {
        counts.lines += 1;
        let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        for word in words {
            *counts.words.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Returns the text between the tags.
fn without_tags(html: &str) -> Cow<'_, str> {
    let pieces = html.split('<').filter_map(|piece| piece.split_once('>'));
    pieces.map(|(_tag, text)| text).collect::<Vec<_>>().join(" ").into()
}

#[loky::entry]
fn main() -> Result<(), Box<dyn Error>> {
    let crash = env::args().skip(1).any(|arg| arg == "--crash");
    let folder = env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let folder = folder.map_or_else(default_folder, PathBuf::from);
    let files = text_files(&folder)?;
    if files.is_empty() {
        return Err(format!("no text files in {}", folder.display()).into());
    }

    let start = Instant::now();
    let executor = loky::ProcessPoolExecutor::new()?;
    let victim = crash.then_some(files.len() / 2);
    let calls = files.iter().enumerate().map(|(i, path)| (path.clone(), Some(i) == victim));
    let mut total = Counts::default();
    let mut failures = Vec::new();
    for (i, outcome) in executor.map(count, calls).enumerate() {
        match outcome {
            Ok(Ok(counts)) => total.add(counts),
            Ok(Err(error)) => failures.push((&files[i], error.to_string())),
            Err(error) => failures.push((&files[i], error.to_string())),
        }
        show_progress(i + 1, files.len());
    }

    print_table(&folder, &files, &total);
    println!(
        "{} workers, {:.2} s, {} of {} files failed",
        executor.max_workers(),
        start.elapsed().as_secs_f64(),
        failures.len(),
        files.len()
    );
    for (path, error) in failures {
        println!("  {}: {error}", path.display());
    }
    Ok(())
}

fn default_folder() -> PathBuf {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = Command::new(rustc).args(["--print", "sysroot"]).output();
    let documentation = sysroot.ok().map(|output| {
        Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("share").join("doc")
    });
    let repository = || Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    documentation.filter(|folder| folder.is_dir()).unwrap_or_else(repository)
}

/// Returns the text files below `folder`, sorted by path.
fn text_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let extension = path.extension().and_then(|extension| extension.to_str());
            if kind.is_dir() && !is_hidden_or_built(&path) {
                folders.push(path);
            } else if kind.is_file()
                && matches!(extension, Some("md" | "txt" | "html" | "rs" | "toml") | None)
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_hidden_or_built(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name == "target"
}

fn show_progress(done: usize, all: usize) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let end = if done == all { "\n" } else { "" };
        let _ = write!(stderr, "\r{done} of {all} files{end}").and_then(|()| stderr.flush());
    } else if done == all || done.is_multiple_of(all.div_ceil(10)) {
        eprintln!("{done} of {all} files");
    }
}

fn print_table(folder: &Path, files: &[PathBuf], total: &Counts) {
    let mut words: Vec<_> = total.words.iter().collect();
    words.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), *word));
    let all: u64 = total.words.values().sum();
    println!("\n{}", folder.display());
    println!("{:>12} files, {} lines, {} bytes", files.len(), total.lines, total.bytes);
    println!("{all:>12} words, {} different", words.len());
    for (word, count) in words.iter().take(10) {
        println!("{count:>12} {word}");
    }
}
