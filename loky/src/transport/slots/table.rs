//! What the pool knows of the slots that it shares with one worker: its own record, with which the page must agree.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::items::{self, Items};
use super::{Claim, PageCorrupt, State, answered, look, queue, revoke};
use crate::id::{CallId, Ticket};
use crate::limits::SLOTS;
use crate::transport::page::Page;

/// What is in a slot, as the pool has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Free,
    /// This call was given to the worker. Whether it has been seen to have begun: it cannot be as if it had not after that.
    Given(CallId, bool),
    /// The call was taken back; the worker has not come to its frame.
    Revoked,
}

/// Which calls of a chunk a worker is to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ChunkBounds {
    /// So many at the front were other calls.
    before: u32,
    /// So many were seen to have begun: no fewer can have from then on.
    begun: u32,
    /// No more than so many. None: there is a single call in the slot.
    limit: u32,
}

/// How far a call is, as its worker's page has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Waiting,
    Running,
    /// The task has returned; the answer is under way.
    Finished,
}

/// What the worker has done with the oldest of what lies with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The task has returned; the answer is under way, or there.
    Answered(Ticket),
    /// It was taken back, and the worker has come past it.
    Skipped,
}

/// The slots of one worker.
#[derive(Debug)]
pub(crate) struct SlotTable {
    page: Arc<Page>,
    records: [(Ticket, Record); SLOTS],
    /// Of each slot, what is known of the chunk in it.
    chunks: [ChunkBounds; SLOTS],
    /// A bit for each slot that is not free.
    taken: u64,
    /// How many calls the worker was given.
    sequence: u64,
    /// The tickets of the last of them, from the oldest on that may not be free. What goes over the stream can be free while
    /// older ones are not, so these can be more than there are slots.
    order: VecDeque<Ticket>,
}

const _: () = assert!(SLOTS == u64::BITS as usize, "a bit for each slot");

impl SlotTable {
    pub(crate) fn new(page: Arc<Page>) -> Self {
        let record = |slot| (Ticket::new(slot, 0), Record::Free);
        let records = std::array::from_fn(record);
        let (chunks, order) = ([ChunkBounds::default(); SLOTS], VecDeque::with_capacity(SLOTS));
        Self { page, records, chunks, taken: 0, sequence: 0, order }
    }

    /// Whether the worker has nothing that it has not answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// How many calls the worker has not answered, those included that were taken back.
    pub(crate) fn count(&self) -> u32 {
        self.taken.count_ones()
    }

    /// The calls that lie with the worker.
    pub(crate) fn calls(&self) -> impl Iterator<Item = CallId> {
        self.given().map(|(_, call)| call)
    }

    fn given(&self) -> impl Iterator<Item = (Ticket, CallId)> {
        self.records.iter().filter_map(|(ticket, record)| match record {
            Record::Given(call, _) => Some((*ticket, *call)),
            Record::Free | Record::Revoked => None,
        })
    }

    /// A slot for a call that is to be given to the worker. There must be a free one. Its letter can be written now.
    pub(crate) fn take(&mut self, call: CallId) -> Result<Ticket, PageCorrupt> {
        let slot = self.taken.trailing_ones() as usize;
        let (last, record) = &mut self.records[slot];
        let ticket = Ticket::new(slot, self.sequence + 1);
        if look(self.page.state(*last), *last)? != State::Free {
            return Err(PageCorrupt);
        }
        self.sequence += 1;
        (*last, *record) = (ticket, Record::Given(call, false));
        self.chunks[slot] = ChunkBounds::default();
        self.taken |= 1 << slot;
        self.oldest(); // Or on a stream nobody would ask, and they would be kept for ever.
        self.order.push_back(ticket);
        Ok(ticket)
    }

    /// Gives the worker the call that has taken a slot last.
    pub(crate) fn publish(&self, ticket: Ticket) {
        queue(self.page.state(ticket), ticket);
        self.page.sequence(self.sequence).store(ticket.0, Ordering::Release);
    }

    /// The slot that was taken is for a chunk of so many calls.
    pub(crate) fn set_items(&mut self, ticket: Ticket, count: u32) {
        self.chunks[ticket.slot()] = ChunkBounds { limit: count, ..ChunkBounds::default() };
        items::set(self.page.items(ticket), ticket, count);
    }

