//! The rows of the table, a file each.

mod four_callers;
mod get_again;
mod many_queued;
mod map;
mod round_trip;
mod start;
mod submit_then_collect;

use loky::ProcessPoolExecutor;
use loky_benches::{Blocks, Budget, Effort, Place, Result};

/// Something that is measured beside its reference.
pub(crate) struct Row {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// What its ratio is allowed to be.
    pub(crate) budget: Budget,
    /// Measures it.
    pub(crate) measure: fn(&Effort, &Place) -> Result<Blocks>,
}

/// All rows, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    round_trip::WITH_ONE_WORKER,
    round_trip::WITH_TWO_WORKERS,
    submit_then_collect::ROW,
    many_queued::ROW,
    map::ROW,
    four_callers::ROW,
    get_again::ROW,
    start::COLD,
    start::HUNDRED,
];

/// The task of every row: what remains is what a call costs.
#[loky::task]
fn noop() {}

/// An executor whose workers are up, and where they belong.
fn executor(n_workers: usize, place: &Place) -> Result<ProcessPoolExecutor> {
    let executor = ProcessPoolExecutor::builder().max_workers(n_workers).build()?;
    executor.prewarm()?;
    for pid in executor.worker_pids() {
        place.move_worker(pid)?;
    }
    Ok(executor)
}
