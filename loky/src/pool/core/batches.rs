//! Batches: calls of one task that are given to a worker, and answered, together; and what becomes of one that its worker does not
//! run through.
//!
//! To the scheduler, and in the call table, a batch is one call, with one outcome cell to wait for. It is *divided* when one of
//! its calls runs for long, when it is cancelled, and when its worker dies:
//!
//! ```text
//!   batch   │ answered  …  │ runs │ not begun  …  │
//!                 │           │         └─ new batches, at the front of the queue
//!                 │           └─ a call of its own, which keeps the slot in the worker
//!                 └─ what the batch itself has come to; its outcome names the cells of the others
//! ```
//!
//! A `map` makes its batches itself. Calls that are submitted one by one join one that waits ([`batcher`](crate::pool::batcher)).
//!
//! A batch also ends early if its worker has an answer that cannot lie beside the others: that answer comes alone, over the
//! stream, and the calls behind it were not begun.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Core;
use crate::error::Execution;
use crate::future::DriverRef;
use crate::future::chunk::{CallRef, MovedTail};
use crate::future::slot::Slot;
use crate::id::{CallId, Ticket, WorkerId};
use crate::pool::batcher::Admission;
use crate::pool::call_table::Location;
use crate::pool::effects::EndedCall;
use crate::pool::outcome::{Answers, CallEnd};
use crate::scheduler::{CallState, Verdict};
use crate::transport::slots::table::Progress;
use crate::wire::args::{CallArgs, Chunk};

impl Core {
    /// The batch at the end of the queue that calls may join, if there is one.
    pub(super) fn open_batch(&mut self) -> Option<CallId> {
        self.batcher.open_batch(self.scheduler.last_queued())
    }

    /// Has a call join the open batch, if it may. Nothing else follows from that.
    pub(in crate::pool) fn join(&mut self, task: &'static str, args: &CallArgs) -> Option<CallRef> {
        if self.scheduler.refusal().is_some() {
            return None;
        }
        let batch = self.open_batch()?;
        let most = self.batch_size();
        let joined = self.calls.join(batch, task, args, most)?;
        self.counts.note_submitted(1);
        self.batcher.note_joined();
        self.scheduler.batch_grew(batch);
        Some(joined)
    }

    /// How a call of `task` is taken in whose arguments are small.
    pub(super) fn admit(&mut self, now: Instant, task: &str) -> Admission {
        self.batcher.note_submitted(now);
        if task.len() >= Chunk::NAME_BYTES || self.batch_size() <= 1 {
            return Admission::Alone;
        }
        self.batcher.admit(self.scheduler.queued() > 0, self.mailbox.is_thread_busy())
    }

    /// Accepts a call as a batch that others may join.
    pub(super) fn accept_batch(
        &mut self,
        task: &'static str,
        args: &CallArgs,
        driver: &DriverRef,
    ) -> CallRef {
        let mut batch = Chunk::new(Vec::new(), 0);
        batch.push(args);
        let (call, slot) = self.accept(task, CallArgs::Chunk(Box::new(batch)), driver);
        self.batcher.open(call);
        CallRef { slot, number: Some(0) }
    }

    /// Whether its worker has begun this call of a batch.
    pub(super) fn has_begun(&mut self, call: CallId, number: u32) -> bool {
        let location = self.calls.location(call);
        let link =
            location.and_then(|(worker, ticket)| Some((self.links.get_mut(worker)?, ticket)));
        link.is_some_and(|(link, ticket)| link.has_begun_item(ticket, number))
    }

    /// Cancels one call of a queued batch: the calls before it and behind it stay where they are.
    pub(super) fn part(&mut self, call: CallId, number: u32) {
        let Some(pending) = self.calls.get(call) else { return };
        let (CallArgs::Chunk(batch), Some(driver)) = (pending.args(), pending.driver()) else {
            return;
        };
        let (task, batch) = (pending.task(), Chunk::clone(batch));
        let mut rest = MovedTail::new();
        let mut parts = Vec::new();
        if number > 0 {
            let head = CallArgs::Chunk(Box::new(batch.head(number)));
            // Not the number that the whole one has had: ids are not used again, though places are.
            let (part, slot) = self.calls.accept_part((call, 1), task, head, &driver, None);
            parts.push((part, number));
            rest.push((slot, number));
        }
        let cancelled = CallEnd::Judged(Verdict::Cancelled, Execution::NotStarted);
        rest.push((self.end_at_once(task, &driver, cancelled, CallArgs::none(), None), 1));
        parts.extend(self.tail(task, &driver, (call, &batch), number + 1, &mut rest));
        self.scheduler.batch_split(call, parts);
        self.end_call(call, CallEnd::Answers(Box::default(), rest), None, None);
    }

