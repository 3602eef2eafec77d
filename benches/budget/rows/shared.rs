//! 64 MiB in shared memory: passed to a task, and passed and read.
//!
//! Reference for passing: half a millisecond, the allowed time. In the second row the task reads a byte of each page. Its reference
//! is one copy of 64 MiB from warm memory into warm memory, by one thread of this process.

use std::hint::black_box;
use std::time::Instant;

use loky::shared::SharedBytes;
use loky_benches::{Blocks, Budget, Effort, Place, Result, Unit, interleave};

use super::{Row, executor};

/// Passing alone.
pub(crate) const PASSED: Row = Row {
    budget: Budget::now(1.0),
    ..Row::new("64 MiB SharedBytes passed", |effort, place| {
        measure(len, effort, place, |_, _| HALF_A_MILLISECOND)
    })
};

/// Passing, and reading a byte of each page.
pub(crate) const READ: Row = Row {
    budget: Budget::now(0.3),
    ..Row::new("64 MiB SharedBytes read", |effort, place| {
        measure(sum_of_pages, effort, place, |warm, data| {
            let start = Instant::now();
            black_box(warm).copy_from_slice(data);
            start.elapsed().as_secs_f64() * 1e6
        })
    })
};

/// The reference in microseconds.
const HALF_A_MILLISECOND: f64 = 500.0;

/// The size in the names of the rows.
const ALL_BYTES: usize = 64 << 20;

const PAGE_BYTES: usize = 4096;

#[loky::task]
fn len(data: SharedBytes) -> usize {
    data.len()
}

#[loky::task]
fn sum_of_pages(data: SharedBytes) -> usize {
    data.iter().step_by(PAGE_BYTES).map(|byte| usize::from(*byte)).sum()
}

fn measure<Kind>(
    task: impl loky::IntoTask<SharedBytes, Kind, Output = usize> + Copy,
    effort: &Effort,
    place: &Place,
    reference: impl Fn(&mut [u8], &[u8]) -> f64,
) -> Result<Blocks> {
    let executor = executor(1, place)?;
    let bytes: Vec<u8> = (0..ALL_BYTES).map(|i| (i % 251) as u8).collect();
    let mut warm = bytes.clone();
    let data = SharedBytes::from_slice(&bytes)?;
    let call = || {
        let start = Instant::now();
        black_box(executor.submit(task, data.clone()).result()?);
        Ok(start.elapsed().as_secs_f64() * 1e6)
    };
    interleave(Unit::Micros, effort.blocks, call, || Ok(reference(&mut warm, &bytes)))
}
