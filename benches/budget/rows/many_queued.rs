//! A million calls queued, then drained, on two workers: the time per call.
//!
//! Reference: a thousand calls queued, then drained, repeatedly, on these workers. The cost of a call should not depend on the
//! length of the queue. The budget allows for fresh memory and cache misses.

use std::time::Instant;

use loky::ProcessPoolExecutor;
use loky_benches::{Blocks, Budget, Effort, Place, Result, Unit, interleave};

use super::{Row, executor, noop};

/// The row.
pub(crate) const ROW: Row =
    Row { budget: Budget::now(1.5), has_sides: false, ..Row::new("1M queued, drained", measure) };

/// The number in the name of the row.
const ALL: usize = 1_000_000;

/// The queue length of the reference.
const FEW: usize = 1000;

/// The repetitions in a block of the reference.
const ROUNDS: usize = 100;

fn measure(effort: &Effort, place: &Place) -> Result<Blocks> {
    let executor = executor(2, place)?;
    let n_calls = effort.n_mapped.min(ALL);
    micros_each(&executor, FEW, ROUNDS)?;
    let blocks = interleave(
        Unit::Micros,
        effort.long_blocks,
        || micros_each(&executor, n_calls, 1),
        || micros_each(&executor, FEW, ROUNDS),
    )?;
    Ok(blocks.with_remark((n_calls < ALL).then(|| format!("{n_calls} calls a block"))))
}

/// Returns the time per call: queues `n_calls` calls and drains them, `rounds` times.
fn micros_each(executor: &ProcessPoolExecutor, n_calls: usize, rounds: usize) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..rounds {
        let futures: Vec<_> = (0..n_calls).map(|_| executor.submit(noop, ())).collect();
        futures.iter().try_for_each(|future| future.result())?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / (n_calls * rounds) as f64)
}
