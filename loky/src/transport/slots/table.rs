//! The pool's own record of one worker's slots, with which the page must agree.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::id::{CallId, Ticket};
use crate::limits::SLOTS;
use crate::transport::page::Page;
use crate::transport::words::PageCorrupt;
use crate::transport::words::batch::{self, Items};
use crate::transport::words::slot::{self, Claim, SlotState};

/// The pool's record of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Free,
    /// The call was dispatched. `true` if the pool has seen that it has begun, which cannot change any more.
    Given(CallId, bool),
    /// The call was revoked. The worker has not come to it.
    Revoked,
}

/// The calls of a batch that the worker is to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ChunkBounds {
    /// The number of calls that the pool has seen to have begun. It can only grow.
    begun: u32,
    /// The limit of the batch word. 0: the slot has a single call.
    limit: u32,
}

/// How far a dispatched call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Waiting,
    Running,
    /// The task has returned. The answer is under way.
    Finished,
}

/// What the worker has done with its oldest call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The task has returned. The answer is in the slot, or comes over the stream.
    Answered(Ticket),
    /// The call was revoked, and the worker has skipped it.
    Skipped,
}

/// The slots of one worker.
#[derive(Debug)]
pub(crate) struct SlotTable {
    page: Arc<Page>,
    records: [(Ticket, Record); SLOTS],
    /// For each slot the batch in it.
    chunks: [ChunkBounds; SLOTS],
    /// One bit for each slot that is not free.
    taken: u64,
    /// The number of calls that were dispatched.
    sequence: u64,
    /// The tickets of the last calls, from the oldest on that may not be over. A call that is answered over the stream can be over
    /// before an older one, so there can be more tickets than slots.
    order: VecDeque<Ticket>,
}

const _: () = assert!(SLOTS == u64::BITS as usize, "one bit for each slot");

impl SlotTable {
    pub(crate) fn new(page: Arc<Page>) -> Self {
        let record = |slot| (Ticket::new(slot, 0), Record::Free);
        let records = std::array::from_fn(record);
        let (chunks, order) = ([ChunkBounds::default(); SLOTS], VecDeque::with_capacity(SLOTS));
        Self { page, records, chunks, taken: 0, sequence: 0, order }
    }

    /// Returns whether the worker has answered all its calls.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Returns the number of calls that the worker has not answered. Revoked calls count until the worker skips them.
    pub(crate) fn count(&self) -> u32 {
        self.taken.count_ones()
    }

    /// Returns the dispatched calls.
    pub(crate) fn calls(&self) -> impl Iterator<Item = CallId> {
        self.given().map(|(_, call)| call)
    }

    fn given(&self) -> impl Iterator<Item = (Ticket, CallId)> {
        self.records.iter().filter_map(|(ticket, record)| match record {
            Record::Given(call, _) => Some((*ticket, *call)),
            Record::Free | Record::Revoked => None,
        })
    }

    /// Takes a free slot for a call. There must be one. The frame can be written behind this.
    pub(crate) fn take(&mut self, call: CallId) -> Result<Ticket, PageCorrupt> {
        let slot = self.taken.trailing_ones() as usize;
        let (last, record) = &mut self.records[slot];
        let ticket = Ticket::new(slot, self.sequence + 1);
        if slot::look(self.page.state(*last), *last)? != SlotState::Free {
            return Err(PageCorrupt);
        }
        self.sequence += 1;
        (*last, *record) = (ticket, Record::Given(call, false));
        self.chunks[slot] = ChunkBounds::default();
        self.taken |= 1 << slot;
        self.oldest(); // On a stream nothing else drops the tickets of calls that are over.
        self.order.push_back(ticket);
        Ok(ticket)
    }

    /// Dispatches the call that took a slot last.
    pub(crate) fn publish(&self, ticket: Ticket) {
        slot::queue(self.page.state(ticket), ticket);
        self.page.sequence(self.sequence).store(ticket.0, Ordering::Release);
    }

    /// Makes the slot that was taken last one of a batch of `count` calls.
    pub(crate) fn set_items(&mut self, ticket: Ticket, count: u32) {
        self.chunks[ticket.slot()] = ChunkBounds { limit: count, begun: 0 };
        batch::set(self.page.batch(ticket), ticket, count);
    }

    /// Returns whether the slot has a batch.
    pub(crate) fn is_chunk(&self, ticket: Ticket) -> bool {
        self.chunks[ticket.slot()].limit > 0
    }

    /// Returns how far the worker is in a batch.
    pub(crate) fn items(&mut self, ticket: Ticket) -> Result<Items, PageCorrupt> {
        let items = batch::look(self.page.batch(ticket), ticket)?;
        let known = &mut self.chunks[ticket.slot()];
        if items.limit > known.limit || items.begun < known.begun {
            return Err(PageCorrupt);
        }
        known.begun = items.begun;
        Ok(items)
    }

    /// Cuts off the calls of a batch that have not begun. A worker that has begun none keeps the first. Returns how far it is.
    pub(crate) fn cut(&mut self, ticket: Ticket) -> Result<Items, PageCorrupt> {
        self.items(ticket)?;
        batch::cut(self.page.batch(ticket), ticket)?;
        let items = self.items(ticket)?;
        if items.limit != items.begun.max(1) {
            return Err(PageCorrupt);
        }
        self.chunks[ticket.slot()].limit = items.limit;
        Ok(items)
    }

