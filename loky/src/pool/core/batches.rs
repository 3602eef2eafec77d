//! Batches: calls of one task that are given to a worker, and answered, together; and what becomes of one that its worker does not
//! run through.
//!
//! To the scheduler, and in the call table, a batch is one call with one outcome cell. It is *divided* when one of its calls runs
//! for long, when it is cancelled, and when its worker dies:
//!
//! ```text
//!   batch   │ answered  …  │ runs │ not begun  …  │
//!                 │           │         └─ new batches, at the front of the queue: their calls move there
//!                 │           └─ stays the batch, with its id, in its slot of its worker
//!                 └─ their answers are published
//! ```
//!
//! Under the pool's lock a division moves the calls that have not begun to new cells. Once the lock is released, the answers of
//! the first calls are written into the batch's cell. [`future`](crate::future) says what a future sees of that, and why it resolves
//! exactly once. When the batch ends, the calls that it has left resolve.
//!
//! A `map` makes its batches itself. Calls that are submitted one by one join one that waits ([`batcher`](crate::pool::batcher)).
//!
//! A batch also ends early if its worker has an answer that does not fit beside the others. That answer comes alone, over the
//! stream, and the calls behind it have not begun.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Core;
use crate::error::Execution;
use crate::future::{CallRef, DriverRef, OutcomeCell};
use crate::id::{CallId, WorkerId};
use crate::pool::batcher::Admission;
use crate::pool::call_table::{Location, Moved};
use crate::pool::effects::{DividedBatch, EndedCall};
use crate::pool::outcome::{CallEnd, RawAnswers};
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
        let (call, cell) = self.accept(task, CallArgs::Chunk(Box::new(batch)), driver);
        self.batcher.open(call);
        CallRef { cell, number: Some(0) }
    }

    /// Whether its worker has begun this call of a batch.
    pub(super) fn has_begun(&mut self, call: CallId, number: u32) -> bool {
        let location = self.calls.location(call);
        let link =
            location.and_then(|(worker, ticket)| Some((self.links.get_mut(worker)?, ticket)));
        link.is_some_and(|(link, ticket)| link.has_begun_item(ticket, number))
    }

    /// Cancels one call of a queued batch. The calls before it keep the batch, the calls behind it move to a new one.
    pub(super) fn cancel_queued(&mut self, now: Instant, call: CallId, number: u32) {
        if number == 0 {
            let tail = self.move_tail(call, 1, None);
            self.scheduler.batch_divided(call, 1, tail);
            self.scheduler.cancel(now, call);
            return;
        }
        let cancelled = CallEnd::Judged(Verdict::Cancelled, Execution::NotStarted);
        let Some((cell, ended)) = self.end_at_once(call, cancelled, CallArgs::none()) else {
            return;
        };
        let tail = self.move_tail(call, number, Some((cell, 1)));
        self.scheduler.batch_divided(call, number, tail);
        self.publish(call, Box::default(), None);
        self.effects.end(ended);
    }

    /// Whether the scheduler knows of the call there. If not it is resolved, and that is about to be performed: new batches would
    /// never be resolved.
    fn is_with(&self, worker: WorkerId, call: CallId) -> bool {
        self.scheduler.call_state(call) == Some(CallState::Dispatched(worker))
    }

    /// Moves the calls that a worker has not begun of a batch to new batches. Returns whether anything is queued by that.
    pub(super) fn divide(&mut self, now: Instant, worker: WorkerId, call: CallId) -> bool {
        if !self.is_with(worker, call) {
            return false;
        }
        let Some((ticket, batch)) = self.calls.batch_at(worker, call) else { return false };
        let Some(link) = self.links.get_mut(worker) else { return false };
        // A worker that was slow to wake may not have begun at all: it is left the first call.
        if batch.count - batch.answered == 1 || link.is_through(ticket, batch.count) {
            return false;
        }
        match link.cut(ticket) {
            Ok((answers, limit)) => self.split(worker, call, answers, limit),
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
            let is_many = batch.count - batch.answered > 1;
            (is_many && self.is_with(worker, call)).then_some((call, ticket))
        });
        let batches: Vec<_> = batches.collect();
        let Some(link) = self.links.get_mut(worker) else { return };
        let cuts: Result<Vec<_>, _> = batches.iter().map(|(_, ticket)| link.cut(*ticket)).collect();
        let Ok(cuts) = cuts else { return link.mark_page_corrupt() };
        for ((call, _), (answers, limit)) in batches.into_iter().zip(cuts) {
            self.split(worker, call, answers, limit);
        }
    }

    /// Divides a batch whose worker has given these answers, and is left the first `limit` calls. Returns whether anything is queued
    /// by that.
    fn split(
        &mut self,
        worker: WorkerId,
        call: CallId,
        mut answers: Box<RawAnswers>,
        limit: u32,
    ) -> bool {
        let Some((_, batch)) = self.calls.batch_at(worker, call) else { return false };
        answers.skip(batch.answered);
        let n_left = limit - (batch.answered + answers.count);
        let tail = self.move_tail(call, limit, None);
        let is_any_queued = !tail.is_empty();
        self.scheduler.batch_divided(call, n_left, tail);
        let worker_pid = self.links.get(worker).map(|link| link.pid());
        self.publish(call, answers, worker_pid);
        is_any_queued
    }

    /// Moves the calls of a batch from `end` on to new cells, as [`CallTable::move_tail`](crate::pool::call_table::CallTable) does.
    /// Returns the new batches. These are no larger than batches are made at present: where calls have turned out long, each is one
    /// of its own, and no idle worker has to wait until that is found out of each.
    pub(super) fn move_tail(
        &mut self,
        call: CallId,
        end: u32,
        ended: Option<(Arc<OutcomeCell>, u32)>,
    ) -> Vec<(CallId, u32)> {
        let most = u32::try_from(self.batch_size()).unwrap_or(u32::MAX);
        let Moved { batches, listened } = self.calls.move_tail(call, end, ended, most);
        for batch in listened {
            self.add_listener(batch);
        }
        batches
    }

    /// Has the answers of the next calls of a divided batch published, once the lock is released. Wakes the thread that sleeps for one
    /// of its calls, since that call may be one of these, or have moved.
    fn publish(&mut self, call: CallId, answers: Box<RawAnswers>, worker_pid: Option<u32>) {
        let Some((publication, sleeper)) = self.calls.note_answered(call, answers.count) else {
            return;
        };
        self.counts.note_answers(&answers);
        self.effects.wake(sleeper);
        self.effects.publish(DividedBatch { publication, answers, worker_pid });
    }

    /// A worker has come to the end of a batch: by these answers, and `last`, which did not fit beside them. The calls that it has
    /// not run move to new batches.
    pub(super) fn batch_answered(
        &mut self,
        now: Instant,
        worker: WorkerId,
        call: CallId,
        mut answers: Box<RawAnswers>,
        last: Option<CallEnd>,
        (worker_pid, ran): (u32, Duration),
    ) {
        let Some(pending) = self.calls.get(call) else { return };
        let CallArgs::Chunk(batch) = pending.args() else { return };
        answers.skip(batch.answered);
        let n_ran = answers.count + u32::from(last.is_some());
        let end = batch.answered + n_ran;
        let tail = self.move_tail(call, end, None);
        self.scheduler.call_finished(now, worker, call, ran / n_ran.max(1));
        self.scheduler.batch_ended_early(tail);
        let ending = CallEnd::Answers(answers, last.map(Box::new));
        self.end_call(call, ending, Some(worker_pid), Some(ran));
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
        let (count, answered) = (batch.count, batch.answered);
        let Some(link) = self.links.get_mut(worker) else { return false };
        let last = match link.progress(ticket) {
            Ok(Progress::Running) => Execution::Started,
            Ok(Progress::Finished) => Execution::Finished,
            Ok(Progress::Waiting) | Err(_) => return false,
        };
        if count - answered == 1 {
            return false;
        }
        let (Ok((mut answers, limit)), worker_pid) = (link.cut(ticket), Some(link.pid())) else {
            return false;
        };
        answers.skip(answered);
        let unbegun = CallEnd::Judged(verdict.clone(), Execution::NotStarted);
        let unbegun = (limit < count).then(|| self.end_tail(call, limit, unbegun)).flatten();
        let running = CallEnd::Judged(verdict.clone(), last);
        let ending = CallEnd::Answers(answers, Some(Box::new(running)));
        self.end_call(call, ending, worker_pid, None);
        if let Some(unbegun) = unbegun {
            self.effects.end(unbegun);
        }
        true
    }

    /// Moves the calls of a batch from `first` on to a cell in which they are over.
    fn end_tail(&mut self, call: CallId, first: u32, ending: CallEnd) -> Option<EndedCall> {
        let CallArgs::Chunk(batch) = self.calls.get(call)?.args() else { return None };
        let tail = batch.tail(first);
        let count = tail.count;
        let (cell, ended) = self.end_at_once(call, ending, CallArgs::Chunk(Box::new(tail)))?;
        self.move_tail(call, first, Some((cell, count)));
        Some(ended)
    }

    /// Calls of a batch that leave it because they are over, without having begun: their cell, and what the caller has delivered.
    fn end_at_once(
        &mut self,
        of: CallId,
        ending: CallEnd,
        args: CallArgs,
    ) -> Option<(Arc<OutcomeCell>, EndedCall)> {
        let (promise, cell) = self.calls.promise_at_once(of)?;
        self.counts.note_end(&ending, args.count());
        Some((cell, EndedCall { promise, ending, worker_pid: None, args }))
    }
}
