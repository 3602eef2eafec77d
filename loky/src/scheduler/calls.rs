//! The table of calls: the state of each call, and the queue of those that wait for a worker.
//!
//! The queue is a doubly linked list through the entries of the table. A call is linked exactly while it is queued, and
//! leaves from any position in constant time. A cancelled call leaves nothing behind.
//!
//! The queue is ordered by call number, which is the order of submission. So a revoked call, or a part of a batch, goes
//! before all calls that were submitted later, and no call waits for one that came after it.
//!
//! This file changes links and counters only: it decides nothing and emits no action. The simulation calls
//! `check` after every step.

use super::CallState;
use crate::calls::CallMap;
use crate::id::{CallId, WorkerId};

/// The calls and batches that are neither finished nor resolved.
#[derive(Debug)]
pub(super) struct Calls {
    entries: CallMap<Entry>,
    /// Table index of the front of the queue.
    first: u32,
    /// Table index of the back of the queue.
    last: u32,
    /// Queue length; a batch counts once.
    queued: usize,
    /// Queue length; each call of a batch counts.
    queued_calls: usize,
    /// The call that returned to the queue last: where the search for the next returning call begins.
    last_returned: Option<CallId>,
}

/// A call or a batch.
#[derive(Debug)]
struct Entry {
    position: Position,
    /// How many idle workers died with this call at the front of theirs, before it began.
    deaths_at_front: u32,
    /// The number of calls: more than one if this is a batch.
    count: u32,
}

/// The state of a call, with the table indices of its neighbours if it is queued.
#[derive(Clone, Copy, Debug)]
enum Position {
    Queued { before: u32, after: u32 },
    Dispatched(WorkerId),
}

/// The index beyond either end of the queue. An `Option<u32>` would double the size of a link.
const NONE: u32 = u32::MAX;

impl Position {
    /// A queued call before it is linked to its neighbours.
    const UNLINKED: Self = Self::Queued { before: NONE, after: NONE };
}

impl Entry {
    fn queued(count: u32) -> Self {
        Self { position: Position::UNLINKED, deaths_at_front: 0, count }
    }

