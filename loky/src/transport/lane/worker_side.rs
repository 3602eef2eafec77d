//! The worker's side of a lane.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::id::Ticket;
use crate::sys::{cpu, futex};
use crate::transport::page::{Page, SlotFrame};
use crate::transport::words::PageCorrupt;
use crate::transport::words::sleep::{ASLEEP, PoolSleep, SleepMode, WorkerSleep};
use crate::transport::words::slot::Claim;

/// The next thing for the worker to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Call(Ticket),
    /// Look at the stream for a message that is no call.
    Order,
    Nothing,
}

/// The worker's position in its lane.
#[derive(Debug)]
pub(crate) struct WorkerLane {
    page: Page,
    /// The sequence of the next call.
    next: u64,
    /// The count of orders when the worker last looked for one.
    orders: u64,
}

impl WorkerLane {
    pub(crate) fn new(page: Page) -> Self {
        let lane = Self { page, next: 1, orders: 0 };
        lane.publish_cpu();
        lane
    }

    /// Returns what there is to do now. Calls come first.
    pub(crate) fn next(&self) -> Next {
        let ticket = Ticket(self.page.sequence(self.next).load(Ordering::Acquire));
        if ticket.sequence() == self.next % Ticket::NUMBERS {
            return Next::Call(ticket);
        }
        if self.page.orders().load(Ordering::Acquire) != self.orders {
            Next::Order
        } else {
            Next::Nothing
        }
    }

    /// Waits until there is something to do.
    pub(crate) fn wait(&self) -> Next {
        let sleep = WorkerSleep(self.page.worker_sleep());
        loop {
            let next = self.next();
            if next != Next::Nothing {
                return next;
            }
            sleep.begin_sleep();
            if self.next() == Next::Nothing {
                futex::wait(sleep.0, ASLEEP, None);
                self.publish_cpu();
            }
            sleep.end_sleep();
        }
    }

    fn publish_cpu(&self) {
        self.page.worker_cpu().store(cpu::current(), Ordering::Relaxed);
    }

    /// Notes that the worker looks at the stream for an order. Any count will do: a task may have written there.
    pub(crate) fn take_order(&mut self) {
        self.orders = self.page.orders().load(Ordering::Acquire);
    }

    /// Notes that the worker has found no order. It looks again when it has nothing else to do.
    pub(crate) fn put_order_back(&mut self) {
        self.orders = self.orders.wrapping_sub(1);
    }

    /// Returns the head of the next call's frame. The call must be one to claim.
    pub(crate) fn frame(&self, ticket: Ticket) -> Result<SlotFrame, PageCorrupt> {
        self.page.check_given(ticket)?;
        self.page.frame(ticket)
    }

    /// Appends the bytes of a frame of `length` bytes to `out`.
    pub(crate) fn read(&self, ticket: Ticket, length: usize, out: &mut Vec<u8>) {
        self.page.read(ticket, length, out);
    }

    /// Claims the next call. If it was revoked, the call behind it is the next.
    pub(crate) fn claim(
        &mut self,
        ticket: Ticket,
        wake_poller: impl Fn(),
    ) -> Result<Claim, PageCorrupt> {
        let claim = self.page.claim(ticket)?;
        if claim == Claim::Skip {
            self.next += 1;
            self.wake_reader(wake_poller);
        }
        Ok(claim)
    }

    /// Answers the next call, which ran for the time `ran`. Returns false if there is no `frame`, or it is too long: the answer
    /// goes over the stream then.
    ///
    /// `wake_poller` wakes a reader in poll by a message on the stream that says nothing else.
    pub(crate) fn answer(
        &mut self,
        ticket: Ticket,
        ran: Duration,
        frame: Option<(u8, &[u8])>,
        wake_poller: impl Fn(),
    ) -> bool {
        let is_here = match frame {
            Some((kind, body)) => self.page.write(ticket, kind, body),
            None => {
                self.page.write_on_stream(ticket);
                false
            }
        };
        self.page.done(ticket, ran);
        self.next += 1;
        self.wake_reader(wake_poller);
        is_here
    }

    /// Claims the next call of a batch. Returns false if there is none.
    pub(crate) fn begin_item(&self, ticket: Ticket) -> Result<bool, PageCorrupt> {
        self.page.begin_item(ticket)
    }

    /// Writes the answers of a batch so far. The first `kept` bytes are there already. Returns false if they are too long.
    pub(crate) fn keep_answers(&self, ticket: Ticket, answers: &[u8], kept: usize) -> bool {
        self.page.write_answers(ticket, answers, kept)
    }

    /// Gives up the calls of a batch that have not begun.
    pub(crate) fn leave_items(&self, ticket: Ticket) -> Result<(), PageCorrupt> {
        self.page.leave_items(ticket)
    }

    /// Answers a batch, which ran for the time `ran`. Its answers are written, `length` bytes.
    pub(crate) fn answer_chunk(
        &mut self,
        ticket: Ticket,
        ran: Duration,
        (kind, length): (u8, usize),
        wake_poller: impl Fn(),
    ) {
        self.page.write_answers_head(ticket, kind, length);
        self.page.done(ticket, ran);
        self.next += 1;
        self.wake_reader(wake_poller);
    }

    /// Wakes the reader if it sleeps and wants an answer that is there.
    fn wake_reader(&self, wake_poller: impl Fn()) {
        let sleep = PoolSleep(self.page.pool_sleep());
        match sleep.take_sleeper(self.next.wrapping_sub(1)) {
            None => {}
            Some(SleepMode::Futex) => futex::wake(sleep.0),
            Some(SleepMode::Poll) => wake_poller(),
            Some(SleepMode::Unknown) => {
                futex::wake(sleep.0);
                wake_poller();
            }
        }
    }
}
