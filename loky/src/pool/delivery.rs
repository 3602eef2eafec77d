//! Delivering outcomes: filling the futures' cells, then running wakers and callbacks, with the pool's lock released.
//!
//! Any thread may have outcomes to deliver. Threads deliver one after another, in the order of what happened: a thread takes
//! its [`Turn`] before it releases the pool's lock. So a thread that sees an outcome finds the callbacks of earlier outcomes
//! queued before those of later ones. The pool thread does not end before the last turn has: [`Delivery::is_through`].

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::callbacks::Callbacks;
use super::effects::{Effects, Notifications};
use super::thread_guard::PoolThreadGuard;
use crate::future::run_callbacks;
use crate::sys::wake::Wake;

/// The deliveries of one pool.
pub(super) struct Delivery {
    pool: u64,
    /// Wakes the pool thread.
    wake: Arc<Wake>,
    callbacks: Callbacks,
    turn: Mutex<()>,
    /// How many threads have outcomes that they have not delivered yet.
    delivering: AtomicUsize,
    /// Whether the pool thread would end if that were none.
    is_ending: AtomicBool,
}

/// Where the callbacks of cancelled calls run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CancelledCallbacks {
    /// With all others.
    OnTheirThread,
    /// In this thread, before it returns: it is the thread that cancels.
    Here,
}

/// The right to deliver, until it is dropped.
#[must_use = "outcomes are still to be delivered"]
pub(super) struct Turn<'a> {
    delivery: &'a Delivery,
    guard: MutexGuard<'a, ()>,
}

impl Delivery {
    pub(super) fn new(pool: u64, wake: Arc<Wake>, callbacks: Callbacks) -> Self {
        Self {
            pool,
            wake,
            callbacks,
            turn: Mutex::new(()),
            delivering: AtomicUsize::new(0),
            is_ending: AtomicBool::new(false),
        }
    }

    /// Starts the thread of the callbacks before there are any, for the observer's sake.
    pub(super) fn start_callbacks(&self) -> io::Result<()> {
        self.callbacks.start(self.pool)
    }

    /// Waits for the callbacks that are queued, and ends their thread.
    pub(super) fn finish_callbacks(&self) {
        self.callbacks.finish();
    }

    /// Waits for this thread's turn, with the pool's lock held.
    pub(super) fn begin(&self) -> Turn<'_> {
        self.delivering.fetch_add(1, Ordering::SeqCst);
        // The thread that has the turn waits for no lock of the pool's meanwhile, and does nothing that takes long.
        let guard = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { delivery: self, guard }
    }

    /// Whether no thread is delivering. The pool thread asks when it has nothing else left. If a thread still delivers, that
    /// thread wakes it: either it sees the mark that is set here, or its count is seen to be gone.
    pub(super) fn is_through(&self) -> bool {
        self.is_ending.store(true, Ordering::SeqCst);
        self.delivering.load(Ordering::SeqCst) == 0
    }
}

impl Turn<'_> {
    /// Fills the cells, and tells all listeners. The pool's lock must be released.
    pub(super) fn deliver(self, effects: Effects, cancelled_callbacks: CancelledCallbacks) {
        let Self { delivery, guard } = self;
        // Wakers run here, whatever they do: the pool does not end before this thread is through.
        let _member = PoolThreadGuard::of(delivery.pool);
        let Notifications { mut callbacks, mut cancelled, listeners, long } = effects.resolve();
        if cancelled_callbacks == CancelledCallbacks::OnTheirThread {
            callbacks.append(&mut cancelled);
        }
        let unsent = delivery.callbacks.send(delivery.pool, callbacks);
        drop(guard);
        drop(long);
        listeners.into_iter().for_each(|listeners| listeners.notify());
        run_callbacks(unsent);
        run_callbacks(cancelled);
        delivery.delivering.fetch_sub(1, Ordering::SeqCst);
        if delivery.is_ending.load(Ordering::SeqCst) {
            delivery.wake.wake();
        }
    }
}