    /// Whether there is a chunk in the slot.
    pub(crate) fn is_chunk(&self, ticket: Ticket) -> bool {
        self.chunks[ticket.slot()].limit > 0
    }

    /// How many calls of a chunk were others, before the one that is left of it.
    pub(crate) fn before(&self, ticket: Ticket) -> u32 {
        self.chunks[ticket.slot()].before
    }

    /// How far the worker is in a chunk.
    pub(crate) fn items(&mut self, ticket: Ticket) -> Result<Items, PageCorrupt> {
        let items = items::look(self.page.items(ticket), ticket)?;
        let known = &mut self.chunks[ticket.slot()];
        if items.limit > known.limit || items.begun < known.begun {
            return Err(PageCorrupt);
        }
        known.begun = items.begun;
        Ok(items)
    }

    /// Cuts off what the worker has not begun of a chunk, but for one call: how far it is.
    pub(crate) fn cut(&mut self, ticket: Ticket) -> Result<Items, PageCorrupt> {
        self.items(ticket)?;
        items::cut(self.page.items(ticket), ticket)?;
        let items = self.items(ticket)?;
        if items.limit != items.begun.max(1) {
            return Err(PageCorrupt);
        }
        self.chunks[ticket.slot()].limit = items.limit;
        Ok(items)
    }

    /// What lies in the slot is another call from here on: what is left of a chunk, after so many.
    pub(crate) fn rename(&mut self, ticket: Ticket, call: CallId, before: u32) {
        self.chunks[ticket.slot()].before = before;
        let (current, record) = &mut self.records[ticket.slot()];
        if *current == ticket
            && let Record::Given(known, _) = record
        {
            *known = call;
        }
    }

    /// Writes once more in which order the calls come, in case that somebody else has written there.
    pub(crate) fn publish_order(&self) {
        // More than these have no place there, and the worker is past them.
        for ticket in self.order.iter().rev().take(SLOTS) {
            self.page.sequence(ticket.sequence()).store(ticket.0, Ordering::Release);
        }
    }

    /// The oldest of what lies with the worker.
    pub(crate) fn oldest(&mut self) -> Option<Ticket> {
        while let Some(ticket) = self.order.front().copied() {
            if self.record(ticket).is_ok_and(|record| record != Record::Free) {
                return Some(ticket);
            }
            self.order.pop_front();
        }
        None
    }

    /// The ticket of the call that was given to the worker so many after the [`oldest`](Self::oldest), or of the last one.
    pub(crate) fn nth(&self, after: u64) -> Option<Ticket> {
        let last = self.order.len().checked_sub(1)?;
        self.order.get(usize::try_from(after).map_or(last, |after| after.min(last))).copied()
    }

