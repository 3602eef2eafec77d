//! A map in each order, with chunks of each size.

use std::sync::atomic::{AtomicUsize, Ordering};

use loky::Map;

/// Chunk sizes; `None` leaves it to the map.
pub const CHUNKS: [Option<usize>; 5] = [None, Some(1), Some(3), Some(4), Some(1000)];

/// Sets a chunk size, if there is one.
pub fn chunked<R>(map: Map<'_, R>, chunksize: Option<usize>) -> Map<'_, R> {
    match chunksize {
        Some(chunksize) => map.chunksize(chunksize),
        None => map,
    }
}

/// Results with the indices of their items, in any order.
pub type Results<'a, R> = Box<dyn Iterator<Item = (usize, loky::Result<R>)> + 'a>;

/// Has `check` see a map with each chunk size in each order.
pub fn in_each_way<'a, R: 'static>(map: impl Fn() -> Map<'a, R>, check: impl Fn(Results<'a, R>)) {
    for chunksize in CHUNKS {
        check(Box::new(chunked(map(), chunksize).enumerate()));
        check(Box::new(chunked(map(), chunksize).unordered()));
    }
}

/// Adds one, and returns the sum.
pub fn increase(number: &AtomicUsize) -> usize {
    number.fetch_add(1, Ordering::SeqCst) + 1
}
