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

/// The right to read from workers.
struct Reading {
    /// The worker that has the call.
    worker: WorkerId,
    inbox: Inbox,
    /// Others that nobody has read from for a while: or they might run out of calls while this thread waits.
    others: Vec<(WorkerId, Inbox)>,
    /// Whether there is more to come than the answer that is waited for.
    is_busy: bool,
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
        let now = clock::now();
        let mut state = self.lock();
        let state = &mut *state;
        let Some(pending) = state.calls.get_mut(&call) else { return Arrival::Over };
        if let Some((worker, ticket)) = pending.at
            && let Some(link) = state.links.get_mut(&worker)
            && link.is_open
            && let Some(inbox) = link.readership.take_as_waiter()
        {
            let progress = link.slots.progress(ticket);
            let runs = matches!(progress, Ok(Progress::Running | Progress::Finished));
            let is_busy = link.slots.count() > 1;
            let others = state.neglected(now);
            if runs && !has_deadline && others.is_empty() {
                return Arrival::Read(Reading { worker, inbox, others, is_busy, wake: None });
            }
            if let Some(wake) = state.wakes.pop().or_else(new_wake) {
                if let Some(pending) = state.calls.get_mut(&call) {
                    pending.polling = Some(Arc::clone(&wake));
                }
                return Arrival::Read(Reading { worker, inbox, others, is_busy, wake: Some(wake) });
            }
            // Without a descriptor there is no waiting for several things: the pool's thread reads.
            state.give_back(now, worker, inbox, None);
            for (worker, inbox) in others {
                state.give_back(now, worker, inbox, None);
            }
        }
        state.parked += 1;
        if let Some(pending) = state.calls.get_mut(&call) {
            pending.parked += 1;
        }
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
        let Reading { worker, inbox, others, is_busy, wake } = reading;
        let mut inboxes = others;
        inboxes.push((worker, inbox));
        // Where answers come one after another some are likely to be there: that saves a poll.
        let mut received = if is_busy { receive(&mut inboxes, false) } else { Vec::new() };
        if received.iter().all(|(_, received)| received.is_empty()) {
            received = match &wake {
                None => receive(&mut inboxes, true),
                Some(wake) => poll(&mut inboxes, wake, deadline),
            };
        }
        let is_late = deadline.is_some_and(|deadline| clock::now() >= deadline);
        self.with_state(|state, now| {
            for (worker, received) in received {
                state.hear(now, worker, received, &self.settings);
            }
            if let (Some(pending), Some(wake)) = (state.calls.get_mut(&call), &wake) {
                // The call may lie elsewhere by now, and another thread that waits for it may poll there.
                pending.polling.take_if(|polling| Arc::ptr_eq(polling, wake));
            }
            state.wakes.extend(wake);
            for (worker, inbox) in inboxes {
                state.give_back(now, worker, inbox, (!is_late).then_some(call));
            }
            is_late
        })
    }
}

fn receive(inboxes: &mut [(WorkerId, Inbox)], waits: bool) -> Vec<(WorkerId, Received)> {
    inboxes.iter_mut().map(|(worker, inbox)| (*worker, link::receive(inbox, waits))).collect()
}

fn new_wake() -> Option<Arc<Wake>> {
    Wake::new().ok().map(Arc::new)
}

/// Waits until there is something to read, until it is woken, or until `deadline`; and reads.
fn poll(
    inboxes: &mut [(WorkerId, Inbox)],
    wake: &Wake,
    deadline: Option<Instant>,
) -> Vec<(WorkerId, Received)> {
    let sockets: Vec<_> = inboxes.iter().map(|(_, inbox)| Arc::clone(inbox.socket())).collect();
    let mut set = PollSet::default();
    let woken = set.add(wake.as_fd(), true, false);
    let channels: Vec<_> =
        sockets.iter().map(|socket| set.add(socket.as_fd(), true, false)).collect();
    let has_polled = set.wait(clock::now(), deadline).is_ok();
    if !has_polled {
        // A limit of descriptors that was lowered to less than these. What is there can be read all the same.
        thread::park_timeout(limits::REAP_INTERVAL);
    } else if set.readable(woken) {
        wake.clear();
    }
    let readable = inboxes
        .iter_mut()
        .zip(channels)
        .filter(|(_, channel)| !has_polled || set.readable(*channel));
    readable.map(|((worker, inbox), _)| (*worker, link::receive(inbox, false))).collect()
}
