//! The lane: calls and their answers through memory that the pool shares with a worker, without a system call while nobody
//! sleeps.
//!
//! The slots ([`slots`](super::slots)) say who has a call; the lane adds what is in it, and in which order the calls come:
//!
//! ```text
//!  the pool gives a call                      the worker                                     the pool's reader
//!  ─────────────────────                      ──────────                                     ─────────────────
//!  takes a slot, writes the letter,           looks at the sequence at its next number:      looks at the slot that comes
//!  makes the slot Queued, puts the ticket     there is that ticket, or nothing yet;          next in the sequence: Done, or
//!  into the sequence; wakes the worker   ──▶  claims the slot, reads the letter, runs,  ──▶  Free after it was taken back;
//!  if it sleeps                               writes the answer, makes the slot Done;        reads the letter, frees the slot
//!                                             wakes the reader if it sleeps and wants it
//! ```
//!
//! * Each side counts for itself how far it is ([`pool_side`], [`worker_side`]); nothing that says where to read or to write is
//!   believed from the other side's memory. There are as many places in the sequence as slots, and what the worker has not come to
//!   has a slot each, so it is never full.
//! * A worker takes its calls in the order in which they were given, so their answers come in that order.
//! * What is too long for a letter ([`limits::LETTER_BYTES`](crate::limits::LETTER_BYTES)), or has descriptors beside it, goes over
//!   the stream: the slot is used all the same, and its letter says so. Everything that is no call or answer goes over the stream as well. The pool's thread
//!   listens to all streams; a worker looks there when a letter or a change of `ORDERS` says that there is something.
//! * Who sleeps and who wakes is the subject of [`sleep`]; whether a reader looks for a moment first, that of [`adaptive_spin`].
//! * When a worker dies, what it had answered still lies here, and is taken out before any of its calls counts as lost.
//!
//! Tested in `tests.rs`, with loom in `model.rs`, and by the whole suite, which runs on the stream alone as well
//! (`--cfg loky_force_stream`).

pub(crate) mod adaptive_spin;
#[cfg(test)]
mod model;
pub(crate) mod pool_side;
pub(crate) mod sleep;
#[cfg(test)]
mod tests;
pub(crate) mod worker_side;

/// What orders the two steps of each side; in the model this is loom's.
mod fence {
    pub(super) fn fence() {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}