    /// How many tickets are known.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.order.len()
    }

    /// What the worker has done with the oldest, if anything. What it has skipped is free with that.
    pub(crate) fn step(&mut self) -> Result<Option<Step>, PageCorrupt> {
        let Some(ticket) = self.oldest() else { return Ok(None) };
        if self.record(ticket)? != Record::Revoked {
            let is_answered = self.progress(ticket)? == Progress::Finished;
            return Ok(is_answered.then_some(Step::Answered(ticket)));
        }
        match look(self.page.state(ticket), ticket)? {
            State::Free => self.free(ticket),
            State::Revoked => return Ok(None),
            State::Queued | State::Running | State::Done => return Err(PageCorrupt),
        }
        Ok(Some(Step::Skipped))
    }

    /// Takes the call back. False if the worker has begun it, or if this process cannot know that it has not: a worker without a
    /// page begins what it reads.
    pub(crate) fn revoke(&mut self, ticket: Ticket) -> Result<bool, PageCorrupt> {
        self.progress(ticket)?;
        if !self.page.is_shared() {
            return Ok(false);
        }
        let is_revoked = revoke(self.page.state(ticket), ticket)?;
        if is_revoked {
            self.records[ticket.slot()].1 = Record::Revoked;
        }
        Ok(is_revoked)
    }

    /// The worker has answered: which call that was, and how long it ran.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Result<(CallId, Duration), PageCorrupt> {
        let Record::Given(call, _) = self.record(ticket)? else { return Err(PageCorrupt) };
        let ran = self.page.run_time(ticket).load(Ordering::Relaxed);
        answered(self.page.state(ticket), ticket)?;
        self.free(ticket);
        Ok((call, Duration::from_nanos(ran)))
    }

    /// Records that a worker without a page has begun the call, as it says on the stream.
    pub(crate) fn record_begun(&mut self, ticket: Ticket) -> Result<(), PageCorrupt> {
        if self.page.is_shared() || !matches!(self.record(ticket)?, Record::Given(..)) {
            return Err(PageCorrupt);
        }
        let claim = self.page.claim(ticket)?;
        debug_assert_eq!(claim, Claim::Run, "nothing is revoked there");
        Ok(())
    }

    /// Records that a worker without a page has returned from the call, which ran for `ran`.
    pub(crate) fn record_returned(
        &mut self,
        ticket: Ticket,
        ran: Duration,
    ) -> Result<(), PageCorrupt> {
        if self.page.is_shared() || self.record(ticket)? == Record::Free {
            return Err(PageCorrupt);
        }
        if self.progress(ticket)? != Progress::Running {
            return Err(PageCorrupt);
        }
        self.page.done(ticket, ran);
        Ok(())
    }

    fn record(&self, ticket: Ticket) -> Result<Record, PageCorrupt> {
        let (current, record) = self.records[ticket.slot()];
        if current == ticket { Ok(record) } else { Err(PageCorrupt) }
    }

    fn free(&mut self, ticket: Ticket) {
        self.records[ticket.slot()].1 = Record::Free;
        self.taken &= !(1 << ticket.slot());
    }

    /// How far a call is that lies with the worker.
    pub(crate) fn progress(&mut self, ticket: Ticket) -> Result<Progress, PageCorrupt> {
        let Record::Given(_, has_begun) = &mut self.records[ticket.slot()].1 else {
            return Err(PageCorrupt);
        };
        let progress = match look(self.page.state(ticket), ticket)? {
            State::Queued if *has_begun => return Err(PageCorrupt),
            State::Queued => Progress::Waiting,
            State::Running => Progress::Running,
            State::Done => Progress::Finished,
            State::Free | State::Revoked => return Err(PageCorrupt),
        };
        *has_begun = progress != Progress::Waiting;
        Ok(progress)
    }

    /// Of a worker that is gone: which calls it had begun. If the page is not to be believed, all.
    pub(crate) fn begun(&mut self) -> Result<Vec<CallId>, Vec<CallId>> {
        let mut begun = Vec::new();
        let mut running = 0;
        let given: Vec<_> = self.given().collect();
        for (ticket, call) in given {
            let Ok((progress, has_begun)) = self.has_begun(ticket) else {
                return Err(self.calls().collect());
            };
            running += usize::from(progress == Progress::Running);
            begun.extend(has_begun.then_some(call));
        }
        // A worker runs one call at a time.
        if running > 1 || !self.agrees() { Err(self.calls().collect()) } else { Ok(begun) }
    }

    /// How far a call is, and whether it has begun. A chunk has not before the first of its calls has.
    fn has_begun(&mut self, ticket: Ticket) -> Result<(Progress, bool), PageCorrupt> {
        let progress = self.progress(ticket)?;
        let is_claimed = progress != Progress::Waiting;
        let has_begun =
            if self.is_chunk(ticket) { self.items(ticket)?.begun > 0 } else { is_claimed };
        let is_possible = has_begun == is_claimed || progress == Progress::Running;
        if is_possible { Ok((progress, has_begun)) } else { Err(PageCorrupt) }
    }

    /// Whether the slots without a call are as they were left.
    fn agrees(&self) -> bool {
        self.records.iter().all(|(ticket, record)| {
            let state = look(self.page.state(*ticket), *ticket);
            match record {
                Record::Given(..) => true,
                Record::Free => state == Ok(State::Free),
                Record::Revoked => matches!(state, Ok(State::Free | State::Revoked)),
            }
        })
    }
}