    /// Whether the scheduler knows of the call there. If not it is resolved, and that is about to be performed: new batches would
    /// never be resolved.
    fn is_with(&self, worker: WorkerId, call: CallId) -> bool {
        self.scheduler.call_state(call) == Some(CallState::Dispatched(worker))
    }

    /// Cuts off what a worker has not begun of a batch that it has. Returns whether anything is queued by that.
    pub(super) fn divide(&mut self, now: Instant, worker: WorkerId, call: CallId) -> bool {
        if !self.is_with(worker, call) {
            return false;
        }
        let Some((ticket, batch)) = self.calls.batch_at(worker, call) else { return false };
        let Some(link) = self.links.get_mut(worker) else { return false };
        // A worker that was slow to wake may not have begun at all: it is left the first call.
        if batch.count == 1 || link.is_through(ticket, batch.count) {
            return false;
        }
        match link.cut(ticket) {
            Ok((answers, limit)) => self.split(worker, (call, ticket, &batch), answers, limit),
            Err(fault) => {
                self.distrust(now, worker, &fault);
                false
            }
        }
    }

    /// Divides all batches of a dead worker.
    pub(super) fn divide_dead(&mut self, worker: WorkerId) {
        let Some(link) = self.links.get_mut(worker) else { return };
        // A page that is corrupt in one word is believed in none: all calls count as begun.
        let Some(begun) = link.begun_if_sound() else { return };
        let batches = begun.into_iter().filter_map(|call| {
            let (ticket, batch) = self.calls.batch_at(worker, call)?;
            (batch.count > 1 && self.is_with(worker, call)).then_some((call, ticket, batch))
        });
        let batches: Vec<_> = batches.collect();
        let Some(link) = self.links.get_mut(worker) else { return };
        let cuts: Result<Vec<_>, _> =
            batches.iter().map(|(_, ticket, _)| link.cut(*ticket)).collect();
        let Ok(cuts) = cuts else { return link.mark_page_corrupt() };
        for ((call, ticket, batch), (answers, limit)) in batches.into_iter().zip(cuts) {
            self.split(worker, (call, ticket, &batch), answers, limit);
        }
    }

    /// Makes of a batch, whose first calls have `answers` and whose worker is left `limit` calls, what it is now. Returns whether
    /// anything is queued by that.
    fn split(
        &mut self,
        worker: WorkerId,
        (call, ticket, batch): (CallId, Ticket, &Chunk),
        answers: Box<Answers>,
        limit: u32,
    ) -> bool {
        let Some(pending) = self.calls.get(call) else { return false };
        let (task, driver, has_listener) =
            (pending.task(), pending.driver(), pending.has_listener());
        let Some(driver) = driver else { return false };
        let one = CallArgs::Chunk(Box::new(batch.one(answers.count)));
        let (running, slot) = self.calls.accept_part(
            (call, answers.count),
            task,
            one,
            &driver,
            Some((worker, ticket)),
        );
        if let Some(link) = self.links.get_mut(worker) {
            link.rename(ticket, running, answers.count);
        }
        let mut rest = vec![(slot, 1)];
        let tail = self.tail(task, &driver, (call, batch), limit, &mut rest);
        let is_any_queued = !tail.is_empty();
        self.scheduler.chunk_divided(call, running, tail);
        let worker_pid = self.links.get(worker).map(|link| link.pid());
        self.end_call(call, CallEnd::Answers(answers, rest), worker_pid, None);
        if has_listener {
            self.add_listener(running);
        }
        is_any_queued
    }