    fn state(&self) -> CallState {
        match self.position {
            Position::Queued { .. } => CallState::Queued,
            Position::Dispatched(worker) => CallState::Dispatched(worker),
        }
    }
}

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            entries: CallMap::default(),
            first: NONE,
            last: NONE,
            queued: 0,
            queued_calls: 0,
            last_returned: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The queue length, in which a batch counts once.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// The queue length, in which each call of a batch counts.
    pub(super) fn queued_calls(&self) -> usize {
        self.queued_calls
    }

    pub(super) fn is_batch(&self, call: CallId) -> bool {
        self.entries.get(&call).is_some_and(|entry| entry.count > 1)
    }

    /// The state of a call; `None` once it is finished or resolved.
    pub(super) fn state_of(&self, call: CallId) -> Option<CallState> {
        self.entries.get(&call).map(Entry::state)
    }

    /// Appends a new call, or a batch of `count` calls, to the queue.
    pub(super) fn push_back(&mut self, call: CallId, count: u32) {
        self.entries.insert(call, Entry::queued(count));
        self.join(self.last, call.index);
        self.join(call.index, NONE);
        self.note_queued(count);
    }

    /// Adds one call to a queued batch.
    pub(super) fn grow(&mut self, batch: CallId) {
        if let Some(entry) = self.entries.get_mut(&batch) {
            entry.count += 1;
            self.queued_calls += 1;
        }
    }

    /// Leaves a batch its first `kept` calls. Returns the state of the batch, unless it is gone.
    pub(super) fn shrink(&mut self, batch: CallId, kept: u32) -> Option<CallState> {
        let entry = self.entries.get_mut(&batch)?;
        let n_moved = std::mem::replace(&mut entry.count, kept) - kept;
        let state = entry.state();
        if state == CallState::Queued {
            self.queued_calls -= n_moved as usize;
        }
        Some(state)
    }

    /// Inserts a part of a queued batch into the queue, right behind the queued call `before`.
    pub(super) fn insert_behind(&mut self, before: CallId, part: CallId, count: u32) {
        let after = self.neighbours(before.index).map_or(NONE, |(.., after)| after);
        self.entries.insert(part, Entry::queued(count));
        self.join(before.index, part.index);
        self.join(part.index, after);
        self.note_queued(count);
    }

    /// Inserts a part of a dispatched batch into the queue, by its number.
    pub(super) fn insert_part(&mut self, part: CallId, count: u32) {
        self.entries.insert(part, Entry::queued(count));
        self.link(part);
        self.note_queued(count);
    }

    fn note_queued(&mut self, count: u32) {
        self.queued += 1;
        self.queued_calls += count as usize;
    }

    /// Links a call into the queue by its number. Calls return in runs, so the search begins at the last one that did.
    fn link(&mut self, call: CallId) {
        let is_queued = |it: &CallId| *it != call && self.state_of(*it) == Some(CallState::Queued);
        let mut after = self.last_returned.filter(is_queued).map_or(self.first, |it| it.index);
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
        self.join(before, call.index);
        self.join(call.index, after);
        self.last_returned = Some(call);
    }

    /// The index before a queued call, its number, and the index after it.
    fn neighbours(&mut self, index: u32) -> Option<(u32, u64, u32)> {
        let (call, entry) = self.entries.at_mut(index)?;
        match entry.position {
            Position::Queued { before, after } => Some((before, call.number, after)),
            Position::Dispatched(_) => None,
        }
    }

    /// Returns a dispatched call to the queue, by its number. False if the call is gone or queued.
    pub(super) fn requeue(&mut self, call: CallId) -> bool {
        let Some(entry) = self.entries.get_mut(&call) else { return false };
        if entry.state() == CallState::Queued {
            return false;
        }
        entry.position = Position::UNLINKED;
        let count = entry.count;
        self.link(call);
        self.note_queued(count);
        true
    }

    /// Dispatches the front of the queue to a worker.
    pub(super) fn dispatch(&mut self, worker: WorkerId) -> Option<CallId> {
        let (call, entry) = self.entries.at_mut(self.first)?;
        let position = std::mem::replace(&mut entry.position, Position::Dispatched(worker));
        let count = entry.count;
        self.unlink(position, count);
        Some(call)
    }

    /// The front of the queue.
    pub(super) fn front(&mut self) -> Option<CallId> {
        self.entries.at_mut(self.first).map(|(call, _)| call)
    }

    /// The back of the queue.
    pub(super) fn back(&mut self) -> Option<CallId> {
        self.entries.at_mut(self.last).map(|(call, _)| call)
    }

    /// Removes a call and returns the state that it was in.
    pub(super) fn remove(&mut self, call: CallId) -> Option<CallState> {
        let entry = self.entries.remove(&call)?;
        self.unlink(entry.position, entry.count);
        Some(entry.state())
    }

    /// Counts one more idle worker that died with this call at its front, and returns how many did.
    pub(super) fn count_death_at_front(&mut self, call: CallId) -> Option<u32> {
        let entry = self.entries.get_mut(&call)?;
        entry.deaths_at_front += 1;
        Some(entry.deaths_at_front)
    }

    /// All calls, queued and dispatched, in the order of submission.
    pub(super) fn in_order(&self) -> Vec<CallId> {
        let mut calls: Vec<_> = self.entries.iter().map(|(call, _)| call).collect();
        calls.sort_unstable();
        calls
    }

    /// Unlinks a call that is no longer queued from its old neighbours.
    fn unlink(&mut self, old: Position, count: u32) {
        if let Position::Queued { before, after } = old {
            self.join(before, after);
            self.queued -= 1;
            self.queued_calls -= count as usize;
        }
    }

    /// Makes two entries neighbours. With [`NONE`] on one side the other becomes an end of the queue.
    fn join(&mut self, left: u32, right: u32) {
        match self.entries.at_mut(left) {
            Some((_, Entry { position: Position::Queued { after, .. }, .. })) => *after = right,
            _ => self.first = right,
        }
        match self.entries.at_mut(right) {
            Some((_, Entry { position: Position::Queued { before, .. }, .. })) => *before = left,
            _ => self.last = left,
        }
    }

    /// Asserts that the queue holds exactly the queued calls, in order, with links that agree in both directions.
    /// Returns all calls with their states.
    #[cfg(test)]
    pub(super) fn check(&mut self) -> Vec<(CallId, CallState)> {
        let mut queue = Vec::new();
        let (mut before, mut index) = (NONE, self.first);
        while let Some((call, entry)) = self.entries.at_mut(index) {
            let last = queue.last();
            assert!(last.is_none_or(|last| *last < call), "{call:?} comes after {last:?}");
            let Position::Queued { before: left, after } = entry.position else {
                panic!("{call:?} is linked, but not queued");
            };
            assert_eq!(left, before, "links agree in both directions");
            queue.push(call);
            (before, index) = (index, after);
        }
        assert_eq!(self.last, before, "`last` is the last call of the queue");
        let all: Vec<_> = self.entries.iter().map(|(call, entry)| (call, entry.state())).collect();
        let queued = all.iter().filter(|(_, state)| *state == CallState::Queued);
        assert_eq!(queued.count(), queue.len(), "every queued call is linked");
        assert_eq!(self.queued, queue.len(), "queued calls are counted");
        all
    }
}
