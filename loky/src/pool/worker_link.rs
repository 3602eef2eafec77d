//! The pool's side of the channel to a started worker, as it lies behind the lock.

use std::sync::Arc;
use std::time::Instant;

use super::readership::Readership;
use crate::id::{CallId, Ticket};
use crate::limits;
use crate::sys::socket::Socket;
use crate::transport::lane::pool_side::PoolLane;
use crate::transport::page::Page;
use crate::transport::slots::PageCorrupt;
use crate::transport::slots::table::SlotTable;
use crate::transport::stream::{Inbox, Outbox, Progress};
use crate::wire::args::CallArgs;
use crate::wire::frame;
use crate::wire::message::{self, FromWorker};

/// What is needed to give calls to a worker and to take its answers.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) pid: u32,
    pub(super) index: usize,
    pub(super) socket: Arc<Socket>,
    pub(super) outbox: Outbox,
    pub(super) lane: PoolLane,
    pub(super) slots: SlotTable,
    pub(super) readership: Readership<Source>,
    /// Room for calls that are put together.
    room: Vec<u8>,
    /// The stream, where answers come through the lane: the pool's thread reads it.
    pub(super) stream: Option<Inbox>,
    /// Whether calls and answers go through the lane. Else they go over the stream, and the page is the pool's alone.
    pub(super) uses_lane: bool,
    /// Whether something is still to be written for which the worker is to look at the stream.
    has_order: bool,
    /// Whether there may be more to read.
    pub(super) is_open: bool,
    /// Whether it has said what means nothing: what else it says does not count.
    pub(super) has_fault: bool,
    /// Whether the process is dead: what it has left behind is read by the pool's thread.
    pub(super) is_dead: bool,
    /// Whether it has said hello.
    pub(super) is_greeted: bool,
    /// Whether it runs the initializer.
    pub(super) is_initializing: bool,
    /// Whether it has answered a call.
    pub(super) has_answered: bool,
    /// Whether it was told to leave.
    pub(super) is_leaving: bool,
    /// Whether its page has said what cannot be.
    pub(super) is_page_false: bool,
    /// Whether it has not been given a call since its lane was looked after last.
    is_unused: bool,
}

impl Link {
    pub(super) fn new(
        now: Instant,
        pid: u32,
        index: usize,
        socket: Arc<Socket>,
        page: Page,
    ) -> Self {
        let page = Arc::new(page);
        let inbox = Inbox::new(Arc::clone(&socket));
        let uses_lane = page.is_shared();
        let (source, stream) = match uses_lane {
            true => (Source::Lane, Some(inbox)),
            false => (Source::Stream(Box::new(inbox)), None),
        };
        Self {
            pid,
            index,
            outbox: Outbox::new(Arc::clone(&socket)),
            lane: PoolLane::new(Arc::clone(&page)),
            slots: SlotTable::new(page),
            readership: Readership::new(now, source),
            room: Vec::new(),
            stream,
            has_order: false,
            uses_lane,
            socket,
            is_open: true,
            has_fault: false,
            is_dead: false,
            is_greeted: false,
            is_initializing: false,
            has_answered: false,
            is_leaving: false,
            is_page_false: false,
            is_unused: false,
        }
    }

    /// Gives the worker a call, which it comes to know of by the next [`flush`](Self::flush).
    pub(super) fn give(
        &mut self,
        call: CallId,
        task: &str,
        args: &CallArgs,
    ) -> Result<Ticket, PageCorrupt> {
        if self.is_page_false {
            return Err(PageCorrupt);
        }
        let ticket = self.slots.take(call)?;
        if let CallArgs::Chunk(chunk) = args {
            self.slots.set_items(ticket, chunk.count);
        }
        self.is_unused = false;
        if !self.uses_lane || !self.write(ticket, task, args) {
            self.outbox.push(ticket, task, args);
        }
        self.slots.publish(ticket);
        Ok(ticket)
    }

