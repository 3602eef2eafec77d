//! Waiting for whichever of several futures is done next.
//!
//! Futures come and go while it waits, each at the same small cost, so that one [`Watch`] does for a stream of calls without
//! end. What it is used for says how it is tested: `wait`, `as_completed`, and the unordered `map`.

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::chunk::CallRef;
use super::{Future, check_process};
use crate::sys::fork_guard;

/// What stands for a call, or several.
pub(crate) trait Awaited {
    /// What its calls return.
    type Output;

    fn future(&self) -> &Future<Self::Output>;
}

impl<R> Awaited for Future<R> {
    type Output = R;

    fn future(&self) -> &Self {
        self
    }
}

/// Futures of which each says once, by its number, that it is done.
pub(crate) struct Watch<F: Awaited> {
    /// Those that have not said it yet.
    silent: HashMap<usize, F>,
    owner_pid: u32,
    sender: Sender<usize>,
    receiver: Receiver<usize>,
}

impl<F: Awaited<Output: 'static>> Watch<F> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = crossbeam_channel::unbounded();
        Self { silent: HashMap::new(), owner_pid: fork_guard::current_pid(), sender, receiver }
    }

    /// Watches one more, under a number that no other has. One of the process that this one was forked off would never say
    /// anything: it is left out.
    pub(crate) fn add(&mut self, number: usize, awaited: F) {
        let future = awaited.future();
        if future.check_process().is_err() {
            return;
        }
        let sender = &self.sender;
        let watch = |seat: &CallRef| seat.slot.watch(seat.number, number, sender);
        if self.is_ours() && future.seat.ask(watch) {
            future.request_background_read();
        }
        let replaced = self.silent.insert(number, awaited);
        debug_assert!(replaced.is_none(), "two futures have the number {number}");
    }

    /// The next one that is done, which is watched no longer; `None` after the deadline, or when there are no more.
    ///
    /// In a process that was forked off the one that it was made in nobody says anything any more: any one is next.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Option<(usize, F)> {
        let any = *self.silent.keys().next()?;
        let number = match deadline {
            _ if !self.is_ours() => any,
            Some(deadline) => self.receiver.recv_deadline(deadline).ok()?,
            None => self.receiver.recv().ok()?,
        };
        self.silent.remove_entry(&number)
    }

    fn is_ours(&self) -> bool {
        check_process(self.owner_pid).is_ok()
    }
}

impl<F: Awaited> Watch<F> {
    /// Whether one is done that `next` has not given yet.
    pub(crate) fn is_ready(&self) -> bool {
        !self.receiver.is_empty()
    }

    /// How many `next` has not given yet.
    pub(crate) fn len(&self) -> usize {
        self.silent.len()
    }

    /// The lowest number of those that `next` has not given yet.
    pub(crate) fn lowest(&self) -> Option<usize> {
        self.silent.keys().min().copied()
    }

    /// Gives back those that `next` has not given yet, in any order, and watches nothing any more.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = (usize, F)> {
        self.silent.drain().inspect(|(_, awaited)| unwatch(awaited, &self.sender))
    }
}

impl<F: Awaited> fmt::Debug for Watch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("silent", &self.silent.len()).finish_non_exhaustive()
    }
}

impl<F: Awaited> Drop for Watch<F> {
    fn drop(&mut self) {
        for awaited in self.silent.values() {
            unwatch(awaited, &self.sender);
        }
    }
}

fn unwatch(awaited: &impl Awaited, sender: &Sender<usize>) {
    awaited.future().seat.ask(|seat| seat.slot.unwatch(seat.number, sender));
}
