//! Compares loky with other ways to run functions in processes. Each runs in a program of its own; their blocks alternate in one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml [-- [--python PATH] [--out FILE]]`
//!
//! Writes `benches/results/peers.tsv`, from which `cargo run -p loky-benches --bin speed` makes the table and the picture of the
//! README. Python's pools take part if the given Python (by default `python3`) has loky: see `requirements.txt`.

mod ipc;
mod machine;
mod measure;
mod program;
mod spawned;
mod workers;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use loky_benches::Result;
use loky_benches::peers::{Measure, Results, table};

use crate::measure::serve;
use crate::program::Program;

/// The number of blocks for each program and measure.
const N_BLOCKS: usize = 7;

loky::main! {
    fn main() -> ExitCode {
        // Does not return in a worker of procspawn, just as `loky::main!` does not in a worker of loky.
        procspawn::init();
        match run(&env::args().skip(1).collect::<Vec<_>>()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let by_default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/peers.tsv");
    match args[..] {
        ["--serve", "loky"] => serve::<workers::Workers>(),
        ["--serve", "procspawn"] => serve::<spawned::Spawned>(),
        ["--serve", "ipc-channel"] => serve::<ipc::Process>(),
        ["--ipc-worker", server] => ipc::work(server),
        [] => compare("python3", &by_default),
        ["--python", python] => compare(python, &by_default),
        ["--out", out] => compare("python3", &PathBuf::from(out)),
        ["--python", python, "--out", out] => compare(python, &PathBuf::from(out)),
        _ => Err("options: [--python PATH] [--out FILE]".into()),
    }
}

fn compare(python: &str, out: &Path) -> Result<()> {
    let load_before = machine::load()?;
    let mut programs = start(python)?;
    let versions = programs.iter().map(Program::describe).collect();
    let mut blocks: Vec<(Measure, String, Vec<f64>)> = Vec::new();
    for measure in Measure::ALL {
        blocks.extend(programs.iter().map(|it| (measure, it.name().to_owned(), Vec::new())));
    }
    for block in 0..N_BLOCKS {
        eprintln!("block {} of {N_BLOCKS}", block + 1);
        for (measure, name, values) in &mut blocks {
            let program = programs.iter_mut().find(|it| it.name() == name);
            values.extend(program.expect("it was started").ask(*measure)?);
        }
    }
    let mut results = Results::new(machine::describe(&load_before, N_BLOCKS)?, versions);
    for (measure, name, values) in blocks.iter().filter(|(_, _, values)| !values.is_empty()) {
        results.add(*measure, name, values);
    }
    fs::write(out, results.to_text())?;
    println!("{}written: {}", table(&results), out.display());
    Ok(())
}

/// Starts the programs that are available here.
fn start(python: &str) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for name in ["loky", "procspawn", "ipc-channel"] {
        programs.push(Program::in_rust(name)?);
    }
    if !program::has_loky(python) {
        eprintln!(
            "NOT COMPARED: Python's pools. `{python}` has no loky: install `requirements.txt`, and pass the interpreter with --python"
        );
        return Ok(programs);
    }
    for name in ["loky", "concurrent.futures", "multiprocessing.Pool"] {
        programs.push(Program::in_python(python, name)?);
    }
    Ok(programs)
}
