//! The start of workers: to the first result of a pool of two, and until a hundred workers are ready.
//!
//! Reference: copies of this program that `Command` starts in sequence, until each has echoed a message. The exit of processes is not
//! measured.

use std::time::{Duration, Instant};

use loky::{ProcessPoolExecutor, Shutdown};
use loky_benches::{
    Blocks, Budget, EchoProcess, Effort, Place, Result, Unit, interleave, ping_pong,
};

use super::{Row, noop};

/// Pools of two workers in sequence: the time from creation to the result of the first call, beside the start of one process.
pub(crate) const COLD: Row = Row {
    budget: Budget::now(1.5),
    has_sides: false,
    ..Row::new("cold start, 2 workers", |effort, _| {
        interleave(
            Unit::Micros,
            effort.blocks,
            || median_of(effort, first_result),
            || median_of(effort, || first_bytes(1)),
        )
    })
};

/// All workers of a large pool, beside the start of equally many processes.
pub(crate) const HUNDRED: Row =
    Row { budget: Budget::now(1.2), has_sides: false, ..Row::new("start of 100 workers", hundred) };

fn hundred(effort: &Effort, _place: &Place) -> Result<Blocks> {
    let all_ready = || {
        let start = Instant::now();
        let executor = ProcessPoolExecutor::builder().max_workers(100).build()?;
        executor.prewarm()?;
        let took = start.elapsed();
        executor.shutdown(Shutdown::Kill);
        Ok(took)
    };
    let micros = |took: Duration| took.as_secs_f64() * 1e6;
    interleave(
        Unit::Micros,
        effort.long_blocks,
        || all_ready().map(micros),
        || first_bytes(100).map(micros),
    )
}

/// Measures the time to the first result of a new pool.
fn first_result() -> Result<Duration> {
    let start = Instant::now();
    let executor = ProcessPoolExecutor::builder().max_workers(2).build()?;
    executor.submit(noop, ()).result()?;
    let took = start.elapsed();
    executor.shutdown(Shutdown::Kill);
    Ok(took)
}

/// Measures the time until `n_processes` new processes have echoed a message.
fn first_bytes(n_processes: usize) -> Result<Duration> {
    let start = Instant::now();
    let started = (0..n_processes).map(|_| EchoProcess::start());
    let processes = started.collect::<Result<Vec<_>>>()?;
    processes.iter().try_for_each(|process| ping_pong(&process.sockets()[0]))?;
    Ok(start.elapsed())
}

/// Returns the median in microseconds of as many runs as fit into a block.
fn median_of(effort: &Effort, mut once: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || start.elapsed() < effort.block_time {
        times.push(once()?);
    }
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    Ok(median.as_secs_f64() * 1e6)
}
