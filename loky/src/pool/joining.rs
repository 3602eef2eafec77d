//! Calls that are submitted one by one, and wait: they join the chunk at the end of the queue.
//!
//! So where a worker would find one call behind the other, many go to it together. That takes a queue (a call for which a worker is
//! idle goes there at once), calls that are known to take little time, and the same task as the one before: the order of the calls
//! stays. One that is cancelled leaves its chunk, which is parted at its place.

use std::sync::Arc;
use std::time::Instant;

use super::chunks::Answers;
use super::outcome::{Attribution, Ending};
use super::state::State;
use crate::future::chunk::{Rest, Seat};
use crate::future::{Cancelled, DriverRef};
use crate::id::{CallId, WorkerId};
use crate::scheduler::{Place, Verdict};
use crate::wire::args::{CallArgs, Chunk};

impl State {
    /// Whether there is a chunk at the end of the queue that calls may join.
    pub(super) fn has_open_chunk(&mut self) -> bool {
        self.open = self.open.filter(|open| self.scheduler.last_queued() == Some(*open));
        self.open.is_some()
    }

    /// Has a call join that chunk, if it is one of the same task, and has room. Where it sits comes back.
    pub(super) fn join(&mut self, task: &'static str, args: &CallArgs) -> Option<Seat> {
        if !self.has_open_chunk() {
            return None;
        }
        let call = self.open?;
        let most = self.chunk();
        let pending = self.calls.get_mut(&call)?;
        let CallArgs::Chunk(chunk) = &mut pending.args else { return None };
        let number = chunk.count;
        if !std::ptr::eq(pending.promise.task(), task)
            || number as usize >= most
            || !chunk.push(args)
        {
            return None;
        }
        self.counts.submitted += 1;
        self.scheduler.chunk_grew(call);
        Some(Seat { slot: Arc::clone(pending.promise.slot()?), number: Some(number) })
    }

    /// Takes in a call that others may join.
    pub(super) fn accept_open(
        &mut self,
        task: &'static str,
        args: &CallArgs,
        driver: &DriverRef,
    ) -> Seat {
        let mut chunk = Chunk::new(Vec::new(), 0);
        chunk.push(args);
        let (call, slot) = self.accept(task, CallArgs::Chunk(Box::new(chunk)), driver);
        self.open = Some(call);
        Seat { slot, number: Some(0) }
    }

    /// Whether a call that is submitted now is to be one that others may join: it is short, and has to wait.
    pub(super) fn opens_chunk(&self, task: &str, args: &CallArgs) -> bool {
        args.is_small()
            && task.len() < Chunk::NAME_BYTES
            && self.scheduler.queued() > 0
            && self.chunk() > 1
    }

    /// Cancels one call of a chunk, if it has not begun.
    pub(super) fn cancel_one(&mut self, now: Instant, call: CallId, number: u32) -> Cancelled {
        if self.calls.get(&call).is_some_and(|pending| pending.args.count() == 1) {
            return self.cancel(now, call, None);
        }
        if let Some(Place::Given(worker)) = self.scheduler.place(call) {
            if self.has_begun(call, number) {
                return Cancelled::No;
            }
            self.take_all_back(now, worker);
        }
        let cancelled = match self.scheduler.place(call) {
            Some(Place::Queued) => {
                self.part(call, number);
                Cancelled::Yes
            }
            Some(Place::Given(_)) => Cancelled::No,
            // Who cancels it finds what it is now.
            None => Cancelled::IsOver,
        };
        self.scheduler.advance(now);
        cancelled
    }

    /// Takes back all that a worker has not begun. (What is left of a chunk from its midst is not to run after what lies behind it.)
    fn take_all_back(&mut self, now: Instant, worker: WorkerId) {
        for call in self.scheduler.given_to(worker).into_iter().rev() {
            if !self.take_back(now, worker, call) {
                self.divide(now, worker, call);
            }
        }
    }

    /// Cancels one call of a queued chunk: those before it and those behind it stay where they are.
    fn part(&mut self, call: CallId, number: u32) {
        let Some(pending) = self.calls.get(&call) else { return };
        let (CallArgs::Chunk(chunk), Some(driver)) = (&pending.args, pending.promise.driver())
        else {
            return;
        };
        let (task, chunk) = (pending.task(), Chunk::clone(chunk));
        let mut rest = Rest::new();
        let mut parts = Vec::new();
        if number > 0 {
            let head = CallArgs::Chunk(Box::new(chunk.head(number)));
            let (part, slot) = self.insert(task, head, &driver, None);
            parts.push((part, number));
            rest.push((slot, number));
        }
        let cancelled = Ending::Judged(Verdict::Cancelled, Attribution::NotBegun);
        rest.push((self.end_at_once(task, &driver, cancelled, CallArgs::none(), None), 1));
        parts.extend(self.tail(task, &driver, &chunk, number + 1, &mut rest));
        self.scheduler.chunk_parted(call, parts);
        let nothing = Box::new(Answers { bytes: Vec::new(), count: 0, failures: Vec::new() });
        self.end(call, Ending::Answers(nothing, rest), None, None);
    }
}
