//! A million calls queued, then drained: what each of them takes, on two workers.
//!
//! Reference: a thousand queued, then drained, again and again, on the same workers. A call is to cost the same however many
//! wait; what it may cost more is memory that is fresh, and that no cache holds.

use std::time::Instant;

use loky::ProcessPoolExecutor;
use loky_benches::{Blocks, Budget, Effort, Place, Result, Unit, interleave};

use super::{Row, executor, noop};

/// The row.
pub(crate) const ROW: Row =
    Row { budget: Budget::now(1.5), has_sides: false, ..Row::new("1M queued, drained", measure) };

/// What the name says.
const ALL: usize = 1_000_000;

/// How many wait at a time in the reference.
const FEW: usize = 1000;

/// How often they do in a block.
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

/// What a call takes, of so many that are queued together, so many times.
fn micros_each(executor: &ProcessPoolExecutor, n_calls: usize, rounds: usize) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..rounds {
        let futures: Vec<_> = (0..n_calls).map(|_| executor.submit(noop, ())).collect();
        futures.iter().try_for_each(|future| future.result())?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / (n_calls * rounds) as f64)
}
