//! 64 MiB as an argument, and there and back, owned by whoever gets it.
//!
//! Reference: the copies that cannot be done without if data is to cross by shared memory and belong to the task: one into
//! memory that is warm, one from there into memory that is fresh, and the end of that one; by one thread of this process. The
//! subject has more to do: `submit` takes its argument, so that is freed as well within its time.
//!
//! The data goes through a segment, and makes these copies as well: the reader's by the kernel, into large pages where there are
//! some. There are few blocks of one call each.

use std::hint::black_box;
use std::time::Instant;

use loky_benches::{Blocks, Budget, Effort, Place, Result, Unit, interleave};

use super::{Row, executor};

/// Bytes in, their number out.
pub(crate) const BYTES_IN: Row = Row {
    budget: Budget::now(0.8),
    ..Row::new("64 MiB Vec<u8> in", |effort, place| {
        measure(Way::In, len_of_bytes, bytes(), effort, place)
    })
};

/// The same with numbers.
pub(crate) const NUMBERS_IN: Row = Row {
    budget: Budget::now(0.8),
    ..Row::new("64 MiB Vec<f64> in", |effort, place| {
        measure(Way::In, len_of_numbers, numbers(), effort, place)
    })
};

/// Bytes in, and out again.
pub(crate) const ECHO: Row = Row {
    budget: Budget::now(0.8),
    ..Row::new("64 MiB echo", |effort, place| measure(Way::InAndOut, echo, bytes(), effort, place))
};

#[loky::task]
fn len_of_bytes(data: Vec<u8>) -> usize {
    data.len()
}

#[loky::task]
fn len_of_numbers(data: Vec<f64>) -> usize {
    data.len()
}

#[loky::task]
fn echo(data: Vec<u8>) -> Vec<u8> {
    data
}

/// What the name says.
const ALL_BYTES: usize = 64 << 20;

fn bytes() -> Vec<u8> {
    (0..ALL_BYTES).map(|i| (i % 251) as u8).collect()
}

fn numbers() -> Vec<f64> {
    (0..ALL_BYTES / size_of::<f64>()).map(|i| i as f64 * 0.1).collect()
}

/// Where the data goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    InAndOut,
}

fn measure<T, R, Kind>(
    way: Way,
    task: impl loky::IntoTask<Vec<T>, Kind, Output = R> + Copy,
    data: Vec<T>,
    effort: &Effort,
    place: &Place,
) -> Result<Blocks>
where
    T: Copy,
    R: 'static,
{
    let executor = executor(1, place)?;
    let mut warm = data.clone();
    let call = |argument| {
        let start = Instant::now();
        black_box(executor.submit(task, argument).result()?);
        Ok(start.elapsed().as_secs_f64() * 1e6)
    };
    let n_ways = if way == Way::In { 1 } else { 2 };
    interleave(
        Unit::Micros,
        effort.large_blocks,
        // What the call takes away is made before its time begins.
        || call(data.clone()),
        || {
            let start = Instant::now();
            for _ in 0..n_ways {
                black_box(&mut warm).copy_from_slice(&data);
                black_box(warm.clone());
            }
            Ok(start.elapsed().as_secs_f64() * 1e6)
        },
    )
}
