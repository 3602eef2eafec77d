//! The pool's side of the channel to one worker, as it lies behind the pool's lock: the phase of the worker, its slots, what is
//! to be sent to it, and which thread receives from it.
//!
//! | file | subject |
//! |---|---|
//! | `send` | calls and orders to the worker, over the lane or the stream |
//! | `receive` | messages of the worker from the stream |
//! | `lane_reader` | answers of the worker from the lane |
//! | `batch_answers` | how far the worker is with a batch, and its answers |
//! | `source` | the right to read |
//!
//! ```text
//!  Starting ──hello──▶ Greeted ──initializer sent──▶ Initializing ──its outcome──▶ Greeted
//!     │                  └──first answer──▶ Serving
//!     └──first answer──▶ Answering ──hello──▶ Serving       (the lane is faster than the stream)
//! ```
//!
//! The phase says what the worker has sent, by which its next message is judged. It goes on when the worker is told to leave
//! and when its process has died, since what it sent before is still read: [`Fate`] is apart from it.

mod batch_answers;
pub(super) mod lane_reader;
pub(super) mod receive;
mod send;
pub(super) mod source;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::source::Source;
use super::fault::Fault;
use super::readership::Readership;
use crate::error::Execution;
use crate::id::{CallId, Ticket};
use crate::limits;
use crate::sys::socket::Socket;
use crate::transport::lane::pool_side::PoolLane;
use crate::transport::page::Page;
use crate::transport::slots::PageCorrupt;
use crate::transport::slots::table::{Progress, SlotTable};
use crate::transport::stream::{Inbox, Outbox};

/// How far the worker has come, by what it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing.
    Starting,
    /// An answer, but not its hello yet.
    Answering,
    /// Its hello.
    Greeted,
    /// Its hello, after which the initializer was sent.
    Initializing,
    /// Its hello and an answer.
    Serving,
}

/// The state of the worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    /// It was told to leave.
    Leaves,
    /// The process is dead. What it has left behind is read by the pool thread.
    Dead,
}

/// Whether there may be more to read from the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Open,
    Closed,
    /// The worker has sent what no worker sends: nothing that it sends counts.
    Faulty,
}

/// The pool's side of the channel to one worker.
#[derive(Debug)]
pub(super) struct Link {
    pid: u32,
    index: usize,
    socket: Arc<Socket>,
    /// Whether calls and answers go through the lane. Otherwise they go over the stream, and the page is the pool's alone.
    uses_lane: bool,
    phase: Phase,
    fate: Fate,
    channel: Channel,
    /// Whether the page has contradicted the pool's own record.
    is_page_corrupt: bool,
    slots: SlotTable,
    lane: PoolLane,
    outbox: Outbox,
    /// Whether the outbox has an order: the worker is to look at the stream for it, though it waits for calls in the lane.
    has_order: bool,
    /// Room in which a frame is put together.
    room: Vec<u8>,
    readership: Readership<Source>,
    /// The stream, where answers come through the lane: the pool thread reads it.
    stream: Option<Inbox>,
    /// Whether it was given no call since its lane was looked after last.
    is_unused: bool,
}

