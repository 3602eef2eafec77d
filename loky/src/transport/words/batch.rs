//! The batch word: how many calls of the batch in a slot the worker has begun, and how many it may begin.
//!
//! A batch has one slot, like a single call, and goes through the [slot states](super::slot). Its calls are claimed one by one in
//! a word of their own:
//!
//! ```text
//!   63            24 23     12 11      0
//!  │ sequence       │ limit    │ begun    │      begun ≤ limit; the calls with numbers below `begun` have begun
//! ```
//!
//! | step              | side   | access           | when |
//! |-------------------|--------|------------------|------|
//! | 1. (0, n)         | pool   | store            | before the slot is Queued |
//! | 2. begun + 1      | worker | compare-and-swap | the answer of the call before is written, and the worker is about to run this call |
//! | 3. limit := begun | both   | compare-and-swap | the calls behind are to run elsewhere |
//!
//! The pool takes step 3 because the running call takes long, or because a call behind it is cancelled. The worker takes it
//! because an answer does not fit into the page.
//!
//! **A call runs in one place.** Steps 2 and 3 are compare-and-swaps from the value that was read. So a call either has begun or
//! lies behind the limit, never both. The limit only falls and `begun` only grows.
//!
//! **No answer is lost.** The worker writes the answer of a call before it claims the next. A side that reads `begun` = b
//! therefore finds the answers of the first b - 1 calls. The last answer is there when the slot is Done. When the worker dies,
//! the call that ran has failed, all calls before it are answered, and no call behind it has begun.
//!
//! A word with another sequence, with more calls begun than the limit, or with a limit above the pool's own is a
//! [`PageCorrupt`].

use super::{PageCorrupt, Word};
use crate::id::Ticket;
use crate::limits::CHUNK_CALLS;

const BITS: u32 = 12;
const MASK: u64 = (1 << BITS) - 1;

const _: () = assert!(CHUNK_CALLS as u64 <= MASK, "a number for each call");

/// How far a worker is in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Items {
    /// The number of calls that have begun.
    pub(crate) begun: u32,
    /// The number of calls that may begin.
    pub(crate) limit: u32,
}

fn pack(ticket: Ticket, Items { begun, limit }: Items) -> u64 {
    ticket.sequence() << (2 * BITS) | u64::from(limit) << BITS | u64::from(begun)
}

fn unpack(value: u64, ticket: Ticket) -> Result<Items, PageCorrupt> {
    let number = |bits: u64| u32::try_from(bits & MASK).expect("cut to its bits");
    let items = Items { begun: number(value), limit: number(value >> BITS) };
    let is_whole = items.begun <= items.limit && pack(ticket, items) == value;
    if is_whole { Ok(items) } else { Err(PageCorrupt) }
}

/// Step 1: the pool is about to dispatch a batch of `count` calls.
pub(crate) fn set(word: &impl Word, ticket: Ticket, count: u32) {
    word.store(pack(ticket, Items { begun: 0, limit: count }));
}

/// Returns how far the worker is.
pub(crate) fn look(word: &impl Word, ticket: Ticket) -> Result<Items, PageCorrupt> {
    unpack(word.load(), ticket)
}

/// Replaces the counts by what `change` makes of them, unless that is `None`. Returns the counts before.
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

/// Step 2: the worker is about to run the next call. Returns false if there is none.
pub(crate) fn begin(word: &impl Word, ticket: Ticket) -> Result<bool, PageCorrupt> {
    let next = |items: Items| {
        let begun = items.begun + 1;
        (begun <= items.limit).then_some(Items { begun, ..items })
    };
    let before = update(word, ticket, next)?;
    Ok(before.begun < before.limit)
}

/// Step 3: cuts off the calls that have not begun. A worker that is about to begin the first call keeps it.
pub(crate) fn cut(word: &impl Word, ticket: Ticket) -> Result<Items, PageCorrupt> {
    let limit = |items: Items| items.begun.max(1).min(items.limit);
    let before = update(word, ticket, |items| {
        (limit(items) < items.limit).then_some(Items { limit: limit(items), ..items })
    })?;
    Ok(Items { limit: limit(before), ..before })
}
