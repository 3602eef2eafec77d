//! A million no-ops by `map` with default batches, on two workers: calls per second.
//!
//! Reference: messages to one echo process, up to 64 at a time without an echo, with as few writes and reads as possible. If a
//! million would take too long, `map` gets fewer items.

use std::iter::repeat_n;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use loky::ProcessPoolExecutor;
use loky_benches::{Blocks, Budget, EchoProcess, Effort, Place, Result, Unit, batched, interleave};

use super::{Row, executor, noop};

/// The row.
pub(crate) const ROW: Row =
    Row { budget: Budget::now(0.4), ..Row::new("map of 1M no-ops", measure) };

/// The number in the name of the row.
const ALL: usize = 1_000_000;

/// The most messages of the reference without an echo.
const DEPTH: usize = 64;

fn measure(effort: &Effort, place: &Place) -> Result<Blocks> {
    let executor = executor(2, place)?;
    let echo = place.on_other_side(EchoProcess::start)?;
    let per_second = mapped(&executor, effort.n_mapped / 100)?;
    let n_affordable = (per_second * effort.map_time.as_secs_f64()) as usize;
    let n_items = effort.n_mapped.min(n_affordable);
    let socket = &echo.sockets()[0];
    echoed(socket, effort.n_mapped / 100)?;
    let blocks = interleave(
        Unit::PerSecond,
        effort.long_blocks,
        || mapped(&executor, n_items),
        || echoed(socket, effort.n_mapped),
    )?;
    Ok(blocks.with_remark((n_items < ALL).then(|| format!("{n_items} items a block"))))
}

fn mapped(executor: &ProcessPoolExecutor, n_items: usize) -> Result<f64> {
    let start = Instant::now();
    let mut n_done = 0;
    for result in executor.map(noop, repeat_n((), n_items)) {
        result?;
        n_done += 1;
    }
    let elapsed = start.elapsed();
    assert_eq!(n_done, n_items, "`map` lost an item");
    Ok(n_done as f64 / elapsed.as_secs_f64())
}

fn echoed(socket: &UnixStream, n_messages: usize) -> Result<f64> {
    let start = Instant::now();
    batched(socket, n_messages, DEPTH)?;
    Ok(n_messages as f64 / start.elapsed().as_secs_f64())
}
