//! One caller that waits for each call: the median time from `submit` to the result.
//!
//! Reference: a message to an echo process and back, by blocking writes and reads on a stream socket pair.

use loky_benches::{
    Blocks, Budget, EchoProcess, Effort, Place, Result, Unit, interleave, p50, ping_pong,
};

use super::{Row, executor, noop};

/// The row with a budget.
pub(crate) const WITH_ONE_WORKER: Row = Row {
    budget: Budget::now(0.7),
    ..Row::new("round trip", |effort, place| measure(1, effort, place))
};

/// A row with a second, idle worker: the cost of a choice.
pub(crate) const WITH_TWO_WORKERS: Row =
    Row::new("round trip, 2 workers", |effort, place| measure(2, effort, place));

fn measure(n_workers: usize, effort: &Effort, place: &Place) -> Result<Blocks> {
    let executor = executor(n_workers, place)?;
    let echo = place.on_other_side(EchoProcess::start)?;
    interleave(
        Unit::Micros,
        effort.blocks,
        || p50(effort.block_time, || Ok(executor.submit(noop, ()).result()?)),
        || p50(effort.block_time, || ping_pong(&echo.sockets()[0])),
    )
}
