//! The pool's side of the channel to a started worker, as it lies behind the lock.

use std::sync::Arc;
use std::time::Instant;

use super::readership::Readership;
use crate::sys::socket::Socket;
use crate::transport::slots::SlotPage;
use crate::transport::slots::table::SlotTable;
use crate::transport::stream::{Inbox, Outbox, Progress};
use crate::wire::message::FromWorker;

/// What is needed to give calls to a worker and to take its answers.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) pid: u32,
    pub(super) index: usize,
    pub(super) socket: Arc<Socket>,
    pub(super) outbox: Outbox,
    pub(super) slots: SlotTable,
    pub(super) readership: Readership<Inbox>,
    /// Whether there may be more to read.
    pub(super) is_open: bool,
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
}

impl Link {
    pub(super) fn new(
        now: Instant,
        pid: u32,
        index: usize,
        socket: Arc<Socket>,
        page: SlotPage,
    ) -> Self {
        Self {
            pid,
            index,
            outbox: Outbox::new(Arc::clone(&socket)),
            slots: SlotTable::new(page),
            readership: Readership::new(now, Inbox::new(Arc::clone(&socket))),
            socket,
            is_open: true,
            is_greeted: false,
            is_initializing: false,
            has_answered: false,
            is_leaving: false,
            is_page_false: false,
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
