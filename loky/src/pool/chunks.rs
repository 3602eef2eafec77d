//! Chunks: calls of one task that are given to a worker, and answered, together; and what becomes of one that it does not run
//! through.
//!
//! To the scheduler, and in the tables here, a chunk is one call, with one slot to wait for. It is *divided* when one of its
//! calls runs for long, when it is cancelled, and when its worker dies:
//!
//! ```text
//!   chunk   │ answered  …  │ runs │ not begun  …  │
//!                 │           │         └─ new chunks, at the front of the queue
//!                 │           └─ a call of its own, which keeps the place in the worker
//!                 └─ what the chunk itself has come to; its outcome names the slots of the others
//! ```
//!
//! A `map` makes its chunks itself; calls that are submitted one by one [join](super::batcher) one.
//!
//! It also ends early if its worker has an answer that cannot lie beside the others: that one comes alone, over the stream, and
//! what lies behind it was not begun. What a worker has begun is known by the word of [`items`](crate::transport::slots::items).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::effects::EndedCall;
use super::fault::Fault;
use super::outcome::CallEnd;
use super::state::State;
use super::worker_link::Link;
use crate::codec::entries;
use crate::error::Execution;
use crate::future::DriverRef;
use crate::future::chunk::MovedTail;
use crate::future::slot::{Promise, Slot};
use crate::id::{CallId, Ticket, WorkerId};
use crate::limits;
use crate::scheduler::{CallState, Verdict};
use crate::transport::slots::items::Items;
use crate::transport::slots::table::Progress;
use crate::wire::args::{CallArgs, Chunk};
use crate::wire::message::{CallFailure, RESULTS};

/// The answers of the first calls of a chunk.
#[derive(Debug)]
pub(super) struct Answers {
    /// An entry each.
    pub(super) bytes: Vec<u8>,
    pub(super) count: u32,
    /// Why some have no result, by the numbers of their entries.
    pub(super) failures: Vec<(u32, CallFailure)>,
}

impl Answers {
    /// Those of so many calls, from the front of what the worker has written, but for the first few.
    fn parse(mut bytes: Vec<u8>, count: u32, before: u32) -> Result<Box<Self>, Fault> {
        const CUT: Fault = Fault("the answers of a chunk end too early");
        let skipped = entries::length_of(&bytes, before).ok_or(CUT)?;
        let mut failures = Vec::new();
        let mut rest = &bytes[skipped..];
        let count = count - before;
        for number in 0..count {
            let (entry, behind) = entries::next(rest).ok_or(CUT)?;
            if entry.is_failure {
                failures.push((
                    number,
                    CallFailure::parse(entry.bytes).map_err(|error| Fault(error.0))?,
                ));
            }
            rest = behind;
        }
        bytes.truncate(bytes.len() - rest.len());
        bytes.drain(..skipped);
        Ok(Box::new(Self { bytes, count, failures }))
    }
}

impl Link {
    /// The answers of a chunk that the worker has come to the end of.
    pub(super) fn answers(
        &mut self,
        ticket: Ticket,
        kind: u8,
        length: usize,
    ) -> Result<Box<Answers>, Fault> {
        let Items { begun, limit } = self.slots.items(ticket)?;
        if kind != RESULTS || begun != limit || begun == 0 {
            return Err(Fault("what lies in its lane is no answer of a chunk"));
        }
        let mut bytes = Vec::new();
        self.lane.read_answers(ticket, length, &mut bytes);
        Answers::parse(bytes, begun, self.slots.before(ticket))
    }

    /// Those of the calls before the last that it has begun.
    pub(super) fn answers_before_last(&mut self, ticket: Ticket) -> Result<Box<Answers>, Fault> {
        let Items { begun, .. } = self.slots.items(ticket)?;
        let before = self.slots.before(ticket);
        let done = begun.saturating_sub(1).max(before);
        let mut bytes = Vec::new();
        if done > before {
            self.lane.read_answers(ticket, limits::LETTER_BYTES, &mut bytes);
            return Answers::parse(bytes, done, before);
        }
        Ok(Box::new(Answers { bytes, count: 0, failures: Vec::new() }))
    }

