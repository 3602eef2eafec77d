//! The pools of this process that have begun: so the end of the program can wait for the calls that they have accepted.
//!
//! A pool is in the list from before its thread starts until that thread has ended. Once the list is closed no pool begins any
//! more, so [`end_all`] ends all there are. The lock is held for a moment only, and nothing else is locked meanwhile. A forked
//! child has a list of its own, which is empty and open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Pool;
use crate::scheduler::Shutdown;
use crate::sys::fork_guard::PerProcess;

#[derive(Default)]
struct Begun {
    pools: Vec<Arc<Pool>>,
    is_closed: bool,
}

fn begun() -> MutexGuard<'static, Begun> {
    static BEGUN: PerProcess<Mutex<Begun>> = PerProcess::new();
    BEGUN.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pool begins. Returns false if it must not: the program ends.
pub(super) fn add(pool: &Arc<Pool>) -> bool {
    let mut list = begun();
    if !list.is_closed {
        list.pools.push(Arc::clone(pool));
    }
    !list.is_closed
}

/// The pool has ended.
pub(super) fn remove(pool: &Pool) {
    begun().pools.retain(|other| other.id != pool.id);
}

/// Whether any pool has begun and not ended.
pub(crate) fn are_any_left() -> bool {
    !begun().pools.is_empty()
}

/// Ends all pools of this process in the given way, and waits for that. No pool begins afterwards.
pub(crate) fn end_all(how: Shutdown) {
    let mut list = begun();
    list.is_closed = true;
    let mut pools = std::mem::take(&mut list.pools);
    drop(list);
    // All at once: the end of one may wait for a call of another.
    pools.retain(|pool| pool.begin_shutdown(how));
    pools.iter().for_each(|pool| pool.wait_until_gone());
}
