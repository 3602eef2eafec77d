//! Which pool the present thread belongs to: its driver, or its callback thread, which must never wait for the pool's end.

use std::cell::Cell;

thread_local! {
    /// The pool's id; 0 is none.
    static POOL: Cell<u64> = const { Cell::new(0) };
}

/// The present thread belongs to this pool from now on.
pub(super) fn join(pool: u64) {
    POOL.set(pool);
}

/// Whether the present thread belongs to this pool.
pub(super) fn is_of(pool: u64) -> bool {
    POOL.get() == pool
}
