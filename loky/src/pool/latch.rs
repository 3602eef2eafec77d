//! Something that happens once, and can be waited for.

use std::sync::{Condvar, Mutex, PoisonError};

/// Not set, then set.
#[derive(Debug, Default)]
pub(super) struct Latch {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Latch {
    pub(super) fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Blocks until it is set.
    pub(super) fn wait(&self) {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_while(is_set, |is_set| !*is_set);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
