//! The way that frames travel between a pool and one worker.
//!
//! Each worker has a channel of its own: one that dies, hangs or writes rubbish hurts nobody else. It is a [`stream`] socket,
//! and a [`page`] of memory that both sides have mapped. In the page lie the [`slots`], by which the two sides agree on who has a
//! call, and the [`lane`], through which short calls and answers go; the stream carries what is long, what has descriptors
//! ([`batches`]), and what is no call, and its end is the news of a death. The pool's end never blocks when it writes, and when it
//! reads only where it says so; the worker's end ([`WorkerEnd`], [`worker_end`]) has nothing else to do and does. What the frames
//! mean is not known here. Tested in `tests.rs`.

mod batches;
pub(crate) mod lane;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod page;
pub(crate) mod probe;
pub(crate) mod slots;
pub(crate) mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod worker_end;

use std::io;
use std::time::Duration;

use self::slots::Claim;
use crate::codec::EncodedValue;
use crate::id::Ticket;
use crate::wire::frame::Frame;

/// The worker's end of a channel.
pub(crate) trait WorkerEnd {
    /// Waits for the next frame, and puts it into `frame`. False when the pool has no more to say.
    fn receive(&mut self, frame: &mut Frame) -> io::Result<bool>;

    /// Maps the page that has come with the first frame; calls come through its lane if `uses_lane`. Asked once.
    fn open_page(&mut self, uses_lane: bool) -> io::Result<()>;

    /// Whether the call that was received last may run.
    fn claim(&mut self, ticket: Ticket) -> io::Result<Claim>;

    /// Sends the answer of a call that was claimed, and has run for so long: one whole frame, and what travels beside it.
    fn answer(&mut self, ticket: Ticket, ran: Duration, frame: &EncodedValue) -> io::Result<()>;

    /// Whether there is another call in the chunk that was claimed, which is about to run.
    fn begin_item(&mut self, ticket: Ticket) -> io::Result<bool>;

    /// Leaves the answers of a chunk so far where they are found if this process dies; so many bytes of them are there already.
    /// False if they are too long for that.
    fn keep_answers(&mut self, ticket: Ticket, answers: &[u8], kept: usize) -> bool;

    /// All calls of a chunk are answered that have begun. It has run for so long, and the answers that were kept are so long.
    fn answer_chunk(&mut self, ticket: Ticket, ran: Duration, length: usize) -> io::Result<()>;

    /// The same where the answer of the last call, one whole frame, was not kept. What lies behind that call has not begun and
    /// will not.
    fn answer_rest(&mut self, ticket: Ticket, ran: Duration, last: &EncodedValue)
    -> io::Result<()>;

    /// Sends one whole frame that is no answer of a call.
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;

    /// The same with what travels beside it.
    fn send_parcel(&mut self, frame: &EncodedValue) -> io::Result<()>;
}
