//! The words of a page: numbers that both the pool and one worker change, and the steps in which they change them.
//!
//! | word | says | file |
//! |---|---|---|
//! | slot word | which side has the call in the slot | [`slot`] |
//! | batch word | how many calls of the batch in the slot have begun | [`batch`] |
//! | sleep words | whether the worker, or the pool's reader, sleeps | [`sleep`] |
//!
//! Each protocol is written over [`Word`], and knows nothing of the memory that holds the word: loom checks the very source
//! with words of its own. A task can write to all of them. A value that the protocol cannot have produced is a [`PageCorrupt`]
//! in the first two, and counts as asleep in the third.
//!
//! This module is a leaf: [`page`](super::page) lays the words out in memory, [`slots`](super::slots) and [`lane`](super::lane)
//! take the steps.

pub(super) mod batch;
pub(super) mod sleep;
#[cfg(test)]
mod sleep_model;
pub(super) mod slot;

use std::sync::atomic::{AtomicU64, Ordering};

/// A word that two processes change. In the models these are two threads.
pub(super) trait Word {
    /// Reads the word, and all that the other side wrote before it.
    fn load(&self) -> u64;
    /// Writes the word, behind all that this side wrote before.
    fn store(&self, value: u64);
    /// Replaces `current` by `new`, and returns the value before. The word is unchanged if that is not `current`.
    fn swap_if(&self, current: u64, new: u64) -> u64;
}

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        Self::load(self, Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        Self::store(self, value, Ordering::Release);
    }

    fn swap_if(&self, current: u64, new: u64) -> u64 {
        self.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            .unwrap_or_else(|found| found)
    }
}

/// The page contradicts itself, or the pool's own record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageCorrupt;

/// Orders the two steps of each side in [`sleep`]. The model has loom's fence in this place.
mod fence {
    pub(super) fn fence() {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}
