//! The core with pages, but without processes: the tests play the workers.

use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::*;
use crate::clock;
use crate::codec::entries;
use crate::error::Execution;
use crate::future::{Cancelled, Driver, DriverRef, Waiter};
use crate::id::{CallId, Ticket};
use crate::pool::mailbox::{Attention, Job};
use crate::pool::outcome::CallEnd;
use crate::pool::worker_link::Link;
use crate::scheduler::{CallState, Rules, Verdict};
use crate::sys::socket::Socket;
use crate::transport::page::Page;
use crate::transport::slots::Claim;
use crate::wire::args::Chunk;

struct NoDriver;

impl Driver for NoDriver {
    fn wait(&self, _call: CallId, _waiter: &dyn Waiter, _deadline: Option<Instant>) {}
    fn request_background_read(&self, _call: CallId) {}
    fn cancel(&self, _call: CallId, _number: Option<u32>) -> Cancelled {
        Cancelled::No
    }
    fn running_in(&self, _call: CallId, _number: Option<u32>) -> Option<u32> {
        None
    }
}

fn driver() -> DriverRef {
    DriverRef::new(Weak::<NoDriver>::new())
}

fn core(max_workers: usize) -> Core {
    let scheduler = Scheduler::new(max_workers, Rules::default());
    Core::new(scheduler, EventLog::default(), None, true)
}

fn batch(count: u8) -> Chunk {
    let mut batch = Chunk::new(Vec::new(), 0);
    assert!((0..count).all(|number| batch.push(&[number])));
    batch
}

/// Submits calls that take a microsecond to a worker that answers each at once.
struct Submitter {
    core: Core,
    now: Instant,
    driver: DriverRef,
}

const WORKER: WorkerId = WorkerId(1);

impl Submitter {
    fn new() -> Self {
        let (mut core, now) = (core(1), clock::now());
        core.scheduler.prewarm(now);
        core.perform(now);
        assert!(core.scheduler.worker_ready(now, WORKER));
        Self { core, now, driver: driver() }
    }

    /// Submits a call. Returns whether the worker has got something by that.
    fn submit(&mut self, task: &'static str) -> bool {
        let args = CallArgs::none();
        if self.core.join(task, &args).is_none() {
            self.core.submit(self.now, task, args, true, &self.driver).unwrap();
        }
        self.is_given()
    }

    /// Whether the worker has got something, which it answers.
    fn is_given(&mut self) -> bool {
        self.core.perform(self.now);
        let given = self.core.scheduler.dispatched_to(WORKER);
        for call in &given {
            let ran = Duration::from_micros(1);
            self.core.scheduler.call_finished(self.now, WORKER, *call, ran);
            let ending = CallEnd::Judged(Verdict::Cancelled, Execution::NotStarted);
            self.core.end_call(*call, ending, None, None);
        }
        drop(self.core.take_effects(self.now).resolve());
        !given.is_empty()
    }
}

#[test]
fn burst_is_deferred_until_it_is_full_or_a_thread_looks() {
    if limits::FORCED_CHUNK == Some(1) {
        return;
    }
    let mut submitter = Submitter::new();
    for number in 1..limits::BURST_CALLS {
        assert!(submitter.submit("task"), "call {number}, when the worker has nothing to do");
    }
    let mut deferred = 0;
    while !submitter.submit("task") {
        assert!(submitter.core.is_drainable(), "or the pool thread would not look");
        deferred += 1;
    }
    assert_eq!(deferred, submitter.core.batch_size(), "it is full");
    assert!(submitter.submit("other"), "what was deferred goes out before another task");
    assert!(!submitter.is_given());

    submitter.core.drain(submitter.now);
    assert!(submitter.is_given(), "a thread has looked");
    assert!(!submitter.submit("task") && !submitter.is_given());
    submitter.core.look(submitter.now);
    assert!(submitter.is_given(), "a thread waits");
    assert!(submitter.submit("task"), "the burst is over");

    while submitter.submit("task") {}
    submitter.core.pool_thread_is_busy(submitter.now);
    assert!(submitter.is_given() && submitter.submit("task"), "no thread would look");
}