    /// Leaves to the worker what it has begun of a chunk, and one call at least: the answers of all but the last of that, and how
    /// many calls it is left.
    fn cut(&mut self, ticket: Ticket) -> Result<(Box<Answers>, u32), Fault> {
        let Items { limit, .. } = self.slots.cut(ticket)?;
        Ok((self.answers_before_last(ticket)?, limit))
    }
}

impl State {
    /// How many calls are best given to a worker together.
    pub(super) fn chunk(&self) -> usize {
        let fitting = || self.scheduler.calls_within(limits::CHUNK_TIME);
        let fitting = || usize::try_from(fitting()).unwrap_or(usize::MAX);
        limits::FORCED_CHUNK.unwrap_or_else(|| fitting().clamp(1, limits::CHUNK_CALLS))
    }

    /// Whether its worker has begun this call of a chunk.
    pub(super) fn has_begun(&mut self, call: CallId, number: u32) -> bool {
        let at = self.calls.get(&call).and_then(|pending| pending.at);
        let link = at.and_then(|(worker, ticket)| Some((self.links.get_mut(&worker)?, ticket)));
        let Some((link, ticket)) = link else { return false };
        let before = link.slots.before(ticket);
        // If the page is not to be believed, it has.
        link.slots.items(ticket).map_or(true, |items| items.begun > before + number)
    }

    /// The chunk that this call is, if it lies with that worker; and its slot there.
    fn chunk_at(&self, worker: WorkerId, call: CallId) -> Option<(Ticket, Chunk)> {
        let pending = self.calls.get(&call)?;
        let (at, ticket) = pending.at?;
        match &pending.args {
            CallArgs::Chunk(chunk) if at == worker => Some((ticket, Chunk::clone(chunk))),
            _ => None,
        }
    }

    /// Whether the scheduler knows of the call there. If not it is resolved, and that is about to be performed: what it came to be
    /// now nobody would ever resolve.
    fn is_with(&self, worker: WorkerId, call: CallId) -> bool {
        self.scheduler.call_state(call) == Some(CallState::Dispatched(worker))
    }

    /// Cuts off what a worker has not begun of the chunk that it is at. True if that is to run elsewhere.
    pub(super) fn divide(&mut self, now: Instant, worker: WorkerId, call: CallId) -> bool {
        if !self.is_with(worker, call) {
            return false;
        }
        let Some((ticket, chunk)) = self.chunk_at(worker, call) else { return false };
        let Some(link) = self.links.get_mut(&worker) else { return false };
        // Its worker may have been so slow to wake that it has not even begun: it is left the first call. What is answered to its
        // end is about to be fetched; what has ended early may take longer to come.
        let is_finished = link.slots.progress(ticket) == Ok(Progress::Finished);
        let mut is_through =
            || link.slots.items(ticket).is_ok_and(|items| items.begun >= chunk.count);
        if chunk.count == 1 || (is_finished && is_through()) {
            return false;
        }
        match link.cut(ticket) {
            Ok((answers, limit)) => self.split(worker, (call, ticket, &chunk), answers, limit),
            Err(fault) => {
                self.mistrust(now, worker, &fault);
                false
            }
        }
    }

    /// The same with all chunks of a worker that is dead.
    pub(super) fn divide_dead(&mut self, worker: WorkerId) {
        let Some(link) = self.links.get_mut(&worker).filter(|link| !link.is_page_false) else {
            return;
        };
        // If the page is not to be believed in one thing, it is in none: all of them count as begun.
        let Ok(begun) = link.slots.begun() else { return };
        let chunks = begun.into_iter().filter_map(|call| {
            self.chunk_at(worker, call).map(|(ticket, chunk)| (call, ticket, chunk))
        });
        let chunks = chunks.filter(|(call, ..)| self.is_with(worker, *call));
        let chunks: Vec<_> = chunks.filter(|(.., chunk)| chunk.count > 1).collect();
        let Some(link) = self.links.get_mut(&worker) else { return };
        let cuts: Result<Vec<_>, _> =
            chunks.iter().map(|(_, ticket, _)| link.cut(*ticket)).collect();
        let Ok(cuts) = cuts else {
            link.is_page_false = true;
            return;
        };
        for ((call, ticket, chunk), (answers, limit)) in chunks.into_iter().zip(cuts) {
            self.split(worker, (call, ticket, &chunk), answers, limit);
        }
    }

