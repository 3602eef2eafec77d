//! The worker's end of its channel: the stream, and the lane where there is a page.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::lane::worker_side::{Next, WorkerLane};
use super::page::{Page, SlotFrame};
use super::slots::{Claim, PageCorrupt};
use super::stream::WorkerStream;
use super::worker_end::WorkerEnd;
use crate::codec::{Attachments, EncodedValue};
use crate::id::Ticket;
use crate::sys::socket::Socket;
use crate::wire::frame::{self, Frame};
use crate::wire::message::{FromWorker, RESULTS};

/// The worker's end over a socket.
#[derive(Debug)]
pub(crate) struct WorkerChannel {
    stream: WorkerStream,
    calls: CallPath,
}

/// The path of calls.
#[derive(Debug)]
enum CallPath {
    /// Not known: no calls come yet.
    Closed,
    Stream,
    Lane(WorkerLane),
}

impl WorkerChannel {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { stream: WorkerStream::new(socket), calls: CallPath::Closed }
    }
}

/// A task has written to the page.
fn page_corrupt(_: PageCorrupt) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "slot page is corrupt")
}

/// Batches come through the lane only.
fn no_lane() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a batch did not come through the lane")
}

/// Receives a message that is no call from the stream, if there is one.
fn receive_order(
    lane: &mut WorkerLane,
    stream: &mut WorkerStream,
    frame: &mut Frame,
) -> io::Result<Option<bool>> {
    lane.take_order();
    let received = stream.try_receive(frame)?;
    if received == Some(true) && frame.call != Ticket::INITIALIZER.0 {
        // A call that was dispatched since the worker last looked into the lane. Its turn comes with its frame, and other calls in
        // the lane may come before it. The order is behind it, if there is one.
        stream.put_back(std::mem::take(frame));
        lane.put_order_back();
        return Ok(None);
    }
    Ok(received)
}

/// Wakes a reader that polls the stream for an answer in the lane.
fn wake_poller(stream: &WorkerStream) -> impl Fn() {
    // If the stream is full, there are bytes in it that wake the reader.
    move || stream.try_send(&FromWorker::LaneReady.to_bytes())
}

impl WorkerEnd for WorkerChannel {
    fn receive(&mut self, frame: &mut Frame) -> io::Result<bool> {
        let CallPath::Lane(lane) = &mut self.calls else { return self.stream.receive(frame) };
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
        match lane.frame(ticket).map_err(page_corrupt)? {
            SlotFrame::OnStream => self.stream.receive(frame),
            SlotFrame::Here { kind, length } => {
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
            self.calls = CallPath::Stream;
            return Ok(());
        }
        // No page came, or this process had no room for its descriptor.
        let came = self.stream.take_page().ok_or(io::ErrorKind::NotFound)?;
        let page = came.as_slice().first().ok_or(io::ErrorKind::NotFound)?;
        self.calls = CallPath::Lane(WorkerLane::new(Page::open(page.fd())?));
        Ok(())
    }

    fn claim(&mut self, ticket: Ticket) -> io::Result<Claim> {
        match &mut self.calls {
            CallPath::Closed => Err(io::ErrorKind::InvalidData.into()),
            CallPath::Lane(lane) => {
                lane.claim(ticket, wake_poller(&self.stream)).map_err(page_corrupt)
            }
            CallPath::Stream => {
                self.stream.send(&FromWorker::Begun(ticket).to_bytes())?;
                Ok(Claim::Run)
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, ran: Duration, frame: &EncodedValue) -> io::Result<()> {
        match &mut self.calls {
            CallPath::Closed => {}
            CallPath::Stream => return self.stream.send_answer(ticket, ran, frame),
            CallPath::Lane(lane) => {
                let is_plain = frame.attachments.is_empty();
                let parts = is_plain.then(|| frame::parts(&frame.bytes));
                if lane.answer(ticket, ran, parts, wake_poller(&self.stream)) {
                    return Ok(());
                }
            }
        }
        self.stream.send_with(frame)
    }

    fn begin_item(&mut self, ticket: Ticket) -> io::Result<bool> {
        let CallPath::Lane(lane) = &self.calls else { return Err(no_lane()) };
        lane.begin_item(ticket).map_err(page_corrupt)
    }

    fn keep_answers(&mut self, ticket: Ticket, answers: &[u8], kept: usize) -> bool {
        let CallPath::Lane(lane) = &self.calls else { return false };
        lane.keep_answers(ticket, answers, kept)
    }

    fn answer_chunk(&mut self, ticket: Ticket, ran: Duration, length: usize) -> io::Result<()> {
        let CallPath::Lane(lane) = &mut self.calls else { return Err(no_lane()) };
        lane.answer_chunk(ticket, ran, (RESULTS, length), wake_poller(&self.stream));
        Ok(())
    }

    fn answer_rest(
        &mut self,
        ticket: Ticket,
        ran: Duration,
        last: &EncodedValue,
    ) -> io::Result<()> {
        let CallPath::Lane(lane) = &mut self.calls else { return Err(no_lane()) };
        lane.leave_items(ticket).map_err(page_corrupt)?;
        lane.answer(ticket, ran, None, wake_poller(&self.stream));
        self.stream.send_with(last)
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.send(frame)
    }

    fn send_with(&mut self, frame: &EncodedValue) -> io::Result<()> {
        self.stream.send_with(frame)
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

    /// Returns a worker's end that has opened its page, and the pool's side.
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
    fn call_on_stream_waits_for_its_turn_in_lane() {
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

        // As if the worker had looked into the lane before the calls came.
        let mut frame = Frame::default();
        let CallPath::Lane(theirs) = &mut end.calls else { panic!("the lane is open") };
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
        assert!(!end.receive(&mut frame).unwrap(), "the order");
    }
}
