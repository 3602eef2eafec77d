//! The pool's side of a lane.

use std::hint;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::sleep::{IN_POLL, ON_FUTEX};
use crate::clock;
use crate::id::Ticket;
use crate::limits;
use crate::sys::{cpu, futex};
use crate::transport::page::{Letter, Page};
use crate::transport::slots::PageCorrupt;

/// The lane to one worker. What lies in it is the subject of its [`SlotTable`](crate::transport::slots::table::SlotTable).
#[derive(Clone, Debug)]
pub(crate) struct PoolLane {
    page: Arc<Page>,
}

impl PoolLane {
    pub(crate) fn new(page: Arc<Page>) -> Self {
        Self { page }
    }

    /// Writes what a call says. False if that is too long: it is to be sent over the stream.
    pub(crate) fn write(&self, ticket: Ticket, (kind, body): (u8, &[u8])) -> bool {
        self.page.write(ticket, kind, body)
    }

    /// Says that a call is to be sent over the stream.
    pub(crate) fn write_on_stream(&self, ticket: Ticket) {
        self.page.write_on_stream(ticket);
    }

    /// Wakes the worker, if it sleeps, for what was given to it.
    pub(crate) fn wake_worker(&self) {
        let sleep = self.page.worker_sleep();
        if sleep.is_to_be_woken() {
            futex::wake(sleep.0);
        }
    }

    /// The worker is to look at the stream, where something lies for it that is no call: all of it.
    pub(crate) fn order(&self) {
        self.page.orders().fetch_add(1, Ordering::Release);
        self.wake_worker();
    }

    /// What the answer of a call says that is `Done`.
    pub(crate) fn letter(&self, ticket: Ticket) -> Result<Letter, PageCorrupt> {
        self.page.letter(ticket)
    }

    /// Appends an answer that is here and so long.
    pub(crate) fn read(&self, ticket: Ticket, length: usize, out: &mut Vec<u8>) {
        self.page.read(ticket, length, out);
    }

    /// Appends the first bytes of the answers of a chunk.
    pub(crate) fn read_answers(&self, ticket: Ticket, length: usize, out: &mut Vec<u8>) {
        self.page.read_answers(ticket, length, out);
    }

    /// Whether nothing more is to come from the worker for this call: it is answered, or was taken back and skipped.
    pub(crate) fn is_settled(&self, ticket: Ticket) -> bool {
        self.page.is_settled(ticket)
    }

    /// The reader is about to sleep in poll until this call is answered. False if it need not.
    #[must_use]
    pub(crate) fn may_poll(&self, wanted: Ticket) -> bool {
        self.page.pool_sleep().fall_asleep(IN_POLL, wanted.sequence());
        !self.page.is_settled(wanted)
    }

    /// The reader does not sleep any more.
    pub(crate) fn wake_up(&self) {
        self.page.pool_sleep().wake_up();
    }

    /// How often the reader was disturbed: to be asked before others can come upon the idea.
    pub(crate) fn disturbances(&self) -> u64 {
        self.page.disturbances().load(Ordering::Acquire)
    }

    /// Has the reader come back from [`wait`](Self::wait), whatever the worker does.
    pub(crate) fn disturb(&self) {
        self.page.disturbances().fetch_add(1, Ordering::AcqRel);
        let sleep = self.page.pool_sleep();
        sleep.wake_futex();
        futex::wake(sleep.0);
    }

    /// Wakes the worker, whatever its word says, and has it look everywhere.
    pub(crate) fn shake_worker(&self) {
        self.page.orders().fetch_add(1, Ordering::Release);
        let sleep = self.page.worker_sleep();
        sleep.wake_up();
        futex::wake(sleep.0);
    }

    /// Whether long letters take memory.
    pub(crate) fn has_long(&self) -> bool {
        self.page.has_long()
    }

    /// Gives the memory of long letters back. The worker must have answered everything.
    pub(crate) fn give_back_long(&self) {
        self.page.give_back_long();
    }

    /// Waits until this call is answered, until the reader is disturbed (more often than `seen`), or until `deadline`. It may
    /// come back for nothing. Looks for the answer for a moment first, if that is worth while: if it `spins`, and the worker is
    /// on another CPU.
    pub(crate) fn wait(&self, wanted: Ticket, seen: u64, deadline: Option<Instant>, spins: bool) {
        if self.page.is_settled(wanted) || (spins && self.spin(wanted)) {
            return;
        }
        let sleep = self.page.pool_sleep();
        sleep.fall_asleep(ON_FUTEX, wanted.sequence());
        if !self.page.is_settled(wanted) && self.disturbances() == seen {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::now()));
            futex::wait(sleep.0, ON_FUTEX, left);
        }
        sleep.wake_up();
    }

    /// Looks for the answer for a moment, if that has been worth while of late. True if it has come.
    fn spin(&self, wanted: Ticket) -> bool {
        if self.page.worker_cpu().load(Ordering::Relaxed) == cpu::current() {
            return false; // It cannot run before this thread sleeps.
        }
        let patience = self.page.patience();
        if !patience.is_enough() {
            return false;
        }
        let has_found = self.look(wanted);
        patience.note(has_found);
        has_found
    }

    fn look(&self, wanted: Ticket) -> bool {
        /// Looks between two readings of the clock.
        const LOOKS: u32 = 64;
        let end = clock::now() + limits::SPIN;
        loop {
            for _ in 0..LOOKS {
                if self.page.is_settled(wanted) {
                    return true;
                }
                hint::spin_loop();
            }
            if clock::now() >= end {
                return false;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn page_of_tests(&self) -> &Page {
        &self.page
    }
}
