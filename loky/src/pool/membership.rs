//! Which pools the present thread works for, and whose end it must therefore never wait for: the pool's driver, its callback
//! thread, and any thread while it hands out outcomes of the pool, which may run wakers and callbacks.

use std::cell::RefCell;

thread_local! {
    /// The pools' ids: more than one where a callback of one pool waits for a call of another.
    static POOLS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// The present thread works for this pool until this is dropped.
#[must_use]
#[derive(Debug)]
pub(super) struct Membership {
    pool: u64,
}

impl Membership {
    pub(super) fn of(pool: u64) -> Self {
        POOLS.with_borrow_mut(|pools| pools.push(pool));
        Self { pool }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // They come and go like calls of functions.
        let last = POOLS.with_borrow_mut(Vec::pop);
        debug_assert_eq!(last, Some(self.pool), "memberships are nested");
    }
}

/// Whether the present thread works for this pool.
pub(super) fn is_of(pool: u64) -> bool {
    POOLS.with_borrow(|pools| pools.contains(&pool))
}
