//! Threads that wait for a result: they read from the worker that has the call. See [`readership`](super::readership).

use std::iter;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::Pool;
use super::effects::Sleeper;
use super::state::State;
use super::worker_link::{self, Received, Source};
use crate::clock;
use crate::future::slot::{Slot, Unparked};
use crate::id::{CallId, Ticket, WorkerId};
use crate::limits;
use crate::sys::poll::PollSet;
use crate::sys::wake::Wake;
use crate::transport::lane::pool_side::PoolLane;
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
    sources: Sources,
    rest: WaitStrategy,
}

/// What is read from.
struct Sources {
    /// The worker that has the call.
    first: (WorkerId, Source),
    /// Others that nobody has read from for a while: or they might run out of calls while this thread waits.
    others: Vec<(WorkerId, Source)>,
}

impl Sources {
    fn inboxes(&mut self) -> impl Iterator<Item = (WorkerId, &mut Inbox)> {
        iter::once(&mut self.first).chain(&mut self.others).filter_map(|(worker, source)| {
            match source {
                Source::Lane => None,
                Source::Stream(inbox) => Some((*worker, &mut **inbox)),
            }
        })
    }

    fn into_all(self) -> impl Iterator<Item = (WorkerId, Source)> {
        iter::once(self.first).chain(self.others)
    }
}

/// Where a reader waits.
enum WaitStrategy {
    /// On the lane, until this call is answered; it was disturbed so often before.
    OnLane { lane: PoolLane, wanted: Ticket, seen: u64, spins: bool },
    /// In a plain read: the call runs and there is no deadline, so only its answer, or the end of its worker, is waited for.
    InRead { is_busy: bool },
    /// In poll, where this wakes it.
    InPoll { wake: Arc<Wake>, is_busy: bool },
}

impl WaitStrategy {
    /// Whether this is the sleeper that is noted with a call, which lies at that worker.
    fn is_of(&self, reader_of: WorkerId, sleeper: &Sleeper, at: Option<WorkerId>) -> bool {
        match (self, sleeper) {
            (Self::OnLane { .. }, Sleeper::OnLane(_)) => at == Some(reader_of),
            (Self::InPoll { wake, .. }, Sleeper::InPoll(other)) => Arc::ptr_eq(wake, other),
            _ => false,
        }
    }
}

