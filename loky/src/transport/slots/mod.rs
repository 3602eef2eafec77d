//! The slots of one worker: which side has a call, decided without a system call.
//!
//! Each dispatched call has a slot in the worker's [`page`](super::page), from before it is written there until its answer has
//! been read. The [slot word](super::words::slot) decides which side has it; a batch has one slot, and a
//! [batch word](super::words::batch) for the calls in it. This file has the worker's steps, on its mapping of the page. The
//! pool's steps are in its [`SlotTable`](table::SlotTable), which keeps the pool's own record beside the words.
//!
//! **What a death leaves behind.** The words say of each call of a dead worker whether it had begun. A task can write to them, so
//! the pool trusts them only as far as they agree with its record. A page that does not agree is a [`PageCorrupt`], and then all
//! calls of the worker count as begun. A word is a number and nothing else: no value can harm the pool, or the calls of another
//! worker. One forgery cannot be seen: a task that sets its own slot word back to Queued before the pool has looked at it, and
//! then kills its worker, runs again.
//!
//! **Without a shared page.** A worker that has the stream alone says `Begun` there before it runs a call, and `Returned` before it
//! answers. The pool takes the worker's steps on a private page when it reads these messages. A death is judged as exactly: all
//! that the worker has sent is read first. But the pool cannot know what the worker is about to begin, so nothing is revoked
//! there, and the scheduler dispatches a call only to a worker that has none.
//!
//! Tested in `tests.rs`, where loom checks the slot word and the batch word.

pub(crate) mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::page::Page;
use super::words::batch;
use super::words::slot::{self, SlotState};
use crate::id::Ticket;

pub(crate) use super::words::PageCorrupt;
pub(crate) use super::words::batch::Items;
pub(crate) use super::words::slot::Claim;

impl Page {
    /// Claims a call that the worker has read.
    pub(crate) fn claim(&self, ticket: Ticket) -> Result<Claim, PageCorrupt> {
        slot::claim(self.state(ticket), ticket)
    }

    /// Checks that the slot has a call that the worker has not claimed.
    pub(crate) fn check_given(&self, ticket: Ticket) -> Result<(), PageCorrupt> {
        match slot::look(self.state(ticket), ticket)? {
            SlotState::Queued | SlotState::Revoked => Ok(()),
            SlotState::Free | SlotState::Running | SlotState::Done => Err(PageCorrupt),
        }
    }

    /// Notes that the worker has run the call, for the time `ran`.
    pub(crate) fn done(&self, ticket: Ticket, ran: Duration) {
        let nanos = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
        self.run_time(ticket).store(nanos, Ordering::Relaxed);
        slot::done(self.state(ticket), ticket);
    }

    /// Claims the next call of a batch. Returns false if there is none.
    pub(crate) fn begin_item(&self, ticket: Ticket) -> Result<bool, PageCorrupt> {
        batch::begin(self.batch(ticket), ticket)
    }

    /// Gives up the calls of a batch that have not begun.
    pub(crate) fn leave_items(&self, ticket: Ticket) -> Result<(), PageCorrupt> {
        batch::cut(self.batch(ticket), ticket).map(|_| ())
    }

    /// Returns whether the worker is through with this call: it has answered it, or skipped it after it was revoked.
    ///
    /// A corrupt word counts as well, since the pool must look at it.
    pub(crate) fn is_settled(&self, ticket: Ticket) -> bool {
        !matches!(
            slot::look(self.state(ticket), ticket),
            Ok(SlotState::Queued | SlotState::Running | SlotState::Revoked)
        )
    }
}
