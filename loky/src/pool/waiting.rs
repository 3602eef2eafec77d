//! Threads that wait for a result: they read from the worker that has the call. Which thread may is decided by
//! [`core::readers`](super::core::readers), by the rules of [`readership`](super::readership).

use std::iter;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::Pool;
use super::core::readers::{Arrival, Reading, WaitStrategy};
use super::worker_link::receive::{Received, receive};
use super::worker_link::source::Source;
use crate::clock;
use crate::future::{Unparked, Waiter};
use crate::id::{CallId, WorkerId};
use crate::limits;
use crate::sys::poll::PollSet;
use crate::sys::wake::Wake;
use crate::transport::stream::Inbox;

impl Pool {
    /// Blocks until the call is no longer pending in its cell, or until `deadline`.
    pub(super) fn wait_for(&self, call: CallId, waiter: &dyn Waiter, deadline: Option<Instant>) {
        loop {
            let arrival = self.change(
                |core, now| core.look(now),
                |core, now, ()| core.arrive(now, call, waiter, deadline.is_some()),
            );
            match arrival {
                Arrival::Over => {
                    waiter.park(None, deadline);
                    return;
                }
                Arrival::Park(retries) => {
                    let unparked = waiter.park(Some(retries), deadline);
                    self.lock().depart(call);
                    if unparked != Unparked::Retry {
                        return;
                    }
                }
                Arrival::Read(reading) => {
                    let is_late = self.read_for((call, waiter.number()), reading, deadline);
                    if is_late || !waiter.is_pending() {
                        return;
                    }
                }
            }
        }
    }

    /// Reads once for a call. True if the deadline has passed.
    fn read_for(
        &self,
        (call, number): (CallId, Option<u32>),
        mut reading: Reading,
        deadline: Option<Instant>,
    ) -> bool {
        let received = reading.wait(deadline);
        let is_late = deadline.is_some_and(|deadline| clock::now() >= deadline);
        let Reading { first, others, strategy } = reading;
        let reader_of = first.0;
        self.change(
            |core, now| {
                core.sleeper_woke(call, reader_of, strategy);
                for (worker, received) in received {
                    core.receive(now, worker, received, &self.settings);
                }
                core.drain(now);
            },
            // This thread is the reader until the calls are dispatched that these answers have brought: it goes on for them.
            |core, now, ()| {
                for (worker, source) in iter::once(first).chain(others) {
                    core.give_back(now, worker, source, (!is_late).then_some((call, number)));
                }
            },
        );
        is_late
    }
}

impl Reading {
    /// Waits for something to happen, and reads what has come over the streams.
    fn wait(&mut self, deadline: Option<Instant>) -> Vec<(WorkerId, Received)> {
        let is_busy = match &self.strategy {
            WaitStrategy::OnLane { lane, wanted, seen, spins } => {
                lane.wait(*wanted, *seen, deadline, *spins);
                return Vec::new();
            }
            WaitStrategy::InRead { is_busy } | WaitStrategy::InPoll { is_busy, .. } => *is_busy,
        };
        if is_busy {
            let received = self.receive(false);
            if received.iter().any(|(_, received)| !received.is_empty()) {
                return received;
            }
        }
        match &self.strategy {
            WaitStrategy::InPoll { wake, .. } => {
                let wake = Arc::clone(wake);
                self.poll(&wake, deadline)
            }
            WaitStrategy::InRead { .. } | WaitStrategy::OnLane { .. } => self.receive(true),
        }
    }

    fn inboxes(&mut self) -> impl Iterator<Item = (WorkerId, &mut Inbox)> {
        iter::once(&mut self.first).chain(&mut self.others).filter_map(|(worker, source)| {
            match source {
                Source::Lane => None,
                Source::Stream(inbox) => Some((*worker, &mut **inbox)),
            }
        })
    }

    fn receive(&mut self, waits: bool) -> Vec<(WorkerId, Received)> {
        self.inboxes().map(|(worker, inbox)| (worker, receive(inbox, waits))).collect()
    }

    /// Waits until there is something to read, until it is woken, or until `deadline`; and reads.
    fn poll(&mut self, wake: &Wake, deadline: Option<Instant>) -> Vec<(WorkerId, Received)> {
        let sockets: Vec<_> = self.inboxes().map(|(_, inbox)| Arc::clone(inbox.socket())).collect();
        let mut set = PollSet::default();
        let woken = set.add(wake.as_fd(), true, false);
        let channels: Vec<_> =
            sockets.iter().map(|socket| set.add(socket.as_fd(), true, false)).collect();
        let has_polled = set.wait(clock::now(), deadline).is_ok();
        if !has_polled {
            // A limit of descriptors that was lowered to less than these two. What is there can be read nevertheless.
            thread::park_timeout(limits::REAP_INTERVAL);
        } else if set.readable(woken) {
            wake.clear();
        }
        let readable = self
            .inboxes()
            .zip(channels)
            .filter(|(_, channel)| !has_polled || set.readable(*channel));
        readable.map(|((worker, inbox), _)| (worker, receive(inbox, false))).collect()
    }
}
