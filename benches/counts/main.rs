//! Counts the instructions of a call in its caller and in its worker, and compares them with stored counts.
//!
//! `RUSTFLAGS='--cfg loky_force_prefetch="max"' cargo run --release --target-dir target/counts -p loky-benches --bin counts
//! [-- --update]`
//!
//! Times vary between runs and machines; instruction counts hardly do. So this program shows that the path of a call has become
//! longer where a bench would show noise. Instruction counts do not show waiting, which the budget covers. valgrind's callgrind
//! counts. `README.md` in `benches` explains how repeatable the counts are.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

mod callgrind;
mod expected;
mod subject;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use loky_benches::Result;

use crate::callgrind::Counts;
use crate::expected::{Expected, Verdict};
use crate::subject::Subject;

loky::main! {
    fn main() -> ExitCode {
        match run(&env::args().skip(1).collect::<Vec<_>>()) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// The size of batches follows the run time of calls, which valgrind distorts. So this cfg fixes it.
const IS_REPEATABLE: bool = cfg!(loky_force_prefetch = "max");

fn run(args: &[String]) -> Result<ExitCode> {
    if !IS_REPEATABLE {
        let wanted = r#"RUSTFLAGS='--cfg loky_force_prefetch="max"'"#;
        return Err(format!("build with {wanted} and a `--target-dir` of its own").into());
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => check(),
        ["--update"] => update(),
        ["--run", name, n_calls] => {
            let subject = Subject::named(name).ok_or("no subject of this name")?;
            subject.run(n_calls.parse()?)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("options: [--update]".into()),
    }
}

fn check() -> Result<ExitCode> {
    let expected = Expected::parse(&fs::read_to_string(expected_path())?)?;
    let compiler = compiler()?;
    if expected.compiler() != compiler {
        // Counts of another compiler are not comparable, and a new compiler is no failure.
        println!(
            "NOT COMPARED: the stored counts are from `{}`, and this is `{compiler}`.\n\
             Check the new counts and store them: --update",
            expected.compiler()
        );
    }
    let mut is_within = true;
    println!("{:<22} {:>8} {:>8} {:>8}  verdict", "instructions a call", "stored", "now", "change");
    for subject in Subject::ALL {
        let counts = callgrind::count(subject)?;
        for (side, n_now) in sides(counts) {
            let Some(n_before) = expected.of(subject.name(), side) else {
                return Err(format!("no stored count for {}: --update", subject.name()).into());
            };
            let margin = (expected.compiler() == compiler).then(|| subject.margin());
            let verdict = Verdict::of(n_before, n_now, margin);
            is_within &= verdict != Verdict::More;
            let change = (n_now as f64 / n_before as f64 - 1.0) * 100.0;
            let row = format!("{}, {side}", subject.name());
            println!("{row:<22} {n_before:>8} {n_now:>8} {change:>+7.1}%  {verdict}");
        }
    }
    Ok(if is_within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn update() -> Result<ExitCode> {
    let mut expected = Expected::new(compiler()?);
    for subject in Subject::ALL {
        for (side, n_now) in sides(callgrind::count(subject)?) {
            println!("{}, {side}: {n_now}", subject.name());
            expected.set(subject.name(), side, n_now);
        }
    }
    fs::write(expected_path(), expected.to_text())?;
    Ok(ExitCode::SUCCESS)
}

fn sides(counts: Counts) -> [(&'static str, u64); 2] {
    [("caller", counts.caller), ("worker", counts.worker)]
}

fn expected_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counts/expected.tsv")
}

/// Returns the compiler and the architecture, on which counts depend beside the source.
fn compiler() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = String::from_utf8(Command::new(rustc).arg("--version").output()?.stdout)?;
    Ok(format!("{} for {}", version.trim(), env::consts::ARCH))
}
