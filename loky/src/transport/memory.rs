//! A worker's end for tests without processes: the frames to receive are a list, and so are the frames that it sends.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::page::Page;
use super::slots::Claim;
use super::worker_end::WorkerEnd;
use crate::codec::{Attachments, EncodedValue};
use crate::id::Ticket;
use crate::limits;
use crate::sys::socket::Batch;
use crate::wire::frame::{CutOff, Decoder, Frame};
use crate::wire::message;

/// A worker's end to which all frames were sent beforehand.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    incoming: VecDeque<Frame>,
    outgoing: Decoder,
    page: Option<Page>,
    opened: Option<Page>,
    /// The answers of a batch so far.
    kept: Vec<u8>,
}

impl Memory {
    /// Returns an end on which these frames have arrived.
    pub(crate) fn told(frames: &[Vec<u8>], page: Page) -> Self {
        let mut decoder = Decoder::default();
        for frame in frames {
            decoder.feed(frame).expect("the test wrote whole frames");
        }
        let incoming = std::iter::from_fn(|| decoder.next_frame()).collect();
        Self { incoming, page: Some(page), ..Self::default() }
    }

    /// Adds attachments to the frame of this number.
    pub(crate) fn attach(&mut self, number: usize, attachments: Result<Attachments, CutOff>) {
        self.incoming[number].attachments = attachments;
    }

    /// Returns the frames that the worker has sent.
    pub(crate) fn said(mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.outgoing.next_frame()).collect()
    }
}

impl WorkerEnd for Memory {
    fn receive(&mut self, frame: &mut Frame) -> io::Result<bool> {
        let next = self.incoming.pop_front();
        let has_next = next.is_some();
        *frame = next.unwrap_or_default();
        Ok(has_next)
    }

    fn open_page(&mut self, _uses_lane: bool) -> io::Result<()> {
        self.opened = Some(self.page.take().ok_or(io::ErrorKind::NotFound)?);
        Ok(())
    }

    fn claim(&mut self, ticket: Ticket) -> io::Result<Claim> {
        let page = self.opened.as_ref().ok_or(io::ErrorKind::InvalidData)?;
        page.claim(ticket).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn answer(&mut self, ticket: Ticket, ran: Duration, frame: &EncodedValue) -> io::Result<()> {
        if let Some(page) = &self.opened {
            page.done(ticket, ran);
        }
        self.send_with(frame)
    }

    fn begin_item(&mut self, ticket: Ticket) -> io::Result<bool> {
        let page = self.opened.as_ref().ok_or(io::ErrorKind::InvalidData)?;
        page.begin_item(ticket).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn keep_answers(&mut self, _ticket: Ticket, answers: &[u8], _kept: usize) -> bool {
        self.kept = answers.to_vec();
        answers.len() <= limits::SLOT_FRAME_BYTES
    }

    fn answer_chunk(&mut self, ticket: Ticket, ran: Duration, length: usize) -> io::Result<()> {
        let answers = self.kept.get(..length).ok_or(io::ErrorKind::InvalidData)?;
        let frame = message::results(ticket, answers);
        self.answer(ticket, ran, &frame.into())
    }

    fn answer_rest(
        &mut self,
        ticket: Ticket,
        ran: Duration,
        last: &EncodedValue,
    ) -> io::Result<()> {
        self.answer(ticket, ran, last)
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.outgoing
            .feed(frame)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))
    }

    fn send_with(&mut self, frame: &EncodedValue) -> io::Result<()> {
        let attachments = frame.attachments.as_slice().iter();
        let fds = attachments.map(|attachment| attachment.fd().try_clone_to_owned());
        let batch = Batch { fds: fds.collect::<Result<_, _>>()?, is_cut_off: false };
        self.outgoing
            .feed_with(batch, &frame.bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))
    }
}
