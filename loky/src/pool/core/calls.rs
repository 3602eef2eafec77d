//! What users do with calls: submit them, cancel them, and ask where they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Core;
use crate::future::{CallRef, Cancelled, DriverRef, OutcomeCell};
use crate::id::{CallId, WorkerId};
use crate::observer::Event;
use crate::pool::batcher::Admission;
use crate::pool::call_table::RemovedCall;
use crate::pool::effects::EndedCall;
use crate::pool::outcome::CallEnd;
use crate::scheduler::{CallState, Refusal};
use crate::transport::slots::table::Progress;
use crate::wire::args::CallArgs;

impl Core {
    /// Accepts a call. `may_batch`: it may travel with others, as far as the pool and its arguments go.
    pub(in crate::pool) fn submit(
        &mut self,
        now: Instant,
        task: &'static str,
        args: CallArgs,
        may_batch: bool,
        driver: &DriverRef,
    ) -> Result<CallRef, Refusal> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        // The open batch, if there is one, is full, or of another task: it goes out now.
        self.drain_if_queued(now);
        let admission = match may_batch {
            true => self.admit(now, task),
            false => Admission::Alone,
        };
        let call = match admission {
            Admission::Alone => self.accept(task, args, driver).1.into(),
            Admission::Batch | Admission::Deferred => self.accept_batch(task, &args, driver),
        };
        if admission != Admission::Deferred {
            self.scheduler.advance(now);
        }
        Ok(call)
    }

    /// Accepts calls of `task` together.
    pub(in crate::pool) fn submit_all(
        &mut self,
        now: Instant,
        task: &'static str,
        calls: Vec<CallArgs>,
        driver: &DriverRef,
    ) -> Result<Vec<Arc<OutcomeCell>>, Refusal> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        self.drain_if_queued(now);
        let cells = calls.into_iter().map(|args| self.accept(task, args, driver).1).collect();
        self.scheduler.advance(now);
        Ok(cells)
    }

    /// Enters a call, or a batch, and queues it. The scheduler is to advance next.
    pub(super) fn accept(
        &mut self,
        task: &'static str,
        args: CallArgs,
        driver: &DriverRef,
    ) -> (CallId, Arc<OutcomeCell>) {
        let count = args.count();
        self.counts.note_submitted(count);
        let (call, cell) = self.calls.accept(task, args, driver);
        self.events.note(|| Event::CallSubmitted { call: call.number, task });
        self.scheduler.submit(call, count);
        (call, cell)
    }

    /// Ends a call: its outcome is delivered once the lock is released.
    pub(super) fn end_call(
        &mut self,
        call: CallId,
        ending: CallEnd,
        worker_pid: Option<u32>,
        run_time: Option<Duration>,
    ) {
        let Some(RemovedCall { promise, args, sleeper }) = self.calls.remove(call) else { return };
        debug_assert!(self.scheduler.call_state(call).is_none(), "the scheduler has let it go");
        self.counts.note_end(&ending, args.count());
        self.events.note(|| {
            let (task, error) = (promise.task(), ending.error_kind());
            Event::CallFinished { call: call.number, task, worker_pid, run_time, error }
        });
        self.effects.wake(sleeper);
        self.effects.end(EndedCall { promise, ending, worker_pid, args });
    }

    /// Cancels a call that has not begun: all of a batch that has not, or the call with this number of it.
    pub(in crate::pool) fn cancel(
        &mut self,
        now: Instant,
        call: CallId,
        number: Option<u32>,
    ) -> Cancelled {
        if let Some(number) = number {
            return self.cancel_one(now, call, number);
        }
        if let Some(CallState::Dispatched(worker)) = self.scheduler.call_state(call)
            && !self.take_back(now, worker, call)
        {
            // The caller goes on to cancel the new batches, none of which is dispatched before.
            self.divide(now, worker, call);
        }
        match self.scheduler.call_state(call) {
            Some(CallState::Queued) => {
                self.scheduler.cancel(now, call);
                Cancelled::Yes
            }
            Some(CallState::Dispatched(_)) => Cancelled::No,
            None => Cancelled::Settled,
        }
    }

    /// Cancels one call of a batch, if it has not begun.
    fn cancel_one(&mut self, now: Instant, call: CallId, number: u32) -> Cancelled {
        if self.has_left(call, number) {
            return Cancelled::Settled;
        }
        if self.calls.get(call).is_some_and(|pending| pending.args().count() == 1) {
            return self.cancel(now, call, None);
        }
        if let Some(CallState::Dispatched(worker)) = self.scheduler.call_state(call) {
            if self.has_begun(call, number) {
                return Cancelled::No;
            }
            self.take_all_back(now, worker);
        }
        match self.scheduler.call_state(call) {
            Some(CallState::Queued) => {
                self.cancel_queued(now, call, number);
                self.scheduler.advance(now);
                Cancelled::Yes
            }
            Some(CallState::Dispatched(_)) if !self.has_left(call, number) => {
                self.scheduler.advance(now);
                Cancelled::No
            }
            // The caller goes on to cancel the call in its new batch, which is not dispatched before.
            Some(CallState::Dispatched(_)) | None => {
                self.batcher.defer();
                if self.mailbox.is_thread_busy() {
                    self.flush_deferred(now);
                }
                Cancelled::Settled
            }
        }
    }

    /// Whether the call with this number is over, or in another batch.
    fn has_left(&self, call: CallId, number: u32) -> bool {
        self.calls.get(call).is_none_or(|pending| pending.is_settled(Some(number)))
    }

    /// Takes back all that a worker has not begun. (What is left of a batch from its midst must not run after the calls behind
    /// it.)
    fn take_all_back(&mut self, now: Instant, worker: WorkerId) {
        for call in self.scheduler.dispatched_to(worker).into_iter().rev() {
            if !self.take_back(now, worker, call) {
                self.divide(now, worker, call);
            }
        }
    }

    /// The process that has begun the call, or the call with this number of a batch.
    pub(in crate::pool) fn running_in(&mut self, call: CallId, number: Option<u32>) -> Option<u32> {
        let (worker, ticket) = self.calls.location(call)?;
        let link = self.links.get_mut(worker)?;
        let is_begun = link.progress(ticket).ok()? != Progress::Waiting
            && number.is_none_or(|number| link.has_begun_item(ticket, number));
        is_begun.then_some(link.pid())
    }
}
