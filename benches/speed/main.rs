//! Writes the table and the picture of the README from the stored results of the comparison (`benches/peers`).
//!
//! `cargo run -p loky-benches --bin speed`

#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::fs;
use std::path::Path;

use loky_benches::Result;
use loky_benches::peers::{Results, insert, picture, table};

fn main() -> Result<()> {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    let results = Results::parse(&fs::read_to_string(benches.join("results/peers.tsv"))?)?;
    let readme_path = benches.join("../README.md");
    let readme = insert(&fs::read_to_string(&readme_path)?, &table(&results))?;
    fs::write(readme_path, readme)?;
    fs::write(benches.join("results/speed.svg"), picture(&results))?;
    println!("written: README.md, benches/results/speed.svg");
    Ok(())
}
