//! The worker's side of a lane.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::sleep::{ASLEEP, SleepMode};
use crate::id::Ticket;
use crate::sys::{cpu, futex};
use crate::transport::page::{Letter, Page};
use crate::transport::slots::{Claim, PageCorrupt};

/// What there is for the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next call.
    Call(Ticket),
    /// Something on the stream that is no call.
    Order,
    Nothing,
}

/// How far the worker is.
#[derive(Debug)]
pub(crate) struct WorkerLane {
    page: Page,
    /// The number of the next call.
    next: u64,
    /// What the count of orders was when it looked for one last.
    orders: u64,
}

impl WorkerLane {
    pub(crate) fn new(page: Page) -> Self {
        let lane = Self { page, next: 1, orders: 0 };
        lane.publish_cpu();
        lane
    }

    /// What there is now: calls come first.
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

    /// What there is, once there is something.
    pub(crate) fn wait(&self) -> Next {
        let sleep = self.page.worker_sleep();
        loop {
            let next = self.next();
            if next != Next::Nothing {
                return next;
            }
            sleep.fall_asleep();
            if self.next() == Next::Nothing {
                futex::wait(sleep.0, ASLEEP, None);
                self.publish_cpu();
            }
            sleep.wake_up();
        }
    }

    fn publish_cpu(&self) {
        self.page.worker_cpu().store(cpu::current(), Ordering::Relaxed);
    }

    /// The worker looks at the stream for an order. (Whatever the count is: a task may have written there.)
    pub(crate) fn take_order(&mut self) {
        self.orders = self.page.orders().load(Ordering::Acquire);
    }

    /// What the worker has found is no order: it looks again when it has nothing else to do.
    pub(crate) fn put_order_back(&mut self) {
        self.orders = self.orders.wrapping_sub(1);
    }

    /// The letter of the next call, if that can be claimed.
    pub(crate) fn letter(&self, ticket: Ticket) -> Result<Letter, PageCorrupt> {
        self.page.check_given(ticket)?;
        self.page.letter(ticket)
    }

    /// Appends the letter of a call, which is here and so long.
    pub(crate) fn read(&self, ticket: Ticket, length: usize, out: &mut Vec<u8>) {
        self.page.read(ticket, length, out);
    }

    /// Whether the worker may run the next call. If it may not, the one after it is the next.
    pub(crate) fn claim(
        &mut self,
        ticket: Ticket,
        wake_poller: impl Fn(),
    ) -> Result<Claim, PageCorrupt> {
        let claim = self.page.claim(ticket)?;
        if claim == Claim::Skip {
            self.next += 1;
            self.tell(wake_poller);
        }
        Ok(claim)
    }

    /// The next call has run for so long, and this is its answer, if that can lie here. False if it is to be sent over the stream,
    /// which it is also if it is too long. `wake_poller` sends bytes over the stream that say no more than that there is something in the
    /// lane.
    pub(crate) fn answer(
        &mut self,
        ticket: Ticket,
        ran: Duration,
        letter: Option<(u8, &[u8])>,
        wake_poller: impl Fn(),
    ) -> bool {
        let is_here = match letter {
            Some((kind, body)) => self.page.write(ticket, kind, body),
            None => {
                self.page.write_on_stream(ticket);
                false
            }
        };
        self.page.done(ticket, ran);
        self.next += 1;
        self.tell(wake_poller);
        is_here
    }

    /// Whether there is another call in the chunk, which the worker is about to run.
    pub(crate) fn begin_item(&self, ticket: Ticket) -> Result<bool, PageCorrupt> {
        self.page.begin_item(ticket)
    }

    /// Leaves the answers of a chunk so far, of which so many bytes lie there already. False if they are too long.
    pub(crate) fn keep_answers(&self, ticket: Ticket, answers: &[u8], kept: usize) -> bool {
        self.page.write_answers(ticket, answers, kept)
    }

    /// The worker does not go on in the chunk.
    pub(crate) fn leave_items(&self, ticket: Ticket) -> Result<(), PageCorrupt> {
        self.page.leave_items(ticket)
    }

    /// The chunk has run for so long, and its answers lie here, so many bytes.
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
        self.tell(wake_poller);
    }

    /// Wakes the reader if it sleeps and what it wants is done.
    fn tell(&self, wake_poller: impl Fn()) {
        let sleep = self.page.pool_sleep();
        match sleep.to_be_woken(self.next.wrapping_sub(1)) {
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