    /// Writes the tickets of all calls once more. A task may have written there.
    pub(crate) fn publish_order(&self) {
        // The worker is past older ones.
        for ticket in self.order.iter().rev().take(SLOTS) {
            self.page.sequence(ticket.sequence()).store(ticket.0, Ordering::Release);
        }
    }

    /// Returns the worker's oldest call.
    pub(crate) fn oldest(&mut self) -> Option<Ticket> {
        while let Some(ticket) = self.order.front().copied() {
            if self.record(ticket).is_ok_and(|record| record != Record::Free) {
                return Some(ticket);
            }
            self.order.pop_front();
        }
        None
    }

    /// Returns the ticket of the call that was dispatched `after` calls behind the [`oldest`](Self::oldest), or of the last call.
    pub(crate) fn nth(&self, after: u64) -> Option<Ticket> {
        let last = self.order.len().checked_sub(1)?;
        self.order.get(usize::try_from(after).map_or(last, |after| after.min(last))).copied()
    }

    /// Returns the number of tickets that are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.order.len()
    }

    /// Returns what the worker has done with its oldest call, if anything. The slot of a skipped call is free behind this.
    pub(crate) fn step(&mut self) -> Result<Option<Step>, PageCorrupt> {
        let Some(ticket) = self.oldest() else { return Ok(None) };
        if self.record(ticket)? != Record::Revoked {
            let is_answered = self.progress(ticket)? == Progress::Finished;
            return Ok(is_answered.then_some(Step::Answered(ticket)));
        }
        match slot::look(self.page.state(ticket), ticket)? {
            SlotState::Free => self.free(ticket),
            SlotState::Revoked => return Ok(None),
            SlotState::Queued | SlotState::Running | SlotState::Done => return Err(PageCorrupt),
        }
        Ok(Some(Step::Skipped))
    }

    /// Revokes a call. Returns false if the worker has begun it, or if the page is private: the worker may begin it at any time then.
    pub(crate) fn revoke(&mut self, ticket: Ticket) -> Result<bool, PageCorrupt> {
        self.progress(ticket)?;
        if !self.page.is_shared() {
            return Ok(false);
        }
        let is_revoked = slot::revoke(self.page.state(ticket), ticket)?;
        if is_revoked {
            self.records[ticket.slot()].1 = Record::Revoked;
        }
        Ok(is_revoked)
    }

    /// Frees the slot of a call whose answer was read. Returns the call, and how long it ran.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Result<(CallId, Duration), PageCorrupt> {
        let Record::Given(call, _) = self.record(ticket)? else { return Err(PageCorrupt) };
        let ran = self.page.run_time(ticket).load(Ordering::Relaxed);
        slot::answered(self.page.state(ticket), ticket)?;
        self.free(ticket);
        Ok((call, Duration::from_nanos(ran)))
    }

    /// Takes the step of a worker without a page that has begun the call.
    pub(crate) fn record_begun(&mut self, ticket: Ticket) -> Result<(), PageCorrupt> {
        if self.page.is_shared() || !matches!(self.record(ticket)?, Record::Given(..)) {
            return Err(PageCorrupt);
        }
        let claim = self.page.claim(ticket)?;
        debug_assert_eq!(claim, Claim::Run, "nothing is revoked on a private page");
        Ok(())
    }

    /// Takes the step of a worker without a page whose task has returned after the time `ran`.
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

    /// Returns how far a dispatched call is.
    pub(crate) fn progress(&mut self, ticket: Ticket) -> Result<Progress, PageCorrupt> {
        let Record::Given(_, has_begun) = &mut self.records[ticket.slot()].1 else {
            return Err(PageCorrupt);
        };
        let progress = match slot::look(self.page.state(ticket), ticket)? {
            SlotState::Queued if *has_begun => return Err(PageCorrupt),
            SlotState::Queued => Progress::Waiting,
            SlotState::Running => Progress::Running,
            SlotState::Done => Progress::Finished,
            SlotState::Free | SlotState::Revoked => return Err(PageCorrupt),
        };
        *has_begun = progress != Progress::Waiting;
        Ok(progress)
    }

    /// Returns the calls that a dead worker had begun.
    ///
    /// # Errors
    /// The page is corrupt: all its calls, which count as begun.
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

    /// Returns how far a call is, and whether it has begun. A batch has begun when its first call has.
    fn has_begun(&mut self, ticket: Ticket) -> Result<(Progress, bool), PageCorrupt> {
        let progress = self.progress(ticket)?;
        let is_claimed = progress != Progress::Waiting;
        let has_begun =
            if self.is_chunk(ticket) { self.items(ticket)?.begun > 0 } else { is_claimed };
        let is_possible = has_begun == is_claimed || progress == Progress::Running;
        if is_possible { Ok((progress, has_begun)) } else { Err(PageCorrupt) }
    }

    /// Returns whether the slots without a call are as they were left.
    fn agrees(&self) -> bool {
        self.records.iter().all(|(ticket, record)| {
            let state = slot::look(self.page.state(*ticket), *ticket);
            match record {
                Record::Given(..) => true,
                Record::Free => state == Ok(SlotState::Free),
                Record::Revoked => matches!(state, Ok(SlotState::Free | SlotState::Revoked)),
            }
        })
    }
}
