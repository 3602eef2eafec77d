//! The pools of this process that have begun: so the end of the program can wait for what they have accepted.
//!
//! A pool is in the list from before its thread starts until that has done its work. Once the list is closed no pool begins any
//! more, so whoever ends them all has them all. The lock is held for a moment only, and nothing else is locked meanwhile; a
//! forked child has a list of its own, which is empty and open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Pool;
use crate::scheduler::Shutdown;
use crate::sys::fork_guard::PerProcess;

#[derive(Default)]
struct Living {
    pools: Vec<Arc<Pool>>,
    is_closed: bool,
}

fn living() -> MutexGuard<'static, Living> {
    static LIVING: PerProcess<Mutex<Living>> = PerProcess::new();
    LIVING.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pool begins. False if it is too late for that.
pub(super) fn add(pool: &Arc<Pool>) -> bool {
    let mut living = living();
    if !living.is_closed {
        living.pools.push(Arc::clone(pool));
    }
    !living.is_closed
}

/// The pool is at its end.
pub(super) fn remove(pool: &Pool) {
    living().pools.retain(|other| other.id != pool.id);
}

/// Whether there are any.
pub(crate) fn are_any_left() -> bool {
    !living().pools.is_empty()
}

/// Ends all pools of this process in the given way, and waits for that. No pool begins afterwards.
pub(crate) fn end_all(how: Shutdown) {
    let mut living = living();
    living.is_closed = true;
    let mut pools = std::mem::take(&mut living.pools);
    drop(living);
    // All at once: the end of one may wait for a call of another.
    pools.retain(|pool| pool.begin_shutdown(how));
    pools.iter().for_each(|pool| pool.wait_until_gone());
}
