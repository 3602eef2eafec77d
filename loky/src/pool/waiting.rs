//! Threads that wait for a result: they read from the worker that has the call. See [`readership`](super::readership).

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::Pool;
use super::link::{self, Received};
use crate::clock;
use crate::future::slot::{Slot, Unparked};
use crate::id::{CallId, WorkerId};
use crate::limits;
use crate::sys::poll::PollSet;
use crate::sys::wake::Wake;
use crate::transport::slots::table::Progress;
use crate::transport::stream::Inbox;

/// What a waiter finds.
enum Arrival {
    /// The outcome is known, and on its way to the slot.
    Over,
    /// Somebody else reads, or there is nothing to be read yet: so many nudges there were.
    Park(u64),
    Read(Reading),
}

/// The right to read from a worker.
struct Reading {
    worker: WorkerId,
    inbox: Inbox,
    /// By which this thread is woken. `None` if the call runs and there is no deadline: then only its answer, or the end of
    /// its worker, is waited for.
    wake: Option<Arc<Wake>>,
}

impl Pool {
    /// Blocks until the call has an outcome, or until `deadline`.
    pub(super) fn wait_for(&self, call: CallId, slot: &Slot, deadline: Option<Instant>) {
        loop {
            match self.arrive(call, slot, deadline.is_some()) {
                Arrival::Over => {
                    slot.park(None, deadline);
                    return;
                }
                Arrival::Park(nudges) => {
                    let unparked = slot.park(Some(nudges), deadline);
                    self.depart(call);
                    if unparked != Unparked::Nudged {
                        return;
                    }
                }
                Arrival::Read(reading) => {
                    let is_late = self.read_for(call, reading, deadline);
                    if is_late || slot.is_done() {
                        return;
                    }
                }
            }
        }
    }

    fn arrive(&self, call: CallId, slot: &Slot, has_deadline: bool) -> Arrival {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(pending) = state.calls.get_mut(&call) else { return Arrival::Over };
        if let Some((worker, ticket)) = pending.at
            && let Some(link) = state.links.get_mut(&worker)
            && link.is_open
        {
            let progress = link.slots.progress(ticket);
            let runs = matches!(progress, Ok(Progress::Running | Progress::Finished));
            let needs_wake = !runs || has_deadline;
            let wake = needs_wake.then(|| state.wakes.pop().map_or_else(new_wake, Some)).flatten();
            // Without a descriptor there is no waiting for two things: others read, then.
            if wake.is_some() == needs_wake
                && let Some(inbox) = link.readership.take_as_waiter()
            {
                pending.polling.clone_from(&wake);
                return Arrival::Read(Reading { worker, inbox, wake });
            }
            state.wakes.extend(wake);
        }
        pending.parked += 1;
        state.parked += 1;
        Arrival::Park(slot.nudges())
    }

    /// A thread that was parked goes on.
    fn depart(&self, call: CallId) {
        let mut state = self.lock();
        state.parked -= 1;
        if let Some(pending) = state.calls.get_mut(&call) {
            pending.parked -= 1;
        }
    }

    /// Reads once for a call. True if the deadline has passed.
    fn read_for(&self, call: CallId, reading: Reading, deadline: Option<Instant>) -> bool {
        let Reading { worker, mut inbox, wake } = reading;
        let received = match &wake {
            None => link::receive(&mut inbox, true),
            Some(wake) => poll(&mut inbox, wake, deadline),
        };
        let is_late = deadline.is_some_and(|deadline| clock::now() >= deadline);
        self.with_state(|state, now| {
            state.hear(now, worker, received, &self.settings);
            state.wakes.extend(wake);
            if let Some(pending) = state.calls.get_mut(&call) {
                pending.polling = None;
            }
            state.give_back(now, worker, inbox, (!is_late).then_some(call));
            is_late
        })
    }
}

fn new_wake() -> Option<Arc<Wake>> {
    Wake::new().ok().map(Arc::new)
}

/// Waits until there is something to read, until it is woken, or until `deadline`; and reads.
fn poll(inbox: &mut Inbox, wake: &Wake, deadline: Option<Instant>) -> Received {
    let socket = Arc::clone(inbox.socket());
    let mut set = PollSet::default();
    let channel = set.add(socket.as_fd(), true, false);
    let woken = set.add(wake.as_fd(), true, false);
    if set.wait(clock::now(), deadline).is_err() {
        // A limit of descriptors that was lowered to less than two. What is there can be read all the same.
        thread::park_timeout(limits::REAP_INTERVAL);
        return link::receive(inbox, false);
    }
    if set.readable(woken) {
        wake.clear();
    }
    if set.readable(channel) { link::receive(inbox, false) } else { Received::default() }
}
