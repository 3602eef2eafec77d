//! The lane: calls and answers pass through the page, without a system call while neither side sleeps.
//!
//! ```text
//!  the pool dispatches a call                 the worker                                     the pool's reader
//!  ──────────────────────────                 ──────────                                     ─────────────────
//!  1. takes a slot, writes the frame          3. finds the ticket at its next sequence       6. looks at its oldest call:
//!  2. makes the slot Queued, publishes   ──▶  4. reads the frame, claims the slot, runs  ──▶    Done, or Free when it was
//!     the ticket in the sequence, and         5. writes the answer, makes the slot Done,        revoked
//!     wakes the worker if it sleeps              and wakes the reader if that sleeps         7. reads the frame, and makes
//!                                                and wants this answer                          the slot Free
//! ```
//!
//! * Each side keeps its own position ([`pool_side`], [`worker_side`]). It never takes a position from the page. The sequence has as
//!   many places as there are slots, and a call that the worker has not come to has a slot, so the sequence is never full.
//! * A worker takes its calls in the order of dispatch, so answers come in that order.
//! * A call or answer goes over the stream if it has descriptors, or is longer than
//!   [`limits::SLOT_FRAME_BYTES`](crate::limits::SLOT_FRAME_BYTES). It still uses a slot, and the head of the slot says so.
//! * An *order* is a message to the worker that is no call. It goes over the stream, and the pool raises the count of orders in the
//!   page. The worker looks at the stream when the head of a slot or that count says so; the pool thread listens to all streams.
//! * The [sleep words](super::words::sleep) decide which side wakes the other. [`adaptive_spin`] decides whether a reader looks for
//!   a moment before it sleeps.
//! * The answers of a dead worker stay in the page. The pool takes them out before it counts any call as lost.
//!
//! Where the system allows no page ([`probe`](super::probe)), there is no lane, and everything goes over the stream.
//!
//! Tested in `tests.rs`, and by the whole suite.

pub(crate) mod adaptive_spin;
pub(crate) mod pool_side;
#[cfg(test)]
mod tests;
pub(crate) mod worker_side;
