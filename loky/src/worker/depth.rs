//! How many workers above one another there are: 0 in the user's process, 1 in its workers, 2 in theirs.

use std::sync::atomic::{AtomicU32, Ordering};

static DEPTH: AtomicU32 = AtomicU32::new(0);

/// The depth of this process.
pub(crate) fn depth() -> u32 {
    DEPTH.load(Ordering::Relaxed)
}

/// What the parent has said that it is.
pub(super) fn set(depth: u32) {
    DEPTH.store(depth, Ordering::Relaxed);
}
