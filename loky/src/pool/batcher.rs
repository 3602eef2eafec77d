//! Calls that are submitted one by one, and wait: they join the chunk at the end of the queue.
//!
//! So where a worker would find one call behind the other, many go to it together. That takes a queue, calls that are known to take
//! little time, and the same task as the one before: the order of the calls stays. One that is cancelled leaves its chunk, which is
//! parted at its place.
//!
//! A call for which a worker is idle goes there at once, but for those of a *burst*, which come one right after the other while
//! nobody waits: where workers keep up with them there would never be a queue, and each call would wake a worker that has just
//! gone to sleep, which takes longer than to run many. So a chunk of these is *held back*: until a call comes that finds it full,
//! until somebody wants to know of a call, or until the pool's thread looks, [`limits::PICK_UP`] later at most. While that thread
//! has something to do that may take longer, nothing is held back. The same goes for what a worker has lost because one of its calls
//! is being cancelled, so that this one is not begun by anybody meanwhile.

use std::sync::Arc;
use std::time::Instant;

use super::chunks::Answers;
use super::outcome::CallEnd;
use super::state::State;
use crate::error::Execution;
use crate::future::chunk::{CallRef, MovedTail};
use crate::future::{Cancelled, DriverRef};
use crate::id::{CallId, WorkerId};
use crate::limits;
use crate::scheduler::{CallState, Verdict};
use crate::wire::args::{CallArgs, Chunk};

/// How calls come.
#[derive(Debug, Default)]
pub(super) struct SubmitRate {
    /// How many have come in a row.
    calls: u32,
    /// How many of these since the clock was read.
    untimed: u32,
    last: Option<Instant>,
}

impl SubmitRate {
    /// One more has come.
    pub(super) fn note(&mut self, now: Instant) {
        let gap = limits::BURST_GAP * (self.untimed + 1);
        if self.last.is_none_or(|last| now.saturating_duration_since(last) > gap) {
            self.calls = 0;
        }
        (self.calls, self.untimed, self.last) = (self.calls.saturating_add(1), 0, Some(now));
    }

    fn note_untimed(&mut self) {
        (self.calls, self.untimed) = (self.calls.saturating_add(1), self.untimed.saturating_add(1));
    }

    /// Somebody waits, or will be told.
    pub(super) fn end(&mut self) {
        self.calls = 0;
    }

    fn is_on(&self) -> bool {
        self.calls >= limits::BURST_CALLS
    }
}

impl State {
    /// Gives workers what was held back.
    pub(super) fn flush_deferred(&mut self, now: Instant) {
        if std::mem::take(&mut self.may_hold) {
            self.scheduler.advance(now);
            self.act(now);
        }
    }

    /// What is queued may wait until the pool's thread looks.
    fn defer_dispatch(&mut self, now: Instant) {
        self.may_hold = true;
        if self.mailbox.is_thread_busy() {
            self.flush_deferred(now);
        }
    }

    /// The pool's thread is about to do something that may take long.
    pub(super) fn let_driver_work(&mut self, now: Instant) {
        self.mailbox.thread_is_busy();
        self.flush_deferred(now);
    }

    /// Takes in a call, and gives it to a worker, or not yet.
    pub(super) fn take_in_call(
        &mut self,
        now: Instant,
        task: &'static str,
        args: CallArgs,
        takes_chunks: bool,
        driver: &DriverRef,
    ) -> CallRef {
        self.burst.note(now);
        // By that, what was held back until now is given out: it is full, or of another task.
        self.drain_if_queued(now);
        let may_join = takes_chunks && self.may_join(task, &args);
        if may_join && self.burst.is_on() && !self.mailbox.is_thread_busy() {
            self.may_hold = true;
            return self.accept_open(task, &args, driver);
        }
        let seat = match may_join && self.scheduler.queued() > 0 {
            true => self.accept_open(task, &args, driver),
            false => self.accept(task, args, driver).1.into(),
        };
        self.scheduler.advance(now);
        seat
    }

    /// Whether there is a chunk at the end of the queue that calls may join.
    pub(super) fn has_open_chunk(&mut self) -> bool {
        self.open = self.open.filter(|open| self.scheduler.last_queued() == Some(*open));
        self.open.is_some()
    }

    /// Has a call join that chunk, if it is one of the same task, and has room. Where it sits comes back.
    pub(super) fn join(&mut self, task: &'static str, args: &CallArgs) -> Option<CallRef> {
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
            || !self.ids.extend(call, number)
            || !chunk.push(args)
        {
            return None;
        }
        self.counts.submitted += 1;
        self.burst.note_untimed();
        self.scheduler.batch_grew(call);
        Some(CallRef { slot: Arc::clone(pending.promise.slot()?), number: Some(number) })
    }