    /// Makes of a chunk, of which so many calls have an answer and as many are left to the worker as `limit` says, what it is now.
    /// True if anything is to be queued.
    fn split(
        &mut self,
        worker: WorkerId,
        (call, ticket, chunk): (CallId, Ticket, &Chunk),
        answers: Box<Answers>,
        limit: u32,
    ) -> bool {
        let Some(pending) = self.calls.get(&call) else { return false };
        let (task, driver, is_attended) =
            (pending.task(), pending.promise.driver(), pending.attended);
        let Some(driver) = driver else { return false };
        let at = Some((worker, ticket));
        let one = CallArgs::Chunk(Box::new(chunk.one(answers.count)));
        let running = self.ids.part(call, answers.count);
        let slot = self.insert(running, task, one, &driver, at);
        if let Some(link) = self.links.get_mut(&worker) {
            link.slots.rename(ticket, running, answers.count);
        }
        let mut rest = vec![(slot, 1)];
        let tail = self.tail(task, &driver, (call, chunk), limit, &mut rest);
        let is_any_left = !tail.is_empty();
        self.scheduler.chunk_divided(call, running, tail);
        let worker_pid = self.links.get(&worker).map(|link| link.pid);
        self.end(call, CallEnd::Answers(answers, rest), worker_pid, None);
        if is_attended {
            self.request_background_read(running);
        }
        is_any_left
    }

    /// New chunks of the calls from this one on, if there are any, no larger than chunks are made at present: where calls have
    /// turned out long, each is one of its own, and nobody who is idle has to wait until that is found out of each.
    pub(super) fn tail(
        &mut self,
        task: &'static str,
        driver: &DriverRef,
        (whole, chunk): (CallId, &Chunk),
        mut first: u32,
        rest: &mut MovedTail,
    ) -> Vec<(CallId, u32)> {
        let most = u32::try_from(self.chunk()).unwrap_or(u32::MAX);
        let mut parts = Vec::new();
        let mut left = (first < chunk.count).then(|| chunk.tail(first));
        while let Some(chunk) = left {
            let count = chunk.count.min(most);
            let args = CallArgs::Chunk(Box::new(chunk.head(count)));
            let call = self.ids.part(whole, first);
            let slot = self.insert(call, task, args, driver, None);
            rest.push((slot, count));
            parts.push((call, count));
            first += count;
            left = (count < chunk.count).then(|| chunk.tail(count));
        }
        parts
    }

    /// A worker has come to the end of a chunk: by these answers, and `last`, which did not lie beside them. If it has not run all
    /// of it, the others are to run elsewhere.
    pub(super) fn chunk_answered(
        &mut self,
        now: Instant,
        worker: WorkerId,
        call: CallId,
        answers: Box<Answers>,
        last: Option<CallEnd>,
        (worker_pid, ran): (u32, Duration),
    ) {
        let Some(pending) = self.calls.get(&call) else { return };
        let (task, driver) = (pending.task(), pending.promise.driver());
        let CallArgs::Chunk(chunk) = &pending.args else { return };
        let (chunk, Some(driver)) = (Chunk::clone(chunk), driver) else { return };
        let answered = answers.count + u32::from(last.is_some());
        let mut rest = MovedTail::new();
        if let Some(ending) = last {
            let slot = self.end_at_once(task, &driver, ending, CallArgs::none(), Some(worker_pid));
            rest.push((slot, 1));
        }
        let tail = self.tail(task, &driver, (call, &chunk), answered, &mut rest);
        self.scheduler.call_finished(now, worker, call, ran / answered.max(1));
        self.scheduler.chunk_ended_early(tail);
        self.end(call, CallEnd::Answers(answers, rest), Some(worker_pid), Some(ran));
    }