/// Two workers that are ready, and their pages.
fn two_workers() -> (Core, [Page; 2]) {
    let (mut core, now) = (core(2), clock::now());
    core.scheduler.prewarm(now);
    core.perform(now);
    drop(core.mailbox.begin_round());
    let pages = [WorkerId(1), WorkerId(2)].map(|worker| {
        let (socket, _) = Socket::pair().unwrap();
        let (page, fd) = Page::create().unwrap();
        core.links.insert(worker, Link::new(now, 0, 0, Arc::new(socket), page));
        assert!(core.scheduler.worker_ready(now, worker));
        Page::open(fd.as_fd()).unwrap()
    });
    (core, pages)
}

/// How many calls and batches the workers have.
fn n_given(core: &Core) -> usize {
    [WorkerId(1), WorkerId(2)].map(|id| core.scheduler.dispatched_to(id).len()).iter().sum()
}

#[test]
fn call_that_is_being_cancelled_is_not_dispatched_meanwhile() {
    let now = clock::now();
    for attention in [Attention::Awake, Attention::SleepsForever, Attention::Busy] {
        let (mut core, pages) = two_workers();
        let args = CallArgs::Chunk(Box::new(batch(9)));
        let (call, _cell) = core.accept("task", args, &driver());
        core.scheduler.advance(now);
        core.perform(now);
        assert_eq!(n_given(&core), 1);
        let (worker, ticket) = core.calls.location(call).unwrap();
        let page = &pages[worker.0 as usize - 1];
        assert_eq!(page.claim(ticket), Ok(Claim::Run));
        assert_eq!(page.begin_item(ticket), Ok(true));

        core.mailbox.set_attention(attention);
        assert_eq!(core.cancel(now, call, Some(4)), Cancelled::Settled, "it is divided");
        core.perform(now);
        let effects = core.take_effects(now);
        assert_eq!(effects.wakes_pool_thread(), attention == Attention::SleepsForever);
        if attention != Attention::Busy {
            assert_eq!(n_given(&core), 1);
            assert!(core.is_drainable(), "or no thread would look");
            core.drain(now);
            core.perform(now);
        }
        assert_eq!(n_given(&core), 2, "{attention:?}");
        drop(effects);
    }
}

/// A call that a worker has, its slot there, and the page.
fn given_call(core: &mut Core, pages: &[Page; 2]) -> (CallId, WorkerId, Ticket, usize) {
    let now = clock::now();
    let (call, _cell) = core.accept("task", CallArgs::none(), &driver());
    core.scheduler.advance(now);
    core.perform(now);
    let (worker, ticket) = core.calls.location(call).unwrap();
    let page = worker.0 as usize - 1;
    assert!(page < pages.len());
    (call, worker, ticket, page)
}

#[test]
fn cancel_of_running_call_leaves_it_with_its_worker() {
    let now = clock::now();
    let (mut core, pages) = two_workers();
    let (call, worker, ticket, page) = given_call(&mut core, &pages);
    assert_eq!(core.running_in(call, None), None);
    assert_eq!(pages[page].claim(ticket), Ok(Claim::Run));
    assert_eq!(core.running_in(call, None), Some(0));
    assert_eq!(core.cancel(now, call, None), Cancelled::No);
    core.perform(now);
    assert_eq!(core.calls.location(call), Some((worker, ticket)));
    assert!(!core.take_effects(now).has_outcomes());
}

#[test]
fn cancel_of_waiting_call_ends_it_once() {
    let now = clock::now();
    let (mut core, pages) = two_workers();
    let (call, _worker, ticket, page) = given_call(&mut core, &pages);
    assert_eq!(core.cancel(now, call, None), Cancelled::Yes);
    core.perform(now);
    assert!(core.take_effects(now).has_outcomes() && core.calls.get(call).is_none());
    assert_eq!(pages[page].claim(ticket), Ok(Claim::Skip), "it never runs");
    assert_eq!(core.cancel(now, call, None), Cancelled::Settled);
    core.perform(now);
    assert!(!core.take_effects(now).has_outcomes());
}

