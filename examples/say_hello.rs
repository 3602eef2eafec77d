#![allow(clippy::print_stdout, reason = "an example prints")]
//! One call, then fifty on four workers.

use std::{collections::HashSet, process, thread::sleep, time::Duration};

#[loky::task]
fn say_hello(k: u32) -> u32 {
    let pid = process::id();
    println!("Hello from {pid} with arg {k}");
    sleep(Duration::from_millis(10));
    pid
}

#[loky::entry]
fn main() -> loky::Result<()> {
    let executor = loky::ProcessPoolExecutor::builder().max_workers(4).build()?;

    let future = executor.submit(say_hello, 1);
    println!("Got result: {}", future.result()?);

    let pids: HashSet<u32> = executor.map(say_hello, 0..50).collect::<Result<_, _>>()?;
    println!("Number of used processes: {}", pids.len());
    assert_eq!(pids.len(), 4);
    Ok(())
}
