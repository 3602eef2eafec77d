//! The calls of a pool: where each is, and the order of those that wait for a worker.
//!
//! The queue is a list that runs through the calls themselves. So a call is in it exactly while it is queued, and leaves it
//! from anywhere at the same small cost; one that is cancelled leaves nothing behind.
//!
//! It is in the order of the calls' numbers. So one that comes back from a worker, or a part of one, comes before all that were
//! submitted later, whenever these came back, and none waits for one that came after it.

use super::Place;
use crate::calls::CallMap;
use crate::id::{CallId, WorkerId};

/// All calls that have not left.
#[derive(Debug)]
pub(super) struct Calls {
    states: CallMap<State>,
    /// The ends of the queue.
    first: u32,
    last: u32,
    queued: usize,
    /// The same with each call of a chunk.
    queued_calls: usize,
    /// The one that came back last: others that come back are near it.
    returned: Option<CallId>,
}

#[derive(Debug)]
struct State {
    whereabouts: Whereabouts,
    /// How many workers have died with it at the front, but not begun.
    fruitless: u32,
    /// How many calls it stands for: more than one if it is a chunk.
    count: u32,
}

/// Where a call is; of a queued one, the places of its neighbours.
#[derive(Clone, Copy, Debug)]
enum Whereabouts {
    Queued { before: u32, after: u32 },
    Given(WorkerId),
}

/// No neighbour: the end of the queue. (Not an `Option`, which would take as much again.)
const NONE: u32 = u32::MAX;

impl Whereabouts {
    /// Of a call that is about to get its neighbours.
    const ALONE: Self = Self::Queued { before: NONE, after: NONE };
}

