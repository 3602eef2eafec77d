//! Which pools the present thread works for, and whose end it must therefore never wait for: the pool's driver, its callback
//! thread, and any thread while it hands out outcomes of the pool, which may run wakers and callbacks.

use std::cell::{Cell, RefCell};

thread_local! {
    /// The pool whose own this thread is for as long as it lives, while the destructors of thread locals run too: so it has none
    /// itself. (Ids begin at 1.)
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
        // They come and go like calls of functions.
        if let Ok(last) = POOLS.try_with(|pools| pools.borrow_mut().pop()) {
            debug_assert_eq!(last, Some(self.pool), "memberships are nested");
        }
    }
}

/// Whether the present thread works for this pool.
pub(super) fn is_of(pool: u64) -> bool {
    let is_for_now = || POOLS.try_with(|pools| pools.borrow().contains(&pool)).unwrap_or(false);
    HOME.get() == pool || is_for_now()
}

/// The present thread is this pool's own, to its end.
pub(super) fn become_own_of(pool: u64) {
    HOME.set(pool);
}
