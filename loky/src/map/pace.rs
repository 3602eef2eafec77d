//! How far a map runs ahead, and how many calls it submits at a time.
//!
//! Values of the user are binding. The others are chosen anew before each submission, by what the executor can use then.
//!
//! * Calls of unknown length: the window is the smallest that keeps all workers busy, and a chunk is one call. A larger chunk would
//!   delay calls that could have begun.
//! * Short calls: the executor asks for a larger window. A chunk is half of the surplus. The other half is in flight meanwhile.
//! * Calls so short that they travel in batches: a chunk is one batch, and the window is several chunks per worker.
//! * A window of the user is filled call by call, since the consumer may wait for any of them.

use crate::error::{Error, ErrorKind, Result};
use crate::limits;

/// The values of the user. `None` leaves the choice to the map.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub(super) chunksize: Option<usize>,
    pub(super) window: Option<usize>,
}

/// The bounds at some moment. Neither is zero, and a chunk fits into the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The most calls that are submitted and not yet yielded.
    pub(super) window: usize,
    /// The most calls that are submitted at a time. Nothing is submitted before a whole chunk has room in the window.
    pub(super) chunk: usize,
}

impl Pace {
    /// Fails for a value of zero.
    pub(super) fn check(self) -> Result<()> {
        for (name, value) in [("chunksize", self.chunksize), ("window", self.window)] {
            if value == Some(0) {
                let message = format!("`{name}` must be greater than 0");
                return Err(Error::new(ErrorKind::InvalidConfig, message));
            }
        }
        Ok(())
    }

    /// The bounds for an executor of `workers` workers that can use `usable` calls in flight, and sends `together` calls in one batch.
    pub(super) fn bounds(self, usable: usize, workers: usize, together: usize) -> Bounds {
        let least = workers.saturating_mul(limits::MAP_CALLS_PER_WORKER);
        // One chunk per worker, and one that is being filled.
        let chunks = workers.saturating_add(1);
        let in_chunks =
            together.saturating_mul(workers.saturating_mul(limits::MAP_CHUNKS_PER_WORKER));
        let usable = if together > 1 { usable.max(in_chunks) } else { usable };
        let window = self.window.unwrap_or_else(|| {
            self.chunksize.map_or(usable, |chunksize| usable.max(chunksize.saturating_mul(chunks)))
        });
        let chunk = self.chunksize.unwrap_or_else(|| match self.window {
            None if together > 1 => together,
            None => usable.saturating_sub(least) / 2,
            Some(_) => 1, // A window that was asked for is filled to the last call.
        });
        Bounds { window, chunk: chunk.clamp(1, window) }
    }
}
