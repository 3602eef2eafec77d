//! The table of the budget: the cost of loky beside the cost of what it is built on, in one run.
//!
//! `cargo bench [-- [--quick] [--placement NAME] [ROW…]]`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

mod rows;

use std::process::ExitCode;
use std::{env, thread};

use loky_benches::{Options, Result, Tally, heading, line, was_helper};

use crate::rows::{ROWS, Row};

loky::main! {
    fn main() -> ExitCode {
        if was_helper() {
            return ExitCode::SUCCESS;
        }
        match Options::parse(env::args().skip(1)).and_then(|options| run(&options)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let n_cpus = thread::available_parallelism()?;
    println!(
        "{n_cpus} CPUs. A ratio is subject / reference, of alternating blocks; the median decides.\n"
    );
    println!("{}", heading());
    let mut tally = Tally::default();
    for placement in &options.placements {
        let place = placement.enter()?;
        let is_selected = |row: &&Row| options.asks_for(row.name) && row.belongs_to(*placement);
        for row in ROWS.iter().filter(is_selected) {
            let blocks = (row.measure)(&options.effort, &place)?;
            println!("{}", line(*placement, row.name, &blocks, &row.budget));
            tally.count(row.budget.verdict(&blocks));
        }
    }
    println!("\n{tally}");
    Ok(())
}
