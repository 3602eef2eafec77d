//! All calls submitted, then all results collected in order, on two workers: calls per second.
//!
//! Reference: a pool of two threads in place of the workers.

use std::time::Instant;

use loky::ProcessPoolExecutor;
use loky_benches::{Blocks, Budget, Effort, Place, Result, ThreadPool, Unit, interleave};

use super::{Row, executor, noop};

/// The row.
pub(crate) const ROW: Row =
    Row { budget: Budget::now(2.0), ..Row::new("submit, then collect", measure) };

/// The number of calls for which the budget holds.
const ALL: usize = 100_000;

fn measure(effort: &Effort, place: &Place) -> Result<Blocks> {
    let n_calls = effort.n_collected;
    let processes = executor(2, place)?;
    let threads = place.on_other_side(|| Ok(ThreadPool::new(2)))?;
    on_processes(&processes, n_calls / 10)?;
    on_threads(&threads, n_calls / 10)?;
    let blocks = interleave(
        Unit::PerSecond,
        effort.long_blocks,
        || on_processes(&processes, n_calls),
        || on_threads(&threads, n_calls),
    )?;
    Ok(blocks.with_remark((n_calls < ALL).then(|| format!("{n_calls} calls a block"))))
}

fn on_processes(executor: &ProcessPoolExecutor, n_calls: usize) -> Result<f64> {
    let start = Instant::now();
    let futures: Vec<_> = (0..n_calls).map(|_| executor.submit(noop, ())).collect();
    for future in futures {
        future.result()?;
    }
    Ok(n_calls as f64 / start.elapsed().as_secs_f64())
}

fn on_threads(pool: &ThreadPool, n_calls: usize) -> Result<f64> {
    let start = Instant::now();
    let results: Vec<_> = (0..n_calls).map(|_| pool.submit(noop)).collect();
    for result in results {
        result.recv()?;
    }
    Ok(n_calls as f64 / start.elapsed().as_secs_f64())
}
