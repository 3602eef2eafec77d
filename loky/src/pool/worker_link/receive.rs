//! Receiving from a worker: its messages from the stream. Reading happens with no lock held; the pool thread takes the stream for
//! that, and puts it back.

use super::Link;
use crate::transport::stream::{Inbox, StreamState};
use crate::wire::message::FromWorker;

/// The messages that were read from a worker in one go.
#[derive(Debug, Default)]
pub(in crate::pool) struct Received {
    pub(in crate::pool) messages: Vec<FromWorker>,
    /// The reason why the last bytes are no message, if they are none.
    pub(in crate::pool) fault: Option<&'static str>,
    /// Whether the channel is at its end.
    pub(in crate::pool) is_closed: bool,
}

impl Received {
    /// Whether nothing was there.
    pub(in crate::pool) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.fault.is_none() && !self.is_closed
    }
}

/// Reads once, with no lock held.
pub(in crate::pool) fn receive(inbox: &mut Inbox, waits: bool) -> Received {
    let progress = inbox.receive(waits);
    let mut received =
        Received { is_closed: progress == Ok(StreamState::Closed), ..Received::default() };
    while let Some(frame) = inbox.next_frame() {
        match FromWorker::parse(frame) {
            Ok(message) => received.messages.push(message),
            Err(error) => {
                received.fault = Some(error.0);
                return received;
            }
        }
    }
    received.fault = progress.err().map(|error| error.0);
    received
}

impl Link {
    /// Whether the pool thread is to wait for the stream.
    pub(in crate::pool) fn is_stream_polled(&self) -> bool {
        self.uses_lane || self.readership.is_background()
    }

    /// The stream, for the pool thread, if it is its turn.
    pub(in crate::pool) fn take_stream(&mut self) -> Option<Inbox> {
        if self.uses_lane {
            self.stream.take()
        } else {
            self.readership.take_as_background()?.into()
        }
    }

    /// The stream of a dead worker, for the pool thread. If another thread has it, the pool thread is woken when it is back.
    pub(in crate::pool) fn take_stream_for_good(&mut self) -> Option<Inbox> {
        if self.uses_lane { self.stream.take() } else { self.readership.take_for_good()?.into() }
    }

    /// The pool thread has read the stream beside the lane.
    pub(in crate::pool) fn put_stream_back(&mut self, inbox: Inbox) {
        self.stream = Some(inbox);
    }
}
