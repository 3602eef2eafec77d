//! The slots that a pool shares with one worker: who has a call, decided without a system call.
//!
//! Each call that lies with a worker has a slot there, from before its frame is written until its answer has been read. The
//! slot's word holds the state and, above it, the *sequence*: the how-manieth call of this worker it is. Slot and sequence
//! together are the call's [`Ticket`], which its frame and its answer carry, so no leftover of one call is ever taken for
//! another, and no word of one slot can stand in another's.
//!
//! ```text
//!                    the worker claims              it has run
//!   Free ──▶ Queued ──────────────────▶ Running ────────────────▶ Done ──▶ Free
//!                 │
//!                 └── the pool revokes ──▶ Revoked ──▶ Free
//! ```
//!
//! | from → to         | who    | how              | when                                                            |
//! |-------------------|--------|------------------|-----------------------------------------------------------------|
//! | Free → Queued     | pool   | store            | before it writes the frame                                      |
//! | Queued → Running  | worker | compare-and-swap | it has read the frame, and is about to run the call             |
//! | Queued → Revoked  | pool   | compare-and-swap | the call is cancelled, or taken back to run elsewhere           |
//! | Running → Done    | worker | store            | the task has returned; before the answer is written             |
//! | Done → Free       | pool   | store            | it has read the answer                                          |
//! | Revoked → Free    | worker | store            | it has read the frame; then it says `Skipped`                   |
//!
//! **Why it is right.** Claim and revoke start from the same word and are compare-and-swaps, so exactly one of them succeeds:
//! a call that was taken back never runs, one that runs was not taken back. Every other change is made by the one side that
//! may leave the state. A revoked slot is freed by the worker alone, once it has read the frame that names it: were it used
//! again before that, the old frame would claim the new call (the sequence would betray it, but its worker would be at
//! fault without having done wrong). The pool uses a slot again only after it has heard of its end (an answer or `Skipped`),
//! so it never waits for a word to change, and no wake-up can be lost here: there are none.
//!
//! When a worker dies, its page says of each call whether it had begun. The page is memory that the tasks of the worker can
//! write to, so it is believed only while it agrees with what the pool itself has recorded; a page that does not is a
//! [`PageCorrupt`], and then all calls of that worker count as begun. The words are numbers and nothing else: whatever
//! stands in them cannot hurt the pool or another worker's calls. What cannot be told is a forgery that agrees with
//! everything that the pool has seen: a task that sets its own word back to Queued before the pool has looked at it once, and
//! then dies, runs again.
//!
//! Several calls may lie in one slot, as a *chunk*: what is said of a call here holds for the chunk, and what is in it is the
//! subject of [`items`].
//!
//! The protocol is written over [`Word`], so that `tests.rs` can model it with loom; the pool's own record is its
//! [`SlotTable`](table::SlotTable).

pub(crate) mod items;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::page::Page;
use crate::id::Ticket;
use crate::limits::SLOTS;

/// What a call's word says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Queued,
    Running,
    Done,
    Revoked,
}

/// A page that says what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageCorrupt;

/// Whether the worker may run a call that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Run,
    Skip,
}

/// A word that two processes (in the model: two threads) change.
pub(crate) trait Word {
    fn load(&self) -> u64;
    fn store(&self, value: u64);
    /// What the word was; it is `new` now if that was `current`.
    fn swap_if(&self, current: u64, new: u64) -> u64;
}

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        Self::load(self, Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        Self::store(self, value, Ordering::Release);
    }

    fn swap_if(&self, current: u64, new: u64) -> u64 {
        self.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            .unwrap_or_else(|found| found)
    }
}

const STATE_BITS: u32 = 3;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();

/// Sequences begin again after so many uses of a slot: no frame lies around that long.
const SEQUENCES: u64 = 1 << (64 - SLOT_BITS - STATE_BITS);

impl Ticket {
    /// From here on sequences begin again.
    pub(crate) const NUMBERS: u64 = SEQUENCES;

    /// Which slot it is about. (A number from elsewhere is cut to one that exists.)
    pub(crate) fn slot(self) -> usize {
        usize::try_from(self.0 % SLOTS as u64).expect("less than the slots")
    }

