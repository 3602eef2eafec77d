//! The calls of a chunk, one by one: how far the worker has come in it, and where it ends.
//!
//! A chunk has one slot, as a single call has, and goes through the same states. What is in it is claimed item by item, in
//! a word of its own in the slot:
//!
//! ```text
//!   63            24 23     12 11      0
//!  │ sequence       │ limit    │ begun    │      begun ≤ limit; the items with numbers below `begun` have begun
//! ```
//!
//! | change            | who    | how              | when                                                             |
//! |-------------------|--------|------------------|------------------------------------------------------------------|
//! | (0, n)            | pool   | store            | before the slot is Queued                                        |
//! | begun + 1         | worker | compare-and-swap | it is about to run that item; the answer of the one before is written |
//! | limit := begun    | both   | compare-and-swap | the items behind are to run elsewhere: because this one takes long (pool), or its answer is not one for a letter (worker) |
//!
//! **Why it is right.** Both sides change the word by compare-and-swap from what they have read, so an item either has begun or
//! lies behind the limit, never both: one that was cut off does not run here, one that has begun is not cut off. The limit
//! only falls and `begun` only grows. The worker writes the answer of an item before it claims the next, so whoever reads
//! `begun` = b finds the answers of the first b - 1 items whole; that of the last one is there when the slot is `Done`. So when
//! a worker dies, all answers but that of the item which ran are had, that item has failed, and what lies behind it has not begun.
//!
//! The word is believed as little as the slot's own: one of another sequence, with more begun than there are, or with a limit
//! beyond what the pool has given is a [`PageCorrupt`].

use super::{PageCorrupt, Word};
use crate::id::Ticket;
use crate::limits::CHUNK_CALLS;

const BITS: u32 = 12;
const MASK: u64 = (1 << BITS) - 1;

const _: () = assert!(CHUNK_CALLS as u64 <= MASK, "a number for each");

/// How far a worker is in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Items {
    /// How many it has begun.
    pub(crate) begun: u32,
    /// How many it may begin.
    pub(crate) limit: u32,
}

fn pack(ticket: Ticket, Items { begun, limit }: Items) -> u64 {
    ticket.sequence() << (2 * BITS) | u64::from(limit) << BITS | u64::from(begun)
}

fn unpack(value: u64, ticket: Ticket) -> Result<Items, PageCorrupt> {
    let number = |bits: u64| u32::try_from(bits & MASK).expect("so many bits");
    let items = Items { begun: number(value), limit: number(value >> BITS) };
    let is_whole = items.begun <= items.limit && pack(ticket, items) == value;
    if is_whole { Ok(items) } else { Err(PageCorrupt) }
}

/// The pool is about to give the worker so many items.
pub(super) fn set(word: &impl Word, ticket: Ticket, count: u32) {
    word.store(pack(ticket, Items { begun: 0, limit: count }));
}

/// How far it is.
pub(super) fn look(word: &impl Word, ticket: Ticket) -> Result<Items, PageCorrupt> {
    unpack(word.load(), ticket)
}

/// Changes the word as `change` says, if it says anything. What was there comes back.
fn update(
    word: &impl Word,
    ticket: Ticket,
    change: impl Fn(Items) -> Option<Items>,
) -> Result<Items, PageCorrupt> {
    let mut value = word.load();
    loop {
        let items = unpack(value, ticket)?;
        let Some(changed) = change(items) else { return Ok(items) };
        let found = word.swap_if(value, pack(ticket, changed));
        if found == value {
            return Ok(items);
        }
        value = found;
    }
}

/// The worker is about to run the next item, if there is one.
pub(super) fn begin(word: &impl Word, ticket: Ticket) -> Result<bool, PageCorrupt> {
    let next = |items: Items| {
        let begun = items.begun + 1;
        (begun <= items.limit).then_some(Items { begun, ..items })
    };
    let before = update(word, ticket, next)?;
    Ok(before.begun < before.limit)
}

/// Cuts off what has not begun. One is left to a worker that is about to begin.
pub(super) fn cut(word: &impl Word, ticket: Ticket) -> Result<Items, PageCorrupt> {
    let limit = |items: Items| items.begun.max(1).min(items.limit);
    let before = update(word, ticket, |items| {
        (limit(items) < items.limit).then_some(Items { limit: limit(items), ..items })
    })?;
    Ok(Items { limit: limit(before), ..before })
}
