//! The slot word: which side has the call in a slot.
//!
//! ```text
//!   63                      3 2     0
//!  │ sequence                │ state │     sequence: the call is the `sequence`-th of its worker
//! ```
//!
//! ```text
//!                    the worker claims              it has run
//!   Free ──▶ Queued ──────────────────▶ Running ────────────────▶ Done ──▶ Free
//!                 │
//!                 └── the pool revokes ──▶ Revoked ──▶ Free
//! ```
//!
//! | step                 | side   | access           | when |
//! |----------------------|--------|------------------|------|
//! | 1. Free → Queued     | pool   | store            | the call is in the slot |
//! | 2. Queued → Running  | worker | compare-and-swap | the worker has read the call, and is about to run it |
//! | 3. Queued → Revoked  | pool   | compare-and-swap | the call is cancelled, or is to run elsewhere |
//! | 4. Running → Done    | worker | store            | the task has returned, and its answer is in the slot or comes over the stream |
//! | 5. Done → Free       | pool   | store            | the pool has read the answer |
//! | 6. Revoked → Free    | worker | store            | the worker has read the revoked call |
//!
//! **A call runs in one place.** Steps 2 and 3 are compare-and-swaps from one value, so exactly one of them succeeds. A
//! call that was revoked never runs here. A call that runs was not revoked. Every other state has one side that may leave it.
//!
//! **An old call is never taken for a new one.** Slot and sequence together are the [`Ticket`] of a call. A word carries the
//! sequence, so a word of one call means nothing for another call.
//!
//! **A slot is not used again too early.** After step 3 the worker still comes to the call, and finds the slot. Only the worker
//! takes step 6, so the pool cannot put another call there before. The pool learns of the end of a call from the word (Done, or
//! Free after Revoked). It never waits for a word to change.

use super::{PageCorrupt, Word};
use crate::id::Ticket;
use crate::limits::SLOTS;

/// What a slot word says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Free,
    Queued,
    Running,
    Done,
    Revoked,
}

/// Whether the worker may run a call that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Run,
    /// The pool has revoked the call.
    Skip,
}

const STATE_BITS: u32 = 3;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();

/// Sequences begin again after this many calls. No call is left from that long ago.
const SEQUENCES: u64 = 1 << (64 - SLOT_BITS - STATE_BITS);

impl Ticket {
    /// The number of sequences. They begin again after the last.
    pub(crate) const NUMBERS: u64 = SEQUENCES;

    /// Returns the slot. A number that came from elsewhere is cut to a slot that exists.
    pub(crate) fn slot(self) -> usize {
        usize::try_from(self.0 % SLOTS as u64).expect("less than the slots")
    }

    /// Returns the sequence: the number of the call among those of its worker, modulo [`NUMBERS`](Self::NUMBERS).
    pub(crate) fn sequence(self) -> u64 {
        (self.0 >> SLOT_BITS) % SEQUENCES
    }

    pub(crate) fn new(slot: usize, sequence: u64) -> Self {
        Self(slot as u64 | (sequence % SEQUENCES) << SLOT_BITS)
    }
}

fn pack(ticket: Ticket, state: SlotState) -> u64 {
    ticket.sequence() << STATE_BITS | state as u64
}

/// Returns the state of the call with this ticket.
pub(crate) fn look(word: &impl Word, ticket: Ticket) -> Result<SlotState, PageCorrupt> {
    use SlotState::{Done, Free, Queued, Revoked, Running};
    let value = word.load();
    let states = [Free, Queued, Running, Done, Revoked];
    states.into_iter().find(|state| pack(ticket, *state) == value).ok_or(PageCorrupt)
}

/// Step 1: the pool dispatches a call.
pub(crate) fn queue(word: &impl Word, ticket: Ticket) {
    word.store(pack(ticket, SlotState::Queued));
}

/// Step 3: the pool revokes a call. Returns false if the worker has begun it.
pub(crate) fn revoke(word: &impl Word, ticket: Ticket) -> Result<bool, PageCorrupt> {
    let (queued, revoked) = (pack(ticket, SlotState::Queued), pack(ticket, SlotState::Revoked));
    if word.swap_if(queued, revoked) == queued {
        return Ok(true);
    }
    match look(word, ticket)? {
        SlotState::Running | SlotState::Done => Ok(false),
        SlotState::Free | SlotState::Queued | SlotState::Revoked => Err(PageCorrupt),
    }
}

/// Step 5: the pool has read the answer.
pub(crate) fn answered(word: &impl Word, ticket: Ticket) -> Result<(), PageCorrupt> {
    if look(word, ticket)? != SlotState::Done {
        return Err(PageCorrupt);
    }
    word.store(pack(ticket, SlotState::Free));
    Ok(())
}

/// Step 2, or step 6 if the call was revoked: the worker has read the call.
pub(crate) fn claim(word: &impl Word, ticket: Ticket) -> Result<Claim, PageCorrupt> {
    let (queued, running) = (pack(ticket, SlotState::Queued), pack(ticket, SlotState::Running));
    let found = word.swap_if(queued, running);
    if found == queued {
        return Ok(Claim::Run);
    }
    if found == pack(ticket, SlotState::Revoked) {
        word.store(pack(ticket, SlotState::Free));
        return Ok(Claim::Skip);
    }
    Err(PageCorrupt)
}

/// Step 4: the worker has run the call.
pub(crate) fn done(word: &impl Word, ticket: Ticket) {
    word.store(pack(ticket, SlotState::Done));
}