    /// Ends a chunk that a worker is in the midst of, by this verdict: each of its calls by how far it has come. False if this is
    /// none.
    pub(super) fn judge_chunk(
        &mut self,
        call: CallId,
        (worker, ticket): (WorkerId, Ticket),
        verdict: &Verdict,
    ) -> bool {
        let Some((_, chunk)) = self.chunk_at(worker, call) else { return false };
        let Some(link) = self.links.get_mut(&worker) else { return false };
        let last = match link.slots.progress(ticket) {
            Ok(Progress::Running) => Execution::Started,
            Ok(Progress::Finished) => Execution::Finished,
            Ok(Progress::Waiting) | Err(_) => return false,
        };
        if chunk.count == 1 {
            return false;
        }
        let (Ok((answers, limit)), worker_pid) = (link.cut(ticket), Some(link.pid)) else {
            return false;
        };
        let Some(pending) = self.calls.get(&call) else { return false };
        let (task, Some(driver)) = (pending.task(), pending.promise.driver()) else { return false };
        let running = CallEnd::Judged(verdict.clone(), last);
        let running = self.end_at_once(task, &driver, running, CallArgs::none(), worker_pid);
        let mut rest = vec![(running, 1)];
        if limit < chunk.count {
            let unbegun = CallEnd::Judged(verdict.clone(), Execution::NotStarted);
            let tail = CallArgs::Chunk(Box::new(chunk.tail(limit)));
            let slot = self.end_at_once(task, &driver, unbegun, tail, None);
            rest.push((slot, chunk.count - limit));
        }
        self.end(call, CallEnd::Answers(answers, rest), worker_pid, None);
        true
    }

    /// A call, or a chunk, that is over as it comes into being.
    pub(super) fn end_at_once(
        &mut self,
        task: &'static str,
        driver: &DriverRef,
        ending: CallEnd,
        args: CallArgs,
        worker_pid: Option<u32>,
    ) -> Arc<Slot> {
        let call = self.ids.next();
        let (promise, slot) = Promise::new(task, driver, call);
        self.ids.release(call);
        self.counts.note(&ending, args.count());
        self.effects.end(EndedCall { promise, ending, worker_pid, args });
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::config::CrashPolicy;
    use crate::pool::Pool;
    use crate::pool::event_log::EventLog;
    use crate::scheduler::{Rules, Scheduler};

    /// The sizes of what is cut off from a chunk of ten behind its second call, where the last call has run for so long.
    fn sizes_after(ran: Duration) -> Vec<u32> {
        let rules = Rules {
            policy: CrashPolicy::Heal,
            depth: None,
            early_dispatch: false,
            idle_timeout: None,
            max_tasks: None,
            initializer: None,
            init_timeout: None,
        };
        let mut state = State::new(Scheduler::new(1, rules), EventLog::default(), None, true);
        state.scheduler.call_finished(crate::clock::now(), WorkerId(1), CallId::NONE, ran);
        let mut whole = Chunk::new(Vec::new(), 0);
        assert!((0..10).all(|number| whole.push(&[number])));
        let driver = DriverRef::new(Weak::<Pool>::new());
        let mut rest = MovedTail::new();
        let id = state.ids.next_batch(10);
        let parts = state.tail("krate::task", &driver, (id, &whole), 2, &mut rest);
        let sizes: Vec<_> = parts.iter().map(|(_, count)| *count).collect();
        assert!(rest.iter().map(|(_, count)| *count).eq(sizes.iter().copied()));
        let firsts = parts.iter().map(|(call, _)| {
            entries::next(&state.calls.get(call).unwrap().args).unwrap().0.bytes[0]
        });
        let expected =
            sizes.iter().scan(2, |next, size| Some(std::mem::replace(next, *next + size)));
        assert!(firsts.map(u32::from).eq(expected), "in their order");
        sizes
    }

    #[test]
    fn what_is_cut_off_is_in_chunks_of_the_size_that_is_right_by_now() {
        if limits::FORCED_CHUNK.is_none() {
            assert_eq!(sizes_after(Duration::from_micros(1)), [8]);
            assert_eq!(sizes_after(Duration::from_micros(17)), [2, 2, 2, 2]);
            assert_eq!(sizes_after(Duration::from_micros(10)), [5, 3]);
            assert_eq!(sizes_after(Duration::from_millis(2)), [1; 8]);
        }
    }
}