impl State {
    fn place(&self) -> Place {
        match self.whereabouts {
            Whereabouts::Queued { .. } => Place::Queued,
            Whereabouts::Given(worker) => Place::Given(worker),
        }
    }
}

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            states: CallMap::default(),
            first: NONE,
            last: NONE,
            queued: 0,
            queued_calls: 0,
            returned: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// How many are queued.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// The same with each call of a chunk.
    pub(super) fn queued_calls(&self) -> usize {
        self.queued_calls
    }

    /// Whether it is a chunk.
    pub(super) fn is_chunk(&self, call: CallId) -> bool {
        self.states.get(&call).is_some_and(|state| state.count > 1)
    }

    /// Where a call is; `None` if it has left.
    pub(super) fn place(&self, call: CallId) -> Option<Place> {
        self.states.get(&call).map(State::place)
    }

    /// A new call, or a chunk of so many, which comes to the back of the queue.
    pub(super) fn push_back(&mut self, call: CallId, count: u32) {
        self.states.insert(call, State { whereabouts: Whereabouts::ALONE, fruitless: 0, count });
        self.join(self.last, call.place);
        self.join(call.place, NONE);
        self.note_queued(count);
    }

    /// A queued chunk has one more call.
    pub(super) fn grow(&mut self, chunk: CallId) {
        if let Some(state) = self.states.get_mut(&chunk) {
            state.count += 1;
            self.queued_calls += 1;
        }
    }

    /// In the place of a queued chunk come parts of it.
    pub(super) fn replace(
        &mut self,
        chunk: CallId,
        parts: impl IntoIterator<Item = (CallId, u32)>,
    ) {
        let Some(State { whereabouts, count, .. }) = self.states.remove(&chunk) else { return };
        self.unlink(whereabouts, count);
        let Whereabouts::Queued { mut before, after } = whereabouts else { return };
        for (part, count) in parts {
            self.states
                .insert(part, State { whereabouts: Whereabouts::ALONE, fruitless: 0, count });
            self.join(before, part.place);
            self.join(part.place, after);
            self.note_queued(count);
            before = part.place;
        }
    }

    /// A part of a chunk that was given comes to its place in the queue.
    pub(super) fn insert_part(&mut self, part: CallId, count: u32) {
        self.states.insert(part, State { whereabouts: Whereabouts::ALONE, fruitless: 0, count });
        self.link(part);
        self.note_queued(count);
    }

    /// A new call that lies with a worker already.
    pub(super) fn insert_given(&mut self, call: CallId, worker: WorkerId) {
        let whereabouts = Whereabouts::Given(worker);
        self.states.insert(call, State { whereabouts, fruitless: 0, count: 1 });
    }

    fn note_queued(&mut self, count: u32) {
        self.queued += 1;
        self.queued_calls += count as usize;
    }

    /// Puts a call where it belongs in the queue.
    fn link(&mut self, call: CallId) {
        let is_there = |it: &CallId| *it != call && self.place(*it) == Some(Place::Queued);
        let mut after = self.returned.filter(is_there).map_or(self.first, |it| it.place);
        while let Some((earlier, ..)) = self.neighbours(after)
            && self.neighbours(earlier).is_some_and(|(_, number, _)| number > call.number)
        {
            after = earlier;
        }
        while let Some((_, number, later)) = self.neighbours(after)
            && number < call.number
        {
            after = later;
        }
        let before = self.neighbours(after).map_or(self.last, |(before, ..)| before);
        self.join(before, call.place);
        self.join(call.place, after);
        self.returned = Some(call);
    }

    /// Of a queued call: the place before it, its number, and the place after it.
    fn neighbours(&mut self, place: u32) -> Option<(u32, u64, u32)> {
        let (call, state) = self.states.at_mut(place)?;
        match state.whereabouts {
            Whereabouts::Queued { before, after } => Some((before, call.number, after)),
            Whereabouts::Given(_) => None,
        }
    }

    /// A call that was given comes to its place in the queue. False if it is gone, or queued.
    pub(super) fn put_back(&mut self, call: CallId) -> bool {
        let Some(state) = self.states.get_mut(&call) else { return false };
        if state.place() == Place::Queued {
            return false;
        }
        state.whereabouts = Whereabouts::ALONE;
        let count = state.count;
        self.link(call);
        self.note_queued(count);
        true
    }

    /// Gives the call at the front of the queue to a worker.
    pub(super) fn give(&mut self, worker: WorkerId) -> Option<CallId> {
        let (call, state) = self.states.at_mut(self.first)?;
        let whereabouts = std::mem::replace(&mut state.whereabouts, Whereabouts::Given(worker));
        let count = state.count;
        self.unlink(whereabouts, count);
        Some(call)
    }

    /// The call at the front of the queue.
    pub(super) fn front(&mut self) -> Option<CallId> {
        self.states.at_mut(self.first).map(|(call, _)| call)
    }

    /// The call at the back of the queue.
    pub(super) fn back(&mut self) -> Option<CallId> {
        self.states.at_mut(self.last).map(|(call, _)| call)
    }

    /// The call leaves. Where it was comes back.
    pub(super) fn remove(&mut self, call: CallId) -> Option<Place> {
        let state = self.states.remove(&call)?;
        self.unlink(state.whereabouts, state.count);
        Some(state.place())
    }

    /// One more worker has died with this call at the front: how many those are.
    pub(super) fn count_fruitless(&mut self, call: CallId) -> Option<u32> {
        let state = self.states.get_mut(&call)?;
        state.fruitless += 1;
        Some(state.fruitless)
    }

    /// All calls, in the order in which they came.
    pub(super) fn in_order(&self) -> Vec<CallId> {
        let mut calls: Vec<_> = self.states.iter().map(|(call, _)| call).collect();
        calls.sort_unstable();
        calls
    }

    /// Takes what was queued out of the queue.
    fn unlink(&mut self, whereabouts: Whereabouts, count: u32) {
        if let Whereabouts::Queued { before, after } = whereabouts {
            self.join(before, after);
            self.queued -= 1;
            self.queued_calls -= count as usize;
        }
    }

    /// Makes two places neighbours, or one of them an end.
    fn join(&mut self, left: u32, right: u32) {
        match self.states.at_mut(left) {
            Some((_, State { whereabouts: Whereabouts::Queued { after, .. }, .. })) => {
                *after = right
            }
            _ => self.first = right,
        }
        match self.states.at_mut(right) {
            Some((_, State { whereabouts: Whereabouts::Queued { before, .. }, .. })) => {
                *before = left
            }
            _ => self.last = left,
        }
    }

    /// What must hold between any two events: the queue is what is queued, from both ends, in its order. The places of all come back.
    #[cfg(test)]
    pub(super) fn check(&mut self) -> Vec<(CallId, Place)> {
        let mut queue = Vec::new();
        let (mut before, mut place) = (NONE, self.first);
        while let Some((call, state)) = self.states.at_mut(place) {
            let last = queue.last();
            assert!(last.is_none_or(|last| *last < call), "{call:?} comes after {last:?}");
            let Whereabouts::Queued { before: left, after } = state.whereabouts else {
                panic!("{call:?} is in the queue, and is not queued");
            };
            assert_eq!(left, before, "neighbours know each other");
            queue.push(call);
            (before, place) = (place, after);
        }
        assert_eq!(self.last, before, "the queue ends with its last call");
        let all: Vec<_> = self.states.iter().map(|(call, state)| (call, state.place())).collect();
        let queued = all.iter().filter(|(_, place)| *place == Place::Queued);
        assert_eq!(queued.count(), queue.len(), "what is queued is in the queue");
        assert_eq!(self.queued, queue.len(), "queued calls are counted");
        all
    }
}
