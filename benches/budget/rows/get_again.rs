//! `get_reusable_executor` with an unchanged executor: the mean time of a call, over many in a row.
//!
//! Reference: one microsecond, the allowed time.

use std::hint::black_box;
use std::time::Instant;

use loky_benches::{Blocks, Budget, Effort, Place, Result, Unit, interleave};

use super::{Row, noop};

/// The row.
pub(crate) const ROW: Row = Row {
    budget: Budget::now(1.0),
    has_sides: false,
    ..Row::new("get reusable executor", measure)
};

/// The number of calls between two readings of the clock.
const IN_A_ROW: u32 = 1000;

fn measure(effort: &Effort, _place: &Place) -> Result<Blocks> {
    loky::get_reusable_executor()?.submit(noop, ()).result()?;
    interleave(
        Unit::Micros,
        effort.blocks,
        || {
            let start = Instant::now();
            let mut n_times = 0;
            while start.elapsed() < effort.block_time {
                for _ in 0..IN_A_ROW {
                    black_box(loky::get_reusable_executor()?);
                }
                n_times += IN_A_ROW;
            }
            Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(n_times))
        },
        || Ok(1.0),
    )
}
