//! What the pool knows of the slots that it shares with one worker: its own record, with which the page must agree.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Contradiction, SlotPage, State, answered, look, queue, revoke};
use crate::id::{CallId, Ticket};
use crate::limits::SLOTS;

/// What is in a slot, as the pool has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Free,
    /// This call was given to the worker. Whether it has been seen to have begun: it cannot be as if it had not after that.
    Given(CallId, bool),
    /// The call was taken back; the worker has not come to its frame.
    Revoked,
}

/// How far a call is, as its worker's page has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Waiting,
    Running,
    /// The task has returned; the answer is under way.
    Finished,
}

/// The slots of one worker.
#[derive(Debug)]
pub(crate) struct SlotTable {
    page: SlotPage,
    records: [(Ticket, Record); SLOTS],
    /// A bit for each slot that is not free.
    taken: u64,
    /// How many calls the worker was given.
    sequence: u64,
}

const _: () = assert!(SLOTS == u64::BITS as usize, "a bit for each slot");

impl SlotTable {
    pub(crate) fn new(page: SlotPage) -> Self {
        let record = |slot| (Ticket::new(slot, 0), Record::Free);
        Self { page, records: std::array::from_fn(record), taken: 0, sequence: 0 }
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

    /// A slot for a call that is given to the worker. There must be a free one.
    pub(crate) fn take(&mut self, call: CallId) -> Result<Ticket, Contradiction> {
        let slot = self.taken.trailing_ones() as usize;
        let (last, record) = &mut self.records[slot];
        let ticket = Ticket::new(slot, self.sequence + 1);
        queue(self.page.word(*last), *last, ticket)?;
        self.sequence += 1;
        (*last, *record) = (ticket, Record::Given(call, false));
        self.taken |= 1 << slot;
        Ok(ticket)
    }

    /// Takes the call back. False if the worker has begun it.
    pub(crate) fn revoke(&mut self, ticket: Ticket) -> Result<bool, Contradiction> {
        self.progress(ticket)?;
        let is_revoked = revoke(self.page.word(ticket), ticket)?;
        if is_revoked {
            self.records[ticket.slot()].1 = Record::Revoked;
        }
        Ok(is_revoked)
    }

    /// The worker has answered: which call that was, and how long it ran.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Result<(CallId, Duration), Contradiction> {
        let Record::Given(call, _) = self.record(ticket)? else { return Err(Contradiction) };
        let ran = self.page.run_time(ticket).load(Ordering::Relaxed);
        answered(self.page.word(ticket), ticket)?;
        self.free(ticket);
        Ok((call, Duration::from_nanos(ran)))
    }

    /// The worker has come to the frame of a call that was taken back.
    pub(crate) fn skipped(&mut self, ticket: Ticket) -> Result<(), Contradiction> {
        let is_skipped = self.record(ticket)? == Record::Revoked
            && look(self.page.word(ticket), ticket)? == State::Free;
        if !is_skipped {
            return Err(Contradiction);
        }
        self.free(ticket);
        Ok(())
    }

    fn record(&self, ticket: Ticket) -> Result<Record, Contradiction> {
        let (current, record) = self.records[ticket.slot()];
        if current == ticket { Ok(record) } else { Err(Contradiction) }
    }

    fn free(&mut self, ticket: Ticket) {
        self.records[ticket.slot()].1 = Record::Free;
        self.taken &= !(1 << ticket.slot());
    }

    /// How far a call is that lies with the worker.
    pub(crate) fn progress(&mut self, ticket: Ticket) -> Result<Progress, Contradiction> {
        let Record::Given(_, has_begun) = &mut self.records[ticket.slot()].1 else {
            return Err(Contradiction);
        };
        let progress = match look(self.page.word(ticket), ticket)? {
            State::Queued if *has_begun => return Err(Contradiction),
            State::Queued => Progress::Waiting,
            State::Running => Progress::Running,
            State::Done => Progress::Finished,
            State::Free | State::Revoked => return Err(Contradiction),
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
            match self.progress(ticket) {
                Ok(Progress::Waiting) => {}
                Ok(progress) => {
                    begun.push(call);
                    running += usize::from(progress == Progress::Running);
                }
                Err(Contradiction) => return Err(self.calls().collect()),
            }
        }
        // A worker runs one call at a time.
        if running > 1 || !self.agrees() { Err(self.calls().collect()) } else { Ok(begun) }
    }

    /// Whether the slots without a call are as they were left.
    fn agrees(&self) -> bool {
        self.records.iter().all(|(ticket, record)| {
            let state = look(self.page.word(*ticket), *ticket);
            match record {
                Record::Given(..) => true,
                Record::Free => state == Ok(State::Free),
                Record::Revoked => matches!(state, Ok(State::Free | State::Revoked)),
            }
        })
    }
}