    /// The how-manieth call of its worker it is, modulo [`NUMBERS`](Self::NUMBERS).
    pub(crate) fn sequence(self) -> u64 {
        (self.0 >> SLOT_BITS) % SEQUENCES
    }

    fn new(slot: usize, sequence: u64) -> Self {
        Self(slot as u64 | (sequence % SEQUENCES) << SLOT_BITS)
    }
}

fn pack(ticket: Ticket, state: State) -> u64 {
    ticket.sequence() << STATE_BITS | state as u64
}

/// What `word` says of the call with this ticket.
fn look(word: &impl Word, ticket: Ticket) -> Result<State, PageCorrupt> {
    let value = word.load();
    let states = [State::Free, State::Queued, State::Running, State::Done, State::Revoked];
    states.into_iter().find(|state| pack(ticket, *state) == value).ok_or(PageCorrupt)
}

/// The pool gives a call to the worker, whose slot is free.
fn queue(word: &impl Word, ticket: Ticket) {
    word.store(pack(ticket, State::Queued));
}

/// The pool takes a call back. False if the worker has begun it.
fn revoke(word: &impl Word, ticket: Ticket) -> Result<bool, PageCorrupt> {
    let (queued, revoked) = (pack(ticket, State::Queued), pack(ticket, State::Revoked));
    if word.swap_if(queued, revoked) == queued {
        return Ok(true);
    }
    match look(word, ticket)? {
        State::Running | State::Done => Ok(false),
        State::Free | State::Queued | State::Revoked => Err(PageCorrupt),
    }
}

/// The pool has read the call's answer.
fn answered(word: &impl Word, ticket: Ticket) -> Result<(), PageCorrupt> {
    if look(word, ticket)? != State::Done {
        return Err(PageCorrupt);
    }
    word.store(pack(ticket, State::Free));
    Ok(())
}

/// The worker has read the call's frame.
fn claim(word: &impl Word, ticket: Ticket) -> Result<Claim, PageCorrupt> {
    let (queued, running) = (pack(ticket, State::Queued), pack(ticket, State::Running));
    let found = word.swap_if(queued, running);
    if found == queued {
        return Ok(Claim::Run);
    }
    if found == pack(ticket, State::Revoked) {
        word.store(pack(ticket, State::Free));
        return Ok(Claim::Skip);
    }
    Err(PageCorrupt)
}

/// The worker has run the call.
fn done(word: &impl Word, ticket: Ticket) {
    word.store(pack(ticket, State::Done));
}

impl Page {
    /// The worker has read the call's frame: whether it may run it.
    pub(crate) fn claim(&self, ticket: Ticket) -> Result<Claim, PageCorrupt> {
        claim(self.state(ticket), ticket)
    }

    /// The worker has come to a call: whether there is one.
    pub(crate) fn check_given(&self, ticket: Ticket) -> Result<(), PageCorrupt> {
        match look(self.state(ticket), ticket)? {
            State::Queued | State::Revoked => Ok(()),
            State::Free | State::Running | State::Done => Err(PageCorrupt),
        }
    }

    /// The worker has run the call, for so long.
    pub(crate) fn done(&self, ticket: Ticket, ran: Duration) {
        let nanos = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
        self.run_time(ticket).store(nanos, Ordering::Relaxed);
        done(self.state(ticket), ticket);
    }

    /// The worker is about to run the next call of a chunk: whether there is one.
    pub(crate) fn begin_item(&self, ticket: Ticket) -> Result<bool, PageCorrupt> {
        items::begin(self.items(ticket), ticket)
    }

    /// The worker will not come to the other calls of a chunk.
    pub(crate) fn leave_items(&self, ticket: Ticket) -> Result<(), PageCorrupt> {
        items::cut(self.items(ticket), ticket).map(|_| ())
    }

    /// Whether there is nothing more to come from the worker in this slot, for the call with this ticket. (A word that says what
    /// cannot be is a reason to look closer, too.)
    pub(crate) fn is_settled(&self, ticket: Ticket) -> bool {
        !matches!(
            look(self.state(ticket), ticket),
            Ok(State::Queued | State::Running | State::Revoked)
        )
    }
}