    /// Writes a call into the lane. False if it is too long for that, or has descriptors.
    fn write(&mut self, ticket: Ticket, task: &str, args: &CallArgs) -> bool {
        if args.len() > limits::LETTER_BYTES || !args.attachments().is_empty() {
            self.lane.write_on_stream(ticket);
            return false;
        }
        self.room.clear();
        if let CallArgs::Chunk(chunk) = args {
            message::put_chunk(&mut self.room, ticket, task, chunk.items());
        } else {
            message::begin_call(&mut self.room, ticket, task, args.len());
            self.room.extend_from_slice(args);
        }
        self.lane.write(ticket, frame::parts(&self.room))
    }

    /// Writes what was given to the worker, as far as there is room, and wakes it if it sleeps.
    pub(super) fn flush(&mut self) {
        // An error means that the worker is gone, which is seen where it is read from.
        let _ = self.outbox.flush();
        if !self.uses_lane {
            return;
        }
        if self.has_order {
            // Again and again until all is there: what has begun the worker waits for.
            self.has_order = self.outbox.is_waiting();
            self.lane.order();
        } else {
            self.lane.wake_worker();
        }
    }

    /// Whether the pool's thread is to read the stream.
    pub(super) fn is_to_be_read(&self) -> bool {
        self.uses_lane || self.readership.is_background()
    }

    /// The stream, for the pool's thread, if it is its turn.
    pub(super) fn take_stream(&mut self) -> Option<Inbox> {
        if self.uses_lane {
            self.stream.take()
        } else {
            self.readership.take_as_background()?.into()
        }
    }

    /// The same when the worker is dead. If it is not there, the thread is woken when it is.
    pub(super) fn take_stream_for_good(&mut self) -> Option<Inbox> {
        if self.uses_lane { self.stream.take() } else { self.readership.take_for_good()?.into() }
    }

    /// Whether its lane is to be looked after: calls lie there, or what they have left behind.
    pub(super) fn has_lane_to_look_after(&self) -> bool {
        self.uses_lane && (!self.slots.is_empty() || self.lane.has_long())
    }

    /// See [`limits::LANE_WATCH`].
    pub(super) fn look_after_lane(&mut self) {
        if !self.slots.is_empty() {
            self.slots.publish_order();
            self.lane.shake_worker();
            self.lane.disturb();
        } else if std::mem::replace(&mut self.is_unused, true) && self.lane.has_long() {
            self.lane.give_back_long();
        }
    }

    /// Has the worker look at the stream for something that is no call.
    pub(super) fn order(&mut self) {
        self.has_order = true;
        self.flush();
    }
}

/// Where the answers of a worker come from. Whoever has it is the one who reads.
#[derive(Debug)]
pub(super) enum Source {
    /// From the lane, which anybody can look at: he who has this is the one who sleeps there.
    Lane,
    Stream(Box<Inbox>),
}

impl From<Source> for Option<Inbox> {
    fn from(source: Source) -> Self {
        match source {
            Source::Lane => None,
            Source::Stream(inbox) => Some(*inbox),
        }
    }
}

/// What came of reading from a worker.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) said: Vec<FromWorker>,
    /// If it ended in something that means nothing: what that was.
    pub(super) fault: Option<&'static str>,
    /// Whether the channel is at its end.
    pub(super) is_closed: bool,
}

impl Received {
    /// Whether nothing was there.
    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty() && self.fault.is_none() && !self.is_closed
    }
}

/// Reads once, with no lock held.
pub(super) fn receive(inbox: &mut Inbox, waits: bool) -> Received {
    let progress = inbox.receive(waits);
    let mut received =
        Received { is_closed: progress == Ok(Progress::Closed), ..Received::default() };
    while let Some(frame) = inbox.next_frame() {
        match FromWorker::parse(frame) {
            Ok(message) => received.said.push(message),
            Err(error) => {
                received.fault = Some(error.0);
                return received;
            }
        }
    }
    received.fault = progress.err().map(|error| error.0);
    received
}
