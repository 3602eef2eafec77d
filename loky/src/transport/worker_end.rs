//! The worker's end of a channel, as the call loop sees it.

use std::io;
use std::time::Duration;

use super::slots::Claim;
use crate::codec::EncodedValue;
use crate::id::Ticket;
use crate::wire::frame::Frame;

/// The worker's end of a channel.
pub(crate) trait WorkerEnd {
    /// Waits for the next frame, and puts it into `frame`. Returns false when the pool has closed the channel.
    fn receive(&mut self, frame: &mut Frame) -> io::Result<bool>;

    /// Says how calls come from now on. With `uses_lane` they come through the page that came with the first frame, which is
    /// mapped here. Called once.
    fn open_page(&mut self, uses_lane: bool) -> io::Result<()>;

    /// Claims the call that was received last.
    fn claim(&mut self, ticket: Ticket) -> io::Result<Claim>;

    /// Sends the answer of a claimed call, which ran for the time `ran`: one whole frame with its attachments.
    fn answer(&mut self, ticket: Ticket, ran: Duration, frame: &EncodedValue) -> io::Result<()>;

    /// Claims the next call of the claimed batch. Returns false if there is none.
    fn begin_item(&mut self, ticket: Ticket) -> io::Result<bool>;

    /// Leaves the answers of a batch so far where the pool finds them if this process dies. The first `kept` bytes are there
    /// already. Returns false if they are too long.
    fn keep_answers(&mut self, ticket: Ticket, answers: &[u8], kept: usize) -> bool;

    /// Answers a batch, which ran for the time `ran`. All answers were kept, `length` bytes.
    fn answer_chunk(&mut self, ticket: Ticket, ran: Duration, length: usize) -> io::Result<()>;

    /// Answers a batch that ends with the call that has just run. Its answer, the whole frame `last`, was not kept. The calls
    /// behind it have not begun, and will not begin here.
    fn answer_rest(&mut self, ticket: Ticket, ran: Duration, last: &EncodedValue)
    -> io::Result<()>;

    /// Sends one whole frame that is no answer of a call.
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;

    /// Sends one whole frame that is no answer of a call, with its attachments.
    fn send_with(&mut self, frame: &EncodedValue) -> io::Result<()>;
}
