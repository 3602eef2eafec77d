//! The rows of the table, a file each.

mod four_callers;
mod get_again;
mod large;
mod many_queued;
mod map;
mod memory;
mod round_trip;
mod shared;
mod start;
mod submit_then_collect;

use loky::ProcessPoolExecutor;
use loky_benches::{Blocks, Budget, Effort, Place, Placement, Result};

/// A subject that is measured beside its reference.
pub(crate) struct Row {
    /// The name in the table.
    pub(crate) name: &'static str,
    /// The limits of its ratio.
    pub(crate) budget: Budget,
    /// Whether it has two sides that can be pinned to CPUs. Other rows are measured unpinned only: work of a single thread, the
    /// start of processes, memory.
    pub(crate) has_sides: bool,
    /// Measures the row.
    pub(crate) measure: fn(&Effort, &Place) -> Result<Blocks>,
}

impl Row {
    /// Creates a row with two sides and no budget.
    const fn new(name: &'static str, measure: fn(&Effort, &Place) -> Result<Blocks>) -> Self {
        Self { name, budget: Budget::NONE, has_sides: true, measure }
    }

    /// Whether the row is measured in this placement.
    pub(crate) fn belongs_to(&self, placement: Placement) -> bool {
        self.has_sides || placement == Placement::Unpinned
    }
}

/// All rows, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    round_trip::WITH_ONE_WORKER,
    round_trip::WITH_TWO_WORKERS,
    submit_then_collect::ROW,
    many_queued::ROW,
    map::ROW,
    four_callers::ROW,
    large::BYTES_IN,
    large::NUMBERS_IN,
    large::ECHO,
    shared::PASSED,
    shared::READ,
    get_again::ROW,
    start::COLD,
    start::HUNDRED,
    memory::IDLE_WORKER,
    memory::ENDLESS_MAP,
];

/// The task of most rows, so that a row shows the cost of the call itself.
#[loky::task]
fn noop() {}

/// Creates an executor with ready workers on the CPU of the other side.
fn executor(n_workers: usize, place: &Place) -> Result<ProcessPoolExecutor> {
    let executor = ProcessPoolExecutor::builder().max_workers(n_workers).build()?;
    executor.prewarm()?;
    for pid in executor.worker_pids() {
        place.move_worker(pid)?;
    }
    Ok(executor)
}
