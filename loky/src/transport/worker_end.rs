//! The worker's end of its channel: the stream, and the lane once it is there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::WorkerEnd;
use super::lane::worker_side::{Next, WorkerLane};
use super::page::{Letter, Page};
use super::slots::{Claim, Contradiction};
use super::stream::WorkerStream;
use crate::codec::{Attachments, Parcel};
use crate::id::Ticket;
use crate::sys::socket::Socket;
use crate::wire::frame::{self, Frame};
use crate::wire::message::FromWorker;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct WorkerChannel {
    stream: WorkerStream,
    way: Way,
}

/// How calls come.
#[derive(Debug)]
enum Way {
    /// None do yet.
    Closed,
    Stream(Page),
    Lane(WorkerLane),
}

impl WorkerChannel {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { stream: WorkerStream::new(socket), way: Way::Closed }
    }
}

/// A task has written to what is not its own: what the page says is not to be known.
fn lie(_: Contradiction) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the page says what cannot be")
}

/// Tells who waits for the stream that there is something in the lane.
fn knock(stream: &WorkerStream) -> impl Fn() {
    // If the stream is full there is something to be read in it, at which whoever waits for it has woken.
    move || stream.try_send(&FromWorker::Knock.to_bytes())
}

impl WorkerEnd for WorkerChannel {
    fn receive(&mut self, frame: &mut Frame) -> io::Result<bool> {
        let Way::Lane(lane) = &mut self.way else { return self.stream.receive(frame) };
        let ticket = loop {
            match lane.wait() {
                Next::Call(ticket) => break ticket,
                Next::Nothing => {}
                Next::Order => {
                    lane.take_order();
                    if let Some(has_more) = self.stream.try_receive(frame)? {
                        return Ok(has_more);
                    }
                }
            }
        };
        match lane.letter(ticket).map_err(lie)? {
            Letter::OnStream => self.stream.receive(frame),
            Letter::Here { kind, length } => {
                frame.kind = kind;
                frame.call = ticket.0;
                frame.attachments = Ok(Attachments::new());
                frame.body.clear();
                lane.read(ticket, length, &mut frame.body);
                Ok(true)
            }
        }
    }

    fn open_page(&mut self, uses_lane: bool) -> io::Result<()> {
        // Nothing came, or this process had no descriptor left for it.
        let came = self.stream.take_page().ok_or(io::ErrorKind::NotFound)?;
        let page = came.as_slice().first().ok_or(io::ErrorKind::NotFound)?;
        let page = Page::open(page.fd())?;
        self.way = if uses_lane { Way::Lane(WorkerLane::new(page)) } else { Way::Stream(page) };
        Ok(())
    }

    fn claim(&mut self, ticket: Ticket) -> io::Result<Claim> {
        match &mut self.way {
            Way::Closed => Err(io::ErrorKind::InvalidData.into()),
            Way::Lane(lane) => lane.claim(ticket, knock(&self.stream)).map_err(lie),
            Way::Stream(page) => {
                let claim = page.claim(ticket).map_err(lie)?;
                if claim == Claim::Skip {
                    self.stream.send(&FromWorker::Skipped(ticket).to_bytes())?;
                }
                Ok(claim)
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, ran: Duration, frame: &Parcel) -> io::Result<()> {
        match &mut self.way {
            Way::Closed => {}
            Way::Stream(page) => page.done(ticket, ran),
            Way::Lane(lane) => {
                let is_letter = frame.attachments.is_empty();
                let letter = is_letter.then(|| frame::parts(&frame.bytes));
                if lane.answer(ticket, ran, letter, knock(&self.stream)) {
                    return Ok(());
                }
            }
        }
        self.stream.send_parcel(frame)
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.send(frame)
    }

    fn send_parcel(&mut self, frame: &Parcel) -> io::Result<()> {
        self.stream.send_parcel(frame)
    }
}
