//! The links to all started workers.

use std::collections::BTreeMap;
use std::time::Instant;

use super::effects::Sleeper;
use super::worker_link::Link;
use super::worker_link::lane_reader::FromLane;
use super::worker_link::source::Source;
use crate::id::WorkerId;
use crate::limits;

/// A link for each worker that was started and not yet reaped.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: BTreeMap<WorkerId, Link>,
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    pub(super) fn get(&self, worker: WorkerId) -> Option<&Link> {
        self.links.get(&worker)
    }

    pub(super) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut Link> {
        self.links.get_mut(&worker)
    }

    pub(super) fn insert(&mut self, worker: WorkerId, link: Link) {
        self.links.insert(worker, link);
    }

    pub(super) fn remove(&mut self, worker: WorkerId) -> Option<Link> {
        self.links.remove(&worker)
    }

    /// Ends the channels of all workers, and has the threads that read from them come back.
    pub(super) fn abandon_all(&mut self) {
        std::mem::take(&mut self.links).values().for_each(Link::abandon);
    }

    /// The workers' processes, by the workers' indices.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut links: Vec<_> = self.links.values().collect();
        links.sort_unstable_by_key(|link| link.index());
        links.iter().map(|link| link.pid()).collect()
    }

    /// Whether something lies in a lane.
    pub(super) fn is_drainable(&mut self) -> bool {
        self.links.values_mut().any(Link::is_drainable)
    }

    /// Takes out what lies in the lanes.
    pub(super) fn drain(&mut self, mut take: impl FnMut(WorkerId, FromLane)) {
        for (worker, link) in &mut self.links {
            link.drain(|from_lane| take(*worker, from_lane));
        }
    }

    /// The workers that no thread has read from for a while, for a thread that is about to wait for another.
    pub(super) fn take_neglected(&mut self, now: Instant) -> Vec<(WorkerId, Source)> {
        let links = self.links.iter_mut();
        links.filter_map(|(worker, link)| Some((*worker, link.take_if_neglected(now)?))).collect()
    }

    /// Has the threads that sleep on lanes, perhaps until a later answer than the next one, look what they are to wait for now.
    /// Returns these threads, and whether the pool thread is one of them.
    pub(super) fn patient_readers(&mut self) -> (Vec<Sleeper>, bool) {
        let mut is_pool_thread = false;
        let mut sleepers = Vec::new();
        for link in self.links.values_mut().filter(|link| link.uses_lane() && !link.is_unoccupied())
        {
            is_pool_thread |= link.readership().is_background();
            if link.readership().is_waiter() {
                sleepers.push(Sleeper::OnLane(link.lane().clone()));
            }
        }
        (sleepers, is_pool_thread)
    }

    /// The pool thread has slept in poll: the workers need not wake it.
    pub(super) fn end_poll(&mut self) {
        for link in self.links.values_mut() {
            if link.readership().is_background() {
                link.lane().wake_up();
            }
        }
    }

    /// Sees to it that no thread sleeps for ever on words that a task has overwritten, and gives back the memory of lanes that
    /// were not used for a while.
    pub(super) fn look_after_lanes(&mut self) {
        self.links.values_mut().for_each(Link::look_after_lane);
    }

    /// The workers for which there is something to be sent that the system had no room for.
    pub(super) fn held_up(&self) -> Vec<WorkerId> {
        let links = self.links.iter().filter(|(_, link)| link.is_held_up());
        links.map(|(worker, _)| *worker).collect()
    }

    /// Plans what the pool thread waits for at each worker, and until when at most. `is_quiet`: nothing has happened in the pool
    /// since it planned last. `looked_after_lanes`: when it did that last.
    pub(super) fn plan(
        &mut self,
        now: Instant,
        is_quiet: bool,
        looked_after_lanes: Instant,
    ) -> (Plan, Option<Instant>) {
        let mut deadline: Option<Instant> = None;
        let mut no_later =
            |at: Instant| deadline = Some(deadline.map_or(at, |known| known.min(at)));
        let mut plan = Plan::new();
        for (worker, link) in self.links.iter_mut().filter(|(_, link)| link.is_open()) {
            let has_calls = !link.is_unoccupied();
            if let Some(since) = link.readership().unread_since()
                && has_calls
            {
                let at = since + limits::PICK_UP;
                if at <= now {
                    link.read_in_background();
                } else {
                    no_later(at);
                }
            } else if is_quiet {
                // A worker that has nothing to send and sends something is found out. (Not while calls come and go: then
                // the pool thread would be woken by answers that others are about to wait for.)
                link.read_in_background();
            }
            let is_held_up = link.is_held_up();
            if is_held_up {
                no_later(now + limits::NO_ROOM_PAUSE);
            }
            let writes = link.is_congested() && !is_held_up;
            plan.insert(*worker, Wanted { reads: link.is_stream_polled(), writes });
            if link.has_lane_to_look_after() {
                no_later(looked_after_lanes + limits::LANE_WATCH);
            }
        }
        (plan, deadline)
    }
}

/// The events at a worker's channel that the pool thread waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) reads: bool,
    pub(super) writes: bool,
}

/// The events that the pool thread waits for, by worker with an open channel.
pub(super) type Plan = BTreeMap<WorkerId, Wanted>;