impl Pool {
    /// Blocks until the call has an outcome, or until `deadline`.
    pub(super) fn wait_for(&self, call: CallId, slot: &Slot, deadline: Option<Instant>) {
        loop {
            let arrival = self.with_state(|state, now| {
                state.burst.end();
                state.drain(now);
                state.arrive(now, call, slot, deadline.is_some())
            });
            match arrival {
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
        let Reading { mut sources, rest } = reading;
        let worker = sources.first.0;
        let received = rest.wait(&mut sources, deadline);
        let is_late = deadline.is_some_and(|deadline| clock::now() >= deadline);
        self.with_state(|state, now| {
            if let Some(pending) = state.calls.get_mut(&call) {
                // The call may lie elsewhere by now, and another thread that waits for it may sleep there.
                let at = pending.at.map(|(worker, _)| worker);
                pending.sleeper.take_if(|sleeper| rest.is_of(worker, sleeper, at));
            }
            for (worker, received) in received {
                state.hear(now, worker, received, &self.settings);
            }
            state.drain(now);
            if let WaitStrategy::InPoll { wake, .. } = rest {
                state.wakes.push(wake);
            }
            for (worker, source) in sources.into_all() {
                state.give_back(now, worker, source, (!is_late).then_some(call));
            }
            is_late
        })
    }
}

impl State {
    /// What a thread is to do that waits for a call.
    fn arrive(&mut self, now: Instant, call: CallId, slot: &Slot, has_deadline: bool) -> Arrival {
        let Some(pending) = self.calls.get(&call) else { return Arrival::Over };
        if let Some((worker, ticket)) = pending.at
            && let Some(link) = self.links.get_mut(&worker)
            && link.is_open
            && !link.is_dead
            && let Some(source) = link.readership.take_as_waiter()
        {
            let sources = Sources { first: (worker, source), others: self.neglected(now) };
            let must_poll = has_deadline || !sources.others.is_empty();
            if let Some(rest) = self.rest(worker, ticket, must_poll) {
                self.note_sleeper(call, &rest);
                return Arrival::Read(Reading { sources, rest });
            }
            for (worker, source) in sources.into_all() {
                self.give_back(now, worker, source, None);
            }
        }
        self.parked += 1;
        if let Some(pending) = self.calls.get_mut(&call) {
            pending.parked += 1;
        }
        Arrival::Park(slot.nudges())
    }

    /// Where the reader of a worker is to wait for the answer of a call. `None` if it had better leave that to the pool's thread:
    /// what comes next comes over the stream beside the lane; or there is no descriptor to wait for several things.
    fn rest(&mut self, worker: WorkerId, ticket: Ticket, must_poll: bool) -> Option<WaitStrategy> {
        if self.uses_lane {
            let wanted = self.wanted(worker, Some(ticket))?;
            let lane = self.links.get(&worker)?.lane.clone();
            let seen = lane.disturbances();
            let spins = self.scheduler.calls_within(limits::SPIN) > 0;
            return Some(WaitStrategy::OnLane { lane, wanted, seen, spins });
        }
        let link = self.links.get_mut(&worker)?;
        // Where answers come one after another some are likely to be there: that saves a poll.
        let is_busy = link.slots.count() > 1;
        let runs =
            matches!(link.slots.progress(ticket), Ok(Progress::Running | Progress::Finished));
        if runs && !must_poll {
            return Some(WaitStrategy::InRead { is_busy });
        }
        Some(WaitStrategy::InPoll { wake: self.wakes.pop().or_else(new_wake)?, is_busy })
    }

    /// Notes with the call how the thread is woken that waits for it.
    fn note_sleeper(&mut self, call: CallId, rest: &WaitStrategy) {
        let sleeper = match rest {
            WaitStrategy::OnLane { lane, .. } => Sleeper::OnLane(lane.clone()),
            WaitStrategy::InRead { .. } => return,
            WaitStrategy::InPoll { wake, .. } => Sleeper::InPoll(Arc::clone(wake)),
        };
        if let Some(pending) = self.calls.get_mut(&call) {
            pending.sleeper = Some(sleeper);
        }
    }
}

impl WaitStrategy {
    /// Waits for something to happen, and reads what has come over the streams.
    fn wait(&self, sources: &mut Sources, deadline: Option<Instant>) -> Vec<(WorkerId, Received)> {
        let is_busy = match self {
            Self::OnLane { lane, wanted, seen, spins } => {
                lane.wait(*wanted, *seen, deadline, *spins);
                return Vec::new();
            }
            Self::InRead { is_busy } | Self::InPoll { is_busy, .. } => *is_busy,
        };
        if is_busy {
            let received: Vec<_> = receive(sources, false).collect();
            if received.iter().any(|(_, received)| !received.is_empty()) {
                return received;
            }
        }
        match self {
            Self::InPoll { wake, .. } => poll(sources, wake, deadline),
            Self::InRead { .. } | Self::OnLane { .. } => receive(sources, true).collect(),
        }
    }
}

fn receive(sources: &mut Sources, waits: bool) -> impl Iterator<Item = (WorkerId, Received)> {
    sources.inboxes().map(move |(worker, inbox)| (worker, worker_link::receive(inbox, waits)))
}

fn new_wake() -> Option<Arc<Wake>> {
    Wake::new().ok().map(Arc::new)
}

/// Waits until there is something to read, until it is woken, or until `deadline`; and reads.
fn poll(
    sources: &mut Sources,
    wake: &Wake,
    deadline: Option<Instant>,
) -> Vec<(WorkerId, Received)> {
    let sockets: Vec<_> = sources.inboxes().map(|(_, inbox)| Arc::clone(inbox.socket())).collect();
    let mut set = PollSet::default();
    let woken = set.add(wake.as_fd(), true, false);
    let channels: Vec<_> =
        sockets.iter().map(|socket| set.add(socket.as_fd(), true, false)).collect();
    let has_polled = set.wait(clock::now(), deadline).is_ok();
    if !has_polled {
        // A limit of descriptors that was lowered to less than these two. What is there can be read all the same.
        thread::park_timeout(limits::REAP_INTERVAL);
    } else if set.readable(woken) {
        wake.clear();
    }
    let readable = sources
        .inboxes()
        .zip(channels)
        .filter(|(_, channel)| !has_polled || set.readable(*channel));
    readable.map(|((worker, inbox), _)| (worker, worker_link::receive(inbox, false))).collect()
}
