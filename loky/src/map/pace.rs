//! How far a map runs ahead, and how many calls it submits at a time.
//!
//! What the user says holds. What is left open is chosen anew each time that there may be something to submit, by what the
//! executor can use at that moment. A chunk of more than one call holds back calls that could have begun, so it takes calls
//! that are known to be short: then the executor asks for a window beyond the least one, and half of what is beyond is the
//! chunk. The other half, with the least window, is in flight meanwhile. Where calls are so short that workers are given many
//! together, that many are a chunk, and the window is some chunks for each worker. A window that the user gave is filled one by one, since
//! what it holds may be waited for.

use crate::error::{Error, ErrorKind, Result};
use crate::limits;

/// What the user says of it; `None` leaves it open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub(super) chunksize: Option<usize>,
    pub(super) window: Option<usize>,
}

/// What holds at some moment. Neither is zero, and a chunk fits into the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The most calls that are submitted and not yet yielded.
    pub(super) window: usize,
    /// The most calls that are submitted at a time; nothing is until so many have room in the window.
    pub(super) chunk: usize,
}

impl Pace {
    /// Refuses what cannot be.
    pub(super) fn check(self) -> Result<()> {
        for (name, value) in [("chunksize", self.chunksize), ("window", self.window)] {
            if value == Some(0) {
                let message = format!("`{name}` must be greater than 0");
                return Err(Error::new(ErrorKind::InvalidConfig, message));
            }
        }
        Ok(())
    }

    /// What holds now, for an executor of so many workers that can use `usable` calls in flight, and takes so many together.
    pub(super) fn bounds(self, usable: usize, workers: usize, together: usize) -> Bounds {
        let least = workers.saturating_mul(limits::MAP_CALLS_PER_WORKER);
        // A chunk for each worker, and one that is being filled.
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
