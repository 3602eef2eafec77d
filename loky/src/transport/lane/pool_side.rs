//! The pool's side of a lane.

use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::adaptive_spin::AdaptiveSpin;
use crate::clock;
use crate::id::Ticket;
use crate::limits;
use crate::sys::{cpu, futex};
use crate::transport::page::{Page, SlotFrame};
use crate::transport::words::PageCorrupt;
use crate::transport::words::sleep::{IN_POLL, ON_FUTEX, PoolSleep, WorkerSleep};

/// The lane to one worker. The calls in it are in its [`SlotTable`](crate::transport::slots::table::SlotTable).
#[derive(Clone, Debug)]
pub(crate) struct PoolLane {
    shared: Arc<Shared>,
}

/// The part that all threads of this process share, and the worker does not.
#[derive(Debug)]
struct Shared {
    page: Arc<Page>,
    /// The number of times that a reader was told to come back.
    disturbances: AtomicU64,
    spin: AdaptiveSpin,
}

impl PoolLane {
    pub(crate) fn new(page: Arc<Page>) -> Self {
        PoolSleep(page.pool_sleep()).end_sleep();
        let (disturbances, spin) = (AtomicU64::new(0), AdaptiveSpin::default());
        Self { shared: Arc::new(Shared { page, disturbances, spin }) }
    }

    fn page(&self) -> &Page {
        &self.shared.page
    }

    fn worker_sleep(&self) -> WorkerSleep<'_, AtomicU64> {
        WorkerSleep(self.page().worker_sleep())
    }

    fn sleep(&self) -> PoolSleep<'_, AtomicU64> {
        PoolSleep(self.page().pool_sleep())
    }

    /// Writes the frame of a call. Returns false if it is too long, and must go over the stream.
    pub(crate) fn write(&self, ticket: Ticket, (kind, body): (u8, &[u8])) -> bool {
        self.page().write(ticket, kind, body)
    }

    /// Notes in the slot that the call goes over the stream.
    pub(crate) fn write_on_stream(&self, ticket: Ticket) {
        self.page().write_on_stream(ticket);
    }

    /// Wakes the worker if it sleeps. Follows a dispatch.
    pub(crate) fn wake_worker(&self) {
        let sleep = self.worker_sleep();
        if sleep.take_sleeper() {
            futex::wake(sleep.0);
        }
    }

    /// Has the worker look at the stream for an order, all of which is there.
    pub(crate) fn order(&self) {
        self.page().orders().fetch_add(1, Ordering::Release);
        self.wake_worker();
    }

    /// Returns the head of an answer.
    pub(crate) fn frame(&self, ticket: Ticket) -> Result<SlotFrame, PageCorrupt> {
        self.page().frame(ticket)
    }

    /// Appends an answer of `length` bytes to `out`.
    pub(crate) fn read(&self, ticket: Ticket, length: usize, out: &mut Vec<u8>) {
        self.page().read(ticket, length, out);
    }

    /// Appends the first `length` bytes of the answers of a batch to `out`.
    pub(crate) fn read_answers(&self, ticket: Ticket, length: usize, out: &mut Vec<u8>) {
        self.page().read_answers(ticket, length, out);
    }

    /// Returns whether the worker is through with this call: it has answered it, or skipped it after it was revoked.
    pub(crate) fn is_settled(&self, ticket: Ticket) -> bool {
        self.page().is_settled(ticket)
    }

    /// Announces that the reader sleeps in poll until the call `wanted` is answered. Returns false if it is answered already.
    #[must_use]
    pub(crate) fn may_poll(&self, wanted: Ticket) -> bool {
        self.sleep().begin_sleep(IN_POLL, wanted.sequence());
        !self.page().is_settled(wanted)
    }

    /// Ends the sleep that [`may_poll`](Self::may_poll) announced.
    pub(crate) fn wake_up(&self) {
        self.sleep().end_sleep();
    }

    /// Returns the number of times that the reader was disturbed. The reader asks under the pool's lock, before another thread can
    /// have a reason to disturb it.
    pub(crate) fn disturbances(&self) -> u64 {
        self.shared.disturbances.load(Ordering::Acquire)
    }

    /// Has the reader come back from [`wait`](Self::wait), whatever the worker does.
    pub(crate) fn disturb(&self) {
        self.shared.disturbances.fetch_add(1, Ordering::AcqRel);
        let sleep = self.sleep();
        sleep.wake_futex();
        futex::wake(sleep.0);
    }

    /// Wakes the worker, whatever its sleep word says, and has it look at lane and stream.
    pub(crate) fn shake_worker(&self) {
        self.page().orders().fetch_add(1, Ordering::Release);
        let sleep = self.worker_sleep();
        sleep.end_sleep();
        futex::wake(sleep.0);
    }

    /// Returns whether long frames take memory.
    pub(crate) fn has_long(&self) -> bool {
        self.page().has_long()
    }

    /// Gives the memory of long frames back. The worker must have answered all its calls.
    pub(crate) fn give_back_long(&self) {
        self.page().give_back_long();
    }

    /// Waits until the call `wanted` is answered, until the reader was disturbed more than `seen` times, or until `deadline`. It may
    /// return without a reason.
    ///
    /// With `spins` it looks for the answer for a moment first, if the worker is on another CPU and looking has paid off of late.
    pub(crate) fn wait(&self, wanted: Ticket, seen: u64, deadline: Option<Instant>, spins: bool) {
        if self.page().is_settled(wanted) || (spins && self.spin(wanted)) {
            return;
        }
        let sleep = self.sleep();
        sleep.begin_sleep(ON_FUTEX, wanted.sequence());
        if !self.page().is_settled(wanted) && self.disturbances() == seen {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::now()));
            futex::wait(sleep.0, ON_FUTEX, left);
        }
        sleep.end_sleep();
    }

    /// Looks for the answer for a moment, if that has paid off of late. Returns whether it has come.
    fn spin(&self, wanted: Ticket) -> bool {
        if self.page().worker_cpu().load(Ordering::Relaxed) == cpu::current() {
            return false; // The worker cannot run before this thread sleeps.
        }
        let spin = &self.shared.spin;
        if !spin.is_worthwhile() {
            return false;
        }
        let has_found = self.look(wanted);
        spin.note(has_found);
        has_found
    }

    fn look(&self, wanted: Ticket) -> bool {
        /// The number of looks between two readings of the clock.
        const LOOKS: u32 = 64;
        let end = clock::now() + limits::SPIN;
        loop {
            for _ in 0..LOOKS {
                if self.page().is_settled(wanted) {
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
        self.page()
    }
}
