//! The listeners of an outcome cell: callbacks, wakers and watchers. Threads that are parked in the cell are no listeners.
//!
//! Listeners are collected under the cell's lock and notified with no lock held, since callbacks and wakers are foreign code.

use std::collections::BTreeMap;
use std::task::Waker;

use crossbeam_channel::Sender;

use crate::unwind;

/// A closure to be called once the call has an outcome.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

/// A [`Watch`](super::watch::Watch), which is sent its token for this call.
pub(super) struct Watcher {
    token: usize,
    sender: Sender<usize>,
    /// Whether the token is also due when calls behind this one move to other cells.
    follows_tail: bool,
}

impl Watcher {
    pub(super) fn new(token: usize, sender: &Sender<usize>, follows_tail: bool) -> Self {
        Self { token, sender: sender.clone(), follows_tail }
    }

    pub(super) fn notify(self) {
        // A watch that is gone has dropped the receiver. The channel is unbounded, so this never blocks.
        let _ = self.sender.send(self.token);
    }
}

/// The listeners of one cell. Each stands beside the number of its call, which is `None` for a single call.
#[must_use = "the listeners are still to be notified"]
#[derive(Default)]
pub(crate) struct Listeners {
    watchers: Vec<(Option<u32>, Watcher)>,
    /// One for each polled handle: the waker of its latest poll.
    wakers: BTreeMap<u64, (Option<u32>, Waker)>,
    last_key: u64,
    callbacks: Vec<(Option<u32>, Callback)>,
    /// The callbacks of cancelled calls.
    cancelled: Vec<Callback>,
}

impl Listeners {
    pub(super) fn add_watcher(&mut self, call: Option<u32>, watcher: Watcher) {
        self.watchers.push((call, watcher));
    }

    pub(super) fn add_callback(&mut self, call: Option<u32>, callback: Callback) {
        self.callbacks.push((call, callback));
    }

    /// Stores the waker of the handle with this key, and gives the handle a key if it has none. Returns its previous waker.
    pub(super) fn put_waker(
        &mut self,
        call: Option<u32>,
        key: &mut Option<u64>,
        waker: Waker,
    ) -> Option<Waker> {
        let key = *key.get_or_insert_with(|| {
            self.last_key += 1;
            self.last_key
        });
        self.wakers.insert(key, (call, waker)).map(|(_, previous)| previous)
    }

    pub(super) fn remove_waker(&mut self, key: u64) -> Option<Waker> {
        self.wakers.remove(&key).map(|(_, waker)| waker)
    }

    /// Removes the watchers of one watch.
    pub(super) fn remove_watchers(&mut self, of: &Sender<usize>) {
        self.watchers.retain(|(_, watcher)| !watcher.sender.same_channel(of));
    }

    /// Takes out the listeners of the calls for which `is_settled` holds, and the watchers that follow the tail of the batch, which
    /// was divided. `None` if there are none.
    pub(super) fn take_settled(
        &mut self,
        is_settled: impl Fn(Option<u32>) -> bool,
    ) -> Option<Self> {
        let mut settled = Self::default();
        let watchers = std::mem::take(&mut self.watchers).into_iter();
        (settled.watchers, self.watchers) =
            watchers.partition(|(call, watcher)| watcher.follows_tail || is_settled(*call));
        let wakers = std::mem::take(&mut self.wakers).into_iter();
        (settled.wakers, self.wakers) = wakers.partition(|(_, (call, _))| is_settled(*call));
        let callbacks = std::mem::take(&mut self.callbacks).into_iter();
        (settled.callbacks, self.callbacks) = callbacks.partition(|(call, _)| is_settled(*call));
        let is_any = !(settled.watchers.is_empty()
            && settled.wakers.is_empty()
            && settled.callbacks.is_empty());
        is_any.then_some(settled)
    }

    /// Passes the watchers and callbacks of the calls that `place` places elsewhere to `take`, in their order. Wakers stay: a
    /// polled handle registers in the other cell when it is polled again.
    pub(super) fn move_on<P>(
        &mut self,
        place: impl Fn(u32) -> Option<P>,
        mut take: impl FnMut(P, Moved),
    ) {
        let place = |call: Option<u32>| place(call?);
        for (call, watcher) in std::mem::take(&mut self.watchers) {
            match place(call) {
                Some(other) => take(other, Moved::Watcher(watcher)),
                None => self.watchers.push((call, watcher)),
            }
        }
        for (call, callback) in std::mem::take(&mut self.callbacks) {
            match place(call) {
                Some(other) => take(other, Moved::Callback(callback)),
                None => self.callbacks.push((call, callback)),
            }
        }
    }

    /// Adds a listener that comes from another cell.
    pub(super) fn adopt(&mut self, call: Option<u32>, moved: Moved) {
        match moved {
            Moved::Watcher(watcher) => self.add_watcher(call, watcher),
            Moved::Callback(callback) => self.add_callback(call, callback),
        }
    }

    /// Notes which of the callbacks are those of cancelled calls.
    pub(super) fn note_cancelled(&mut self, is_cancelled: impl Fn(Option<u32>) -> bool) {
        let callbacks = std::mem::take(&mut self.callbacks).into_iter();
        let (cancelled, others): (Vec<_>, _) = callbacks.partition(|(call, _)| is_cancelled(*call));
        self.callbacks = others;
        self.cancelled.extend(cancelled.into_iter().map(|(_, callback)| callback));
    }

    /// Takes the callbacks of the calls that were not cancelled. The pool chooses the thread that runs them.
    #[must_use = "the callbacks are still to be run"]
    pub(crate) fn take_callbacks(&mut self) -> Vec<Callback> {
        self.callbacks.drain(..).map(|(_, callback)| callback).collect()
    }

    /// Takes the callbacks of the calls that were cancelled. The thread that cancels runs them.
    #[must_use = "the callbacks are still to be run"]
    pub(crate) fn take_cancelled(&mut self) -> Vec<Callback> {
        std::mem::take(&mut self.cancelled)
    }

    /// Notifies the watchers and wakers.
    pub(crate) fn notify(self) {
        self.watchers.into_iter().for_each(|(_, watcher)| watcher.notify());
        for (_, waker) in self.wakers.into_values() {
            // A waker is foreign code: its panic must not reach the pool.
            let _ = unwind::guarded(|| waker.wake());
        }
    }
}

/// A listener on its way to the cell that its call has moved to.
pub(super) enum Moved {
    Watcher(Watcher),
    Callback(Callback),
}

/// Notifies all listeners and runs all callbacks in this thread.
pub(crate) fn notify_here(listeners: Option<Listeners>) {
    if let Some(mut listeners) = listeners {
        let callbacks = [listeners.take_callbacks(), listeners.take_cancelled()];
        listeners.notify();
        callbacks.into_iter().for_each(run_callbacks);
    }
}

/// Runs callbacks one after another, with no lock held. The panic hook has reported a callback that panics.
pub(crate) fn run_callbacks(callbacks: Vec<Callback>) {
    for callback in callbacks {
        let _ = unwind::guarded(callback);
    }
}