impl Link {
    /// The link to a worker process that was just started.
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
            uses_lane,
            phase: Phase::Starting,
            fate: Fate::Stays,
            channel: Channel::Open,
            is_page_corrupt: false,
            lane: PoolLane::new(Arc::clone(&page)),
            slots: SlotTable::new(page),
            outbox: Outbox::new(Arc::clone(&socket)),
            has_order: false,
            room: Vec::new(),
            readership: Readership::new(now, source),
            stream,
            is_unused: false,
            socket,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The number of its place among the pool's workers.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn uses_lane(&self) -> bool {
        self.uses_lane
    }

    pub(super) fn lane(&self) -> &PoolLane {
        &self.lane
    }

    pub(super) fn readership(&mut self) -> &mut Readership<Source> {
        &mut self.readership
    }

    /// The worker says hello. It does so once.
    pub(super) fn greet(&mut self) -> Result<(), Fault> {
        self.phase = match self.phase {
            Phase::Starting => Phase::Greeted,
            Phase::Answering => Phase::Serving,
            Phase::Greeted | Phase::Initializing | Phase::Serving => {
                return Err(Fault("it said hello twice"));
            }
        };
        Ok(())
    }

    pub(super) fn is_greeted(&self) -> bool {
        !matches!(self.phase, Phase::Starting | Phase::Answering)
    }

    pub(super) fn is_initializing(&self) -> bool {
        self.phase == Phase::Initializing
    }

    /// The worker has come to the end of the initializer.
    pub(super) fn initializer_ended(&mut self) -> Result<(), Fault> {
        if self.phase != Phase::Initializing {
            return Err(Fault("it has run an initializer that was not sent"));
        }
        self.phase = Phase::Greeted;
        Ok(())
    }

    /// The worker has answered a call. Returns whether it is its first answer.
    fn note_answer(&mut self) -> bool {
        let (phase, is_first) = match self.phase {
            Phase::Starting => (Phase::Answering, true),
            Phase::Greeted | Phase::Initializing => (Phase::Serving, true),
            served @ (Phase::Answering | Phase::Serving) => (served, false),
        };
        self.phase = phase;
        is_first
    }

    pub(super) fn has_answered(&self) -> bool {
        matches!(self.phase, Phase::Answering | Phase::Serving)
    }

    /// The worker is told to leave.
    pub(super) fn retire(&mut self) {
        if self.fate == Fate::Stays {
            self.fate = Fate::Leaves;
        }
        self.order();
        self.readership.read_in_background();
    }

    /// The process is dead.
    pub(super) fn note_death(&mut self) {
        self.fate = Fate::Dead;
        self.lane.disturb();
    }

    /// Has the worker end: its watch does that when the channel is shut. A thread that reads the stream comes back too; one that
    /// sleeps on the lane does when the worker is found dead.
    pub(super) fn hang_up(&self) {
        self.socket.hang_up();
    }

    /// Has the worker end, and the thread that reads from it come back.
    pub(super) fn abandon(&self) {
        self.socket.hang_up();
        self.lane.disturb();
    }

    /// Whether its messages are still read.
    pub(super) fn is_open(&self) -> bool {
        self.channel == Channel::Open
    }

    pub(super) fn note_closed(&mut self) {
        if self.channel == Channel::Open {
            self.channel = Channel::Closed;
        }
    }

    /// Nothing that the worker sends counts any more.
    pub(super) fn distrust(&mut self, fault: &Fault) {
        self.channel = Channel::Faulty;
        // Without a shared page the worker would have sent which calls it begins, and that is not heard from here on.
        self.is_page_corrupt |= fault.is_page_corrupt() || !self.uses_lane;
    }

    pub(super) fn mark_page_corrupt(&mut self) {
        self.is_page_corrupt = true;
    }

    /// Whether the worker has nothing that it has not answered.
    pub(super) fn is_unoccupied(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many calls the worker has not answered, those included that were taken back.
    pub(super) fn occupancy(&self) -> u32 {
        self.slots.count()
    }

    /// The calls that the worker has.
    pub(super) fn calls(&self) -> impl Iterator<Item = CallId> {
        self.slots.calls()
    }

    /// Takes a call back. False if the worker has begun it.
    pub(super) fn revoke(&mut self, ticket: Ticket) -> Result<bool, PageCorrupt> {
        self.slots.revoke(ticket)
    }

    /// How far the worker is with a call that it has.
    pub(super) fn progress(&mut self, ticket: Ticket) -> Result<Progress, PageCorrupt> {
        self.slots.progress(ticket)
    }

    /// How far a call has come that ends now, whatever its worker does. It never begins there after that.
    pub(super) fn settle(&mut self, ticket: Ticket) -> Execution {
        match self.slots.revoke(ticket) {
            Ok(true) => Execution::NotStarted,
            Ok(false) if self.slots.progress(ticket) == Ok(Progress::Finished) => {
                Execution::Finished
            }
            Ok(false) | Err(PageCorrupt) => Execution::Started,
        }
    }

    /// The worker has begun a call, by a message: it shares no page.
    pub(super) fn record_begun(&mut self, ticket: Ticket) -> Result<(), Fault> {
        let begun = self.slots.record_begun(ticket);
        begun.map_err(|_| Fault("it began a call that it does not have"))
    }

    /// The task of a call has returned, by a message: the worker shares no page.
    pub(super) fn record_returned(&mut self, ticket: Ticket, ran: Duration) -> Result<(), Fault> {
        let returned = self.slots.record_returned(ticket, ran);
        returned.map_err(|_| Fault("it returned from a call that it does not run"))
    }

    /// The calls that a dead worker has begun, if its page is believed.
    pub(super) fn begun_if_sound(&mut self) -> Option<Vec<CallId>> {
        if self.is_page_corrupt { None } else { self.slots.begun().ok() }
    }

    /// The calls that a dead worker has begun: all that it had, if its page is corrupt.
    pub(super) fn begun_calls(&mut self) -> Vec<CallId> {
        match self.slots.begun() {
            Ok(begun) if !self.is_page_corrupt => begun,
            Ok(_) => self.slots.calls().collect(),
            Err(all) => all,
        }
    }

    /// Has the pool thread read from the worker, if no thread does. Returns whether that is a change, for which the pool thread
    /// must be woken.
    pub(super) fn read_in_background(&mut self) -> bool {
        self.readership.read_in_background()
    }

    /// Takes the right to read, for a thread that waits for a call of the worker.
    pub(super) fn take_as_waiter(&mut self) -> Option<Source> {
        if self.is_open() && self.fate != Fate::Dead {
            self.readership.take_as_waiter()
        } else {
            None
        }
    }

    /// Takes the right to read along with another worker's, if no thread has read since `NEGLECTED` before `now`.
    pub(super) fn take_if_neglected(&mut self, now: Instant) -> Option<Source> {
        let since = self.readership.unread_since()?;
        let is_due = since + limits::NEGLECTED <= now && self.is_open() && !self.slots.is_empty();
        if is_due { self.readership.take_as_waiter() } else { None }
    }

    /// A thread has read from the worker, and gives the right to that back.
    pub(super) fn give_back(&mut self, now: Instant, source: Source) -> GivenBack {
        let wakes = self.readership.give_back(now, source);
        if self.fate == Fate::Leaves {
            let wakes = self.readership.read_in_background() || wakes;
            return GivenBack { wakes, is_reader_wanted: false };
        }
        let is_at_rest = self.slots.is_empty() && self.is_greeted() && !self.is_initializing();
        if is_at_rest {
            self.readership.rest();
        }
        GivenBack { wakes, is_reader_wanted: !is_at_rest }
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

    /// Whether its lane is to be looked after: calls lie there, or what they have left behind.
    pub(super) fn has_lane_to_look_after(&self) -> bool {
        self.uses_lane && (!self.slots.is_empty() || self.lane.has_long())
    }
}

/// The consequences of giving back the right to read.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GivenBack {
    /// Whether the pool thread is to be woken.
    pub(super) wakes: bool,
    /// Whether another thread is to read, since more is to come.
    pub(super) is_reader_wanted: bool,
}