    /// Takes in a call that others may join.
    fn accept_open(&mut self, task: &'static str, args: &CallArgs, driver: &DriverRef) -> CallRef {
        let mut chunk = Chunk::new(Vec::new(), 0);
        chunk.push(args);
        let (call, slot) = self.accept(task, CallArgs::Chunk(Box::new(chunk)), driver);
        self.open = Some(call);
        CallRef { slot, number: Some(0) }
    }

    /// Whether a call is so short, in bytes and by what is known of its time, that it may travel with others.
    fn may_join(&self, task: &str, args: &CallArgs) -> bool {
        args.is_small() && task.len() < Chunk::NAME_BYTES && self.chunk() > 1
    }

    /// Cancels one call of a chunk, if it has not begun.
    pub(super) fn cancel_one(&mut self, now: Instant, call: CallId, number: u32) -> Cancelled {
        if self.calls.get(&call).is_some_and(|pending| pending.args.count() == 1) {
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
                self.part(call, number);
                self.scheduler.advance(now);
                Cancelled::Yes
            }
            Some(CallState::Dispatched(_)) => {
                self.scheduler.advance(now);
                Cancelled::No
            }
            // Who cancels it goes on to cancel what it is now: nobody is given that before.
            None => {
                self.defer_dispatch(now);
                Cancelled::IsOver
            }
        }
    }

    /// Takes back all that a worker has not begun. (What is left of a chunk from its midst is not to run after what lies behind it.)
    fn take_all_back(&mut self, now: Instant, worker: WorkerId) {
        for call in self.scheduler.dispatched_to(worker).into_iter().rev() {
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
        let mut rest = MovedTail::new();
        let mut parts = Vec::new();
        if number > 0 {
            let head = CallArgs::Chunk(Box::new(chunk.head(number)));
            // Not the number that the whole one has had: ids are not used again, though places are.
            let part = self.ids.part(call, 1);
            let slot = self.insert(part, task, head, &driver, None);
            parts.push((part, number));
            rest.push((slot, number));
        }
        let cancelled = CallEnd::Judged(Verdict::Cancelled, Execution::NotStarted);
        rest.push((self.end_at_once(task, &driver, cancelled, CallArgs::none(), None), 1));
        parts.extend(self.tail(task, &driver, (call, &chunk), number + 1, &mut rest));
        self.scheduler.batch_split(call, parts);
        let nothing = Box::new(Answers { bytes: Vec::new(), count: 0, failures: Vec::new() });
        self.end(call, CallEnd::Answers(nothing, rest), None, None);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::Weak;
    use std::time::Duration;

    use super::*;
    use crate::future::Driver;
    use crate::future::slot::Slot;
    use crate::pool::event_log::EventLog;
    use crate::pool::mailbox::Attention;
    use crate::pool::worker_link::Link;
    use crate::scheduler::{Rules, Scheduler};
    use crate::sys::socket::Socket;
    use crate::transport::page::Page;
    use crate::transport::slots::Claim;

    #[test]
    fn calls_in_a_row_are_a_burst_until_there_is_a_gap_or_somebody_waits() {
        let mut now = crate::clock::now();
        let mut burst = SubmitRate::default();
        let mut calls = |burst: &mut SubmitRate, count: u32, gap: Duration| {
            for _ in 0..count {
                now += gap;
                burst.note(now);
            }
        };
        calls(&mut burst, limits::BURST_CALLS - 1, limits::BURST_GAP);
        assert!(!burst.is_on());
        calls(&mut burst, 1, limits::BURST_GAP);
        assert!(burst.is_on());
        // Those that join are not looked at one by one, and take their time all the same.
        (0..99).for_each(|_| burst.note_untimed());
        calls(&mut burst, 1, limits::BURST_GAP * 100);
        assert!(burst.is_on());
        calls(&mut burst, 1, limits::BURST_GAP * 2);
        assert!(!burst.is_on(), "a gap");
        calls(&mut burst, limits::BURST_CALLS, Duration::ZERO);
        assert!(burst.is_on());
        burst.end();
        calls(&mut burst, limits::BURST_CALLS - 1, Duration::ZERO);
        assert!(!burst.is_on());
    }

    struct Nobody;

    impl Driver for Nobody {
        fn wait(&self, _call: CallId, _slot: &Slot, _deadline: Option<Instant>) {}
        fn request_background_read(&self, _call: CallId) {}
        fn request_background_read_moved(&self, _call: CallId) {}
        fn cancel(&self, _call: CallId, _number: Option<u32>) -> Cancelled {
            Cancelled::No
        }
        fn running_in(&self, _call: CallId, _number: Option<u32>) -> Option<u32> {
            None
        }
    }

    /// Calls that take a microsecond, for a worker that answers each at once.
    struct Submitter {
        state: State,
        now: Instant,
        driver: DriverRef,
    }

    const WORKER: WorkerId = WorkerId(1);

    impl Submitter {
        fn new() -> Self {
            let mut state =
                State::new(Scheduler::new(1, Rules::default()), EventLog::default(), None, true);
            let now = crate::clock::now();
            state.scheduler.prewarm(now);
            state.act(now);
            assert!(state.scheduler.worker_ready(now, WORKER));
            Self { state, now, driver: DriverRef::new(Weak::<Nobody>::new()) }
        }

        /// Submits a call. Whether the worker has got something by that.
        fn submit(&mut self, task: &'static str) -> bool {
            let args = CallArgs::none();
            if self.state.join(task, &args).is_none() {
                self.state.take_in_call(self.now, task, args, true, &self.driver);
            }
            self.is_given()
        }

        /// Whether the worker has got something, which it answers.
        fn is_given(&mut self) -> bool {
            self.state.act(self.now);
            let given = self.state.scheduler.dispatched_to(WORKER);
            for call in &given {
                let ran = Duration::from_micros(1);
                self.state.scheduler.call_finished(self.now, WORKER, *call, ran);
                let ending = CallEnd::Judged(Verdict::Cancelled, Execution::NotStarted);
                self.state.end(*call, ending, None, None);
            }
            let _ = std::mem::take(&mut self.state.effects).resolve();
            !given.is_empty()
        }
    }

    #[test]
    fn a_burst_is_held_back_until_it_is_full_or_somebody_looks() {
        if limits::FORCED_CHUNK == Some(1) {
            return;
        }
        let mut submitter = Submitter::new();
        for number in 1..limits::BURST_CALLS {
            assert!(submitter.submit("task"), "call {number}, when the worker has nothing to do");
        }
        let mut held = 0;
        while !submitter.submit("task") {
            assert!(submitter.state.is_drainable(), "or the pool's thread would not look");
            held += 1;
        }
        assert_eq!(held, submitter.state.chunk(), "it is full");
        assert!(submitter.submit("other"), "what was held back comes before another task");
        assert!(!submitter.is_given());

        submitter.state.drain(submitter.now);
        assert!(submitter.is_given(), "somebody has looked");
        assert!(!submitter.submit("task") && !submitter.is_given());
        submitter.state.burst.end();
        submitter.state.flush_deferred(submitter.now);
        assert!(submitter.is_given(), "somebody waits");
        assert!(submitter.submit("task"), "the burst is over");

        while submitter.submit("task") {}
        submitter.state.let_driver_work(submitter.now);
        assert!(submitter.is_given() && submitter.submit("task"), "nobody would look");
    }

    /// Two workers that are up, and their pages.
    fn two_workers() -> (State, [Page; 2]) {
        let mut state =
            State::new(Scheduler::new(2, Rules::default()), EventLog::default(), None, true);
        let now = crate::clock::now();
        state.scheduler.prewarm(now);
        state.act(now);
        let _ = state.mailbox.begin_round();
        let pages = [WorkerId(1), WorkerId(2)].map(|worker| {
            let (socket, _) = Socket::pair().unwrap();
            let (page, fd) = Page::create().unwrap();
            state.links.insert(worker, Link::new(now, 0, 0, Arc::new(socket), page));
            assert!(state.scheduler.worker_ready(now, worker));
            Page::open(fd.as_fd()).unwrap()
        });
        (state, pages)
    }

    /// How many chunks and calls the workers have.
    fn n_given(state: &State) -> usize {
        [WorkerId(1), WorkerId(2)].map(|id| state.scheduler.dispatched_to(id).len()).iter().sum()
    }

    #[test]
    fn what_is_to_be_cancelled_is_not_given_to_another_worker_meanwhile() {
        let now = crate::clock::now();
        let driver = DriverRef::new(Weak::<Nobody>::new());
        for asleep in [Attention::Awake, Attention::SleepsForever, Attention::Busy] {
            let (mut state, pages) = two_workers();
            let mut chunk = Chunk::new(Vec::new(), 0);
            assert!((0..9).all(|number| chunk.push(&[number])));
            let args = CallArgs::Chunk(Box::new(chunk));
            let (call, _slot) = state.accept("task", args, &driver);
            state.scheduler.advance(now);
            state.act(now);
            assert_eq!(n_given(&state), 1);
            let (worker, ticket) = state.calls.get(&call).unwrap().at.unwrap();
            let page = &pages[worker.0 as usize - 1];
            assert_eq!(page.claim(ticket), Ok(Claim::Run));
            assert_eq!(page.begin_item(ticket), Ok(true));

            state.mailbox.set_attention(asleep);
            assert_eq!(state.cancel(now, call, Some(4)), Cancelled::IsOver, "it is divided");
            let effects = state.perform(now);
            assert_eq!(effects.wakes_pool_thread(), asleep == Attention::SleepsForever);
            if asleep != Attention::Busy {
                assert_eq!(n_given(&state), 1);
                assert!(state.is_drainable(), "or nobody would look");
                state.drain(now);
            }
            assert_eq!(n_given(&state), 2, "{asleep:?}");
            drop(effects);
        }
    }
}
