//! The worker's end of its channel: the stream, and the lane once it is there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::WorkerEnd;
use super::lane::worker_side::{Next, WorkerLane};
use super::page::{Letter, Page};
use super::slots::{Claim, PageCorrupt};
use super::stream::WorkerStream;
use crate::codec::{Attachments, EncodedValue};
use crate::id::Ticket;
use crate::sys::socket::Socket;
use crate::wire::frame::{self, Frame};
use crate::wire::message::{FromWorker, RESULTS};

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
    /// Over the stream alone.
    Stream,
    Lane(WorkerLane),
}

impl WorkerChannel {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { stream: WorkerStream::new(socket), way: Way::Closed }
    }
}

/// A task has written to what is not its own: what the page says is not to be known.
fn page_corrupt(_: PageCorrupt) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the page says what cannot be")
}

/// Chunks come through the lane alone.
fn no_lane() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a chunk that did not come through the lane")
}

/// Takes what lies on the stream, if that is no call.
fn receive_order(
    lane: &mut WorkerLane,
    stream: &mut WorkerStream,
    frame: &mut Frame,
) -> io::Result<Option<bool>> {
    lane.take_order();
    let received = stream.try_receive(frame)?;
    if received == Some(true) && frame.call != Ticket::INITIALIZER.0 {
        // A call that was given since the worker has looked for one: its turn is when its letter's is, and there may be others
        // before it in the lane. What was ordered comes behind it, if anything was.
        stream.put_back(std::mem::take(frame));
        lane.put_order_back();
        return Ok(None);
    }
    Ok(received)
}

/// Tells who waits for the stream that there is something in the lane.
fn wake_poller(stream: &WorkerStream) -> impl Fn() {
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
                    if let Some(has_more) = receive_order(lane, &mut self.stream, frame)? {
                        return Ok(has_more);
                    }
                }
            }
        };
        match lane.letter(ticket).map_err(page_corrupt)? {
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
        if !uses_lane {
            self.way = Way::Stream;
            return Ok(());
        }
        // Nothing came, or this process had no descriptor left for it.
        let came = self.stream.take_page().ok_or(io::ErrorKind::NotFound)?;
        let page = came.as_slice().first().ok_or(io::ErrorKind::NotFound)?;
        self.way = Way::Lane(WorkerLane::new(Page::open(page.fd())?));
        Ok(())
    }

    fn claim(&mut self, ticket: Ticket) -> io::Result<Claim> {
        match &mut self.way {
            Way::Closed => Err(io::ErrorKind::InvalidData.into()),
            Way::Lane(lane) => lane.claim(ticket, wake_poller(&self.stream)).map_err(page_corrupt),
            Way::Stream => {
                self.stream.send(&FromWorker::Begun(ticket).to_bytes())?;
                Ok(Claim::Run)
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, ran: Duration, frame: &EncodedValue) -> io::Result<()> {
        match &mut self.way {
            Way::Closed => {}
            Way::Stream => return self.stream.send_answer(ticket, ran, frame),
            Way::Lane(lane) => {
                let is_letter = frame.attachments.is_empty();
                let letter = is_letter.then(|| frame::parts(&frame.bytes));
                if lane.answer(ticket, ran, letter, wake_poller(&self.stream)) {
                    return Ok(());
                }
            }
        }
        self.stream.send_parcel(frame)
    }

    fn begin_item(&mut self, ticket: Ticket) -> io::Result<bool> {
        let Way::Lane(lane) = &self.way else { return Err(no_lane()) };
        lane.begin_item(ticket).map_err(page_corrupt)
    }

    fn keep_answers(&mut self, ticket: Ticket, answers: &[u8], kept: usize) -> bool {
        let Way::Lane(lane) = &self.way else { return false };
        lane.keep_answers(ticket, answers, kept)
    }

    fn answer_chunk(&mut self, ticket: Ticket, ran: Duration, length: usize) -> io::Result<()> {
        let Way::Lane(lane) = &mut self.way else { return Err(no_lane()) };
        lane.answer_chunk(ticket, ran, (RESULTS, length), wake_poller(&self.stream));
        Ok(())
    }

    fn answer_rest(
        &mut self,
        ticket: Ticket,
        ran: Duration,
        last: &EncodedValue,
    ) -> io::Result<()> {
        let Way::Lane(lane) = &mut self.way else { return Err(no_lane()) };
        lane.leave_items(ticket).map_err(page_corrupt)?;
        lane.answer(ticket, ran, None, wake_poller(&self.stream));
        self.stream.send_parcel(last)
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.send(frame)
    }

    fn send_parcel(&mut self, frame: &EncodedValue) -> io::Result<()> {
        self.stream.send_parcel(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CallId;
    use crate::transport::lane::pool_side::PoolLane;
    use crate::transport::slots::table::SlotTable;
    use crate::wire::message::{self, Setup};
    use std::os::fd::AsFd;

    /// A worker's end that has opened its page, and what the pool has.
    fn pair() -> (WorkerChannel, Socket, PoolLane, SlotTable) {
        let (ours, theirs) = Socket::pair().unwrap();
        let (page, fd) = Page::create().unwrap();
        let mut setup = Setup::default().to_bytes();
        frame::set_descriptors(&mut setup, 1);
        ours.try_send_with(&setup, &[fd.as_fd()]).unwrap();
        let mut end = WorkerChannel::new(Arc::new(theirs));
        assert!(end.receive(&mut Frame::default()).unwrap());
        end.open_page(true).unwrap();
        let page = Arc::new(page);
        (end, ours, PoolLane::new(Arc::clone(&page)), SlotTable::new(page))
    }

    #[test]
    fn a_call_on_the_stream_that_comes_as_an_order_is_due_waits_for_its_turn() {
        let (mut end, socket, lane, mut slots) = pair();
        let first = slots.take(CallId::nth(1)).unwrap();
        let bytes = message::call(first, "first", &[]);
        assert!(lane.write(first, frame::parts(&bytes)));
        slots.publish(first);
        let second = slots.take(CallId::nth(2)).unwrap();
        lane.write_on_stream(second);
        slots.publish(second);
        socket.send_all(&message::call(second, "second", &[])).unwrap();
        socket.finish_sending();
        lane.order();

        // As if it had looked for calls before there were any.
        let mut frame = Frame::default();
        let Way::Lane(theirs) = &mut end.way else { panic!("it was opened") };
        assert_eq!(receive_order(theirs, &mut end.stream, &mut frame).unwrap(), None);
        for ticket in [first, second] {
            assert!(end.receive(&mut frame).unwrap());
            assert_eq!(frame.call, ticket.0);
            assert_eq!(end.claim(ticket).unwrap(), Claim::Run);
            let mut answer = EncodedValue::default();
            FromWorker::begin_result(&mut answer, ticket);
            message::finish_result(&mut answer);
            end.answer(ticket, Duration::ZERO, &answer).unwrap();
        }
        assert!(!end.receive(&mut frame).unwrap(), "what was ordered");
    }
}
