//! Which pools the present thread works for. It must never wait for the end of one of these.
//!
//! A pool's own threads are the pool thread, the thread of its callbacks, and threads that judge initializers. Any other thread
//! works for the pool while it delivers outcomes, which may run wakers and callbacks.

use std::cell::{Cell, RefCell};

thread_local! {
    /// The pool whose own this thread is, or 0: ids begin at 1. It holds while the destructors of thread locals run, so it has
    /// none itself.
    static HOME: Cell<u64> = const { Cell::new(0) };
    /// The pools' ids: more than one where a callback of one pool waits for a call of another.
    static POOLS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// The present thread works for this pool until this is dropped.
#[must_use]
#[derive(Debug)]
pub(super) struct PoolThreadGuard {
    pool: u64,
}

impl PoolThreadGuard {
    pub(super) fn of(pool: u64) -> Self {
        // Where the thread's locals are being destroyed it cannot be noted.
        let _ = POOLS.try_with(|pools| pools.borrow_mut().push(pool));
        Self { pool }
    }
}

impl Drop for PoolThreadGuard {
    fn drop(&mut self) {
        // Guards are nested, like calls of functions.
        if let Ok(last) = POOLS.try_with(|pools| pools.borrow_mut().pop()) {
            debug_assert_eq!(last, Some(self.pool), "guards are nested");
        }
    }
}

/// Whether the present thread works for this pool.
pub(super) fn is_of(pool: u64) -> bool {
    let is_for_now = || POOLS.try_with(|pools| pools.borrow().contains(&pool)).unwrap_or(false);
    HOME.get() == pool || is_for_now()
}

/// Makes the present thread this pool's own, until the thread ends.
pub(super) fn become_own_of(pool: u64) {
    HOME.set(pool);
}