#[test]
fn call_for_a_corrupt_page_goes_to_another_worker() {
    let now = clock::now();
    let (mut core, _pages) = two_workers();
    let (first, second) = (WorkerId(1), WorkerId(2));
    core.links.get_mut(second).unwrap().mark_page_corrupt();
    let calls = [(); 2].map(|()| core.accept("task", CallArgs::none(), &driver()).0);
    core.scheduler.advance(now);
    core.perform(now);
    assert!(calls.iter().any(|call| core.calls.location(*call).is_some_and(|at| at.0 == first)));
    assert!(!calls.iter().any(|call| core.calls.location(*call).is_some_and(|at| at.0 == second)));
    let (jobs, _) = core.mailbox.begin_round();
    assert!(matches!(jobs[..], [Job::Kill { worker }] if worker == second), "{jobs:?}");
}

/// The worker has begun the first call of nine. The others move, and the batch stays what it is.
#[test]
fn divided_batch_keeps_its_id_and_its_slot() {
    let now = clock::now();
    let (mut core, pages) = two_workers();
    let (call, _cell) = core.accept("task", CallArgs::Chunk(Box::new(batch(9))), &driver());
    core.scheduler.advance(now);
    core.perform(now);
    let (worker, ticket) = core.calls.location(call).unwrap();
    let page = &pages[worker.0 as usize - 1];
    assert_eq!(page.claim(ticket), Ok(Claim::Run));
    assert_eq!(page.begin_item(ticket), Ok(true));
    for is_first in [true, false] {
        assert_eq!(core.divide(now, worker, call), is_first, "there is nothing left to divide");
        assert_eq!(core.calls.location(call), Some((worker, ticket)));
        assert_eq!(core.scheduler.call_state(call), Some(CallState::Dispatched(worker)));
        assert_eq!(core.calls.get(call).unwrap().args().count(), 1);
        assert_eq!(core.scheduler.queued_calls(), 8);
    }
    assert_eq!(page.begin_item(ticket), Ok(false));
    assert_eq!(core.running_in(call, Some(0)), Some(0));
    assert_eq!(core.running_in(call, Some(1)), None);
    assert_eq!(core.cancel(now, call, Some(0)), Cancelled::No);
    assert_eq!(core.cancel(now, call, Some(1)), Cancelled::Settled, "it is another batch now");
    assert!(core.take_effects(now).has_outcomes(), "parked threads of moved calls wait for it");
}

/// Each call of a queued batch can be cancelled. The calls before it keep the batch.
#[test]
fn cancel_in_queued_batch_leaves_the_calls_before_it() {
    for number in [0, 1, 4, 8] {
        let (mut core, now) = (core(1), clock::now());
        let (call, _cell) = core.accept("task", CallArgs::Chunk(Box::new(batch(9))), &driver());
        assert_eq!(core.cancel(now, call, Some(number)), Cancelled::Yes);
        core.perform(now);
        let kept = core.calls.get(call).map(|pending| pending.args().count());
        assert_eq!(kept, (number > 0).then_some(number));
        assert_eq!(core.scheduler.queued_calls(), 8);
        let stats = core.stats();
        assert_eq!((stats.submitted, stats.cancelled, stats.failed), (9, 1, 0));
        drop(core.take_effects(now).resolve());
    }
}

/// The sizes of what is cut off from a batch of ten behind its second call, where the last call has run for `ran`.
fn sizes_after(ran: Duration) -> Vec<u32> {
    let mut core = core(1);
    core.scheduler.call_finished(clock::now(), WORKER, CallId::NONE, ran);
    let (id, _cell) = core.calls.accept("task", CallArgs::Chunk(Box::new(batch(10))), &driver());
    let parts = core.move_tail(id, 2, None);
    let sizes: Vec<_> = parts.iter().map(|(_, count)| *count).collect();
    let firsts = parts
        .iter()
        .map(|(call, _)| entries::next(core.calls.get(*call).unwrap().args()).unwrap().0.bytes[0]);
    let expected = sizes.iter().scan(2, |next, size| Some(std::mem::replace(next, *next + size)));
    assert!(firsts.map(u32::from).eq(expected), "in their order");
    sizes
}

#[test]
fn tail_of_a_divided_batch_is_cut_to_the_present_batch_size() {
    if limits::FORCED_CHUNK.is_none() {
        assert_eq!(sizes_after(Duration::from_micros(1)), [8]);
        assert_eq!(sizes_after(Duration::from_micros(17)), [2, 2, 2, 2]);
        assert_eq!(sizes_after(Duration::from_micros(10)), [5, 3]);
        assert_eq!(sizes_after(Duration::from_millis(2)), [1; 8]);
    }
}
