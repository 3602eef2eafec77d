//! 64 MiB as an argument, and as argument and result. The receiver owns the data.
//!
//! Reference: the copies that shared memory requires if the task is to own the data, made by one thread of this process. One is
//! into warm memory, one from there into fresh memory, which is freed. The subject does more: `submit` takes its argument, so
//! that is freed within the measured time as well.
//!
//! The subject uses a segment, and makes these two copies. The kernel makes the reader's, into huge pages if there are any. There
//! are few blocks, of one call each.

use std::hint::black_box;
use std::time::Instant;

use loky_benches::{Blocks, Budget, Effort, Place, Result, Unit, interleave};

use super::{Row, executor};

/// Bytes in, their count out.
pub(crate) const BYTES_IN: Row = Row {
    budget: Budget::now(0.8),
    ..Row::new("64 MiB Vec<u8> in", |effort, place| {
        measure(Direction::In, len_of_bytes, bytes(), effort, place)
    })
};

/// Numbers in, their count out.
pub(crate) const NUMBERS_IN: Row = Row {
    budget: Budget::now(0.8),
    ..Row::new("64 MiB Vec<f64> in", |effort, place| {
        measure(Direction::In, len_of_numbers, numbers(), effort, place)
    })
};

/// Bytes in and out.
pub(crate) const ECHO: Row = Row {
    budget: Budget::now(0.8),
    ..Row::new("64 MiB echo", |effort, place| {
        measure(Direction::InAndOut, echo, bytes(), effort, place)
    })
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

/// The size in the names of the rows.
const ALL_BYTES: usize = 64 << 20;

fn bytes() -> Vec<u8> {
    (0..ALL_BYTES).map(|i| (i % 251) as u8).collect()
}

fn numbers() -> Vec<f64> {
    (0..ALL_BYTES / size_of::<f64>()).map(|i| i as f64 * 0.1).collect()
}

/// The direction of the data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    InAndOut,
}

fn measure<T, R, Kind>(
    direction: Direction,
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
    let n_copies = if direction == Direction::In { 1 } else { 2 };
    interleave(
        Unit::Micros,
        effort.large_blocks,
        // The argument is made before the measured time begins.
        || call(data.clone()),
        || {
            let start = Instant::now();
            for _ in 0..n_copies {
                black_box(&mut warm).copy_from_slice(&data);
                black_box(warm.clone());
            }
            Ok(start.elapsed().as_secs_f64() * 1e6)
        },
    )
}
