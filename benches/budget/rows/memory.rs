//! Memory: of an idle worker, and of the caller of a `map` over an endless iterator.

use std::iter::repeat;
use std::process;

use loky::ProcessPoolExecutor;
use loky_benches::{Blocks, Budget, EchoProcess, Memory, Result, Unit, interleave, ping_pong};

use super::{Row, noop};

/// The proportional set size of an idle worker that has run a call, beside that of a copy of this program that waits for a message.
/// Both live at one time, so pages that they share with each other and with this process count alike.
pub(crate) const IDLE_WORKER: Row = Row {
    budget: Budget::now(1.5),
    has_sides: false,
    ..Row::new("memory of idle worker", |effort, _| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build()?;
        executor.submit(noop, ()).result()?;
        let worker = *executor.worker_pids().first().ok_or("the worker is gone")?;
        let copy = EchoProcess::start()?;
        ping_pong(&copy.sockets()[0])?;
        interleave(
            Unit::KibiBytes,
            effort.long_blocks,
            || Ok(Memory::of(worker)?.proportional_kib),
            || Ok(Memory::of(copy.pid())?.proportional_kib),
        )
    })
};

/// An endless `map`: the anonymous memory of this process after a million items, beside that after the first ten thousand. They are
/// equal if `map` stays within its window.
///
/// The blocks continue one `map`, so slow growth shows as well. The reference is measured once.
pub(crate) const ENDLESS_MAP: Row = Row {
    budget: Budget::now(1.1),
    has_sides: false,
    ..Row::new("memory of endless map", |effort, _| {
        let executor = ProcessPoolExecutor::builder().max_workers(2).build()?;
        let mut results = executor.map(noop, repeat(()));
        let mut memory_after = |n_items| -> Result<f64> {
            for result in results.by_ref().take(n_items) {
                result?;
            }
            Ok(Memory::of(process::id())?.anonymous_kib)
        };
        let at_first = memory_after(effort.n_mapped / 100)?;
        let n_blocks = effort.long_blocks;
        let each = effort.n_mapped / n_blocks;
        let blocks = interleave(Unit::KibiBytes, n_blocks, || memory_after(each), || Ok(at_first))?;
        Ok(remark(blocks, effort.n_mapped))
    })
};

fn remark(blocks: Blocks, n_items: usize) -> Blocks {
    blocks.with_remark((n_items < 1_000_000).then(|| format!("{n_items} items")))
}
