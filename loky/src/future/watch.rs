//! Waiting for the next of several futures that gets its outcome.
//!
//! Adding and removing a future costs a constant time, so one [`Watch`] serves an endless stream of calls. It is tested by its
//! users: `wait`, `as_completed` and the unordered `map`.

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::call_ref::CallRef;
use super::cell::OutcomeCell;
use super::handle::Future;
use super::owner::check_process;
use crate::sys::fork_guard;

/// One call, or several, that a [`Watch`] waits for.
pub(crate) trait Awaited {
    /// The result type of its calls.
    type Output;

    /// Whether the token is also due when calls behind the future's one move to other cells.
    const FOLLOWS_TAIL: bool;

    fn future(&self) -> &Future<Self::Output>;
}

impl<R> Awaited for Future<R> {
    type Output = R;

    const FOLLOWS_TAIL: bool = false;

    fn future(&self) -> &Self {
        self
    }
}

/// Futures of which each sends its token once: when it is done, or when the part of a batch that it stands for was divided.
pub(crate) struct Watch<F: Awaited> {
    /// The futures whose tokens were not received yet.
    waiting: HashMap<usize, F>,
    owner_pid: u32,
    sender: Sender<usize>,
    receiver: Receiver<usize>,
}

impl<F: Awaited<Output: 'static>> Watch<F> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = crossbeam_channel::unbounded();
        Self { waiting: HashMap::new(), owner_pid: fork_guard::current_pid(), sender, receiver }
    }

    /// Watches one more future, under a token that no other has. A future of the process that this one was forked off is left out,
    /// since it would never send its token.
    pub(crate) fn add(&mut self, token: usize, awaited: F) {
        let future = awaited.future();
        if future.check_process().is_err() {
            return;
        }
        let sender = &self.sender;
        let watch = |call: &CallRef<OutcomeCell>| {
            call.cell.watch(call.number, token, sender, F::FOLLOWS_TAIL)
        };
        if self.is_ours() && future.call().ask(watch) {
            future.request_background_read();
        }
        let replaced = self.waiting.insert(token, awaited);
        debug_assert!(replaced.is_none(), "two futures have the token {token}");
    }

    /// Waits for the next future that is done, and stops watching it. `None` after the deadline, or if there are no more.
    ///
    /// In a process that was forked off the one that made the watch no token arrives any more, so it returns any future.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Option<(usize, F)> {
        let any = *self.waiting.keys().next()?;
        let token = match deadline {
            _ if !self.is_ours() => any,
            Some(deadline) => self.receiver.recv_deadline(deadline).ok()?,
            None => self.receiver.recv().ok()?,
        };
        self.waiting.remove_entry(&token)
    }

    fn is_ours(&self) -> bool {
        check_process(self.owner_pid).is_ok()
    }
}

impl<F: Awaited> Watch<F> {
    /// Whether `next` would return at once with a future that is done.
    pub(crate) fn is_ready(&self) -> bool {
        !self.receiver.is_empty()
    }

    /// How many futures it watches.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The lowest token of the futures that it watches.
    pub(crate) fn lowest(&self) -> Option<usize> {
        self.waiting.keys().min().copied()
    }

    /// Stops watching, and returns the futures that `next` has not returned, in any order.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = (usize, F)> {
        self.waiting.drain().inspect(|(_, awaited)| unwatch(awaited, &self.sender))
    }
}

impl<F: Awaited> fmt::Debug for Watch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl<F: Awaited> Drop for Watch<F> {
    fn drop(&mut self) {
        for awaited in self.waiting.values() {
            unwatch(awaited, &self.sender);
        }
    }
}

fn unwatch(awaited: &impl Awaited, sender: &Sender<usize>) {
    awaited.future().call().ask(|call| call.cell.unwatch(call.number, sender));
}