    /// New batches of the calls from `first` on, if there are any, no larger than batches are made at present: where calls have
    /// turned out long, each is one of its own, and no idle worker has to wait until that is found out of each.
    pub(super) fn tail(
        &mut self,
        task: &'static str,
        driver: &DriverRef,
        (whole, batch): (CallId, &Chunk),
        mut first: u32,
        rest: &mut MovedTail,
    ) -> Vec<(CallId, u32)> {
        let most = u32::try_from(self.batch_size()).unwrap_or(u32::MAX);
        let mut parts = Vec::new();
        let mut left = (first < batch.count).then(|| batch.tail(first));
        while let Some(batch) = left {
            let count = batch.count.min(most);
            let args = CallArgs::Chunk(Box::new(batch.head(count)));
            let (call, slot) = self.calls.accept_part((whole, first), task, args, driver, None);
            rest.push((slot, count));
            parts.push((call, count));
            first += count;
            left = (count < batch.count).then(|| batch.tail(count));
        }
        parts
    }

    /// A worker has come to the end of a batch: by these answers, and `last`, which did not lie beside them. If it has not run all
    /// of the batch, the others are to run elsewhere.
    pub(super) fn batch_answered(
        &mut self,
        now: Instant,
        worker: WorkerId,
        call: CallId,
        answers: Box<Answers>,
        last: Option<CallEnd>,
        (worker_pid, ran): (u32, Duration),
    ) {
        let Some(pending) = self.calls.get(call) else { return };
        let (task, driver) = (pending.task(), pending.driver());
        let CallArgs::Chunk(batch) = pending.args() else { return };
        let (batch, Some(driver)) = (Chunk::clone(batch), driver) else { return };
        let answered = answers.count + u32::from(last.is_some());
        let mut rest = MovedTail::new();
        if let Some(ending) = last {
            let slot = self.end_at_once(task, &driver, ending, CallArgs::none(), Some(worker_pid));
            rest.push((slot, 1));
        }
        let tail = self.tail(task, &driver, (call, &batch), answered, &mut rest);
        self.scheduler.call_finished(now, worker, call, ran / answered.max(1));
        self.scheduler.chunk_ended_early(tail);
        self.end_call(call, CallEnd::Answers(answers, rest), Some(worker_pid), Some(ran));
    }

    /// Ends a batch that a worker is in the midst of, by this verdict: each of its calls by how far it has come. False if this is
    /// none.
    pub(super) fn judge_batch(
        &mut self,
        call: CallId,
        (worker, ticket): Location,
        verdict: &Verdict,
    ) -> bool {
        let Some((_, batch)) = self.calls.batch_at(worker, call) else { return false };
        let Some(link) = self.links.get_mut(worker) else { return false };
        let last = match link.progress(ticket) {
            Ok(Progress::Running) => Execution::Started,
            Ok(Progress::Finished) => Execution::Finished,
            Ok(Progress::Waiting) | Err(_) => return false,
        };
        if batch.count == 1 {
            return false;
        }
        let (Ok((answers, limit)), worker_pid) = (link.cut(ticket), Some(link.pid())) else {
            return false;
        };
        let Some(pending) = self.calls.get(call) else { return false };
        let (task, Some(driver)) = (pending.task(), pending.driver()) else { return false };
        let running = CallEnd::Judged(verdict.clone(), last);
        let running = self.end_at_once(task, &driver, running, CallArgs::none(), worker_pid);
        let mut rest = vec![(running, 1)];
        if limit < batch.count {
            let unbegun = CallEnd::Judged(verdict.clone(), Execution::NotStarted);
            let tail = CallArgs::Chunk(Box::new(batch.tail(limit)));
            let slot = self.end_at_once(task, &driver, unbegun, tail, None);
            rest.push((slot, batch.count - limit));
        }
        self.end_call(call, CallEnd::Answers(answers, rest), worker_pid, None);
        true
    }

    /// A call, or a batch, that is over as it comes into being.
    fn end_at_once(
        &mut self,
        task: &'static str,
        driver: &DriverRef,
        ending: CallEnd,
        args: CallArgs,
        worker_pid: Option<u32>,
    ) -> Arc<Slot> {
        let (promise, slot) = self.calls.promise_at_once(task, driver);
        self.counts.note_end(&ending, args.count());
        self.effects.end(EndedCall { promise, ending, worker_pid, args });
        slot
    }
}
