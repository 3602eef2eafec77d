//! Each call of a batch is a call of its own: it runs once, fails alone and is cancelled alone, by whatever way it came there.
//!
//! The table: [`Way`] × property, which is one test each. Short calls travel in batches where they are submitted one after
//! another, and where they are the items of a map. Prefetched calls lie in the queue of a worker one by one. What only maps have
//! is in `map_batches.rs`, and what only futures have in `submitted_batches.rs` and `prefetch.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;
use std::thread;

use loky::{Error, Execution, Future, ProcessPoolExecutor, Shutdown};
use loky_tests::deed::Deed;
use loky_tests::map_orders::{CHUNKS, chunked};
use loky_tests::pools::builder;
use loky_tests::signal::Stopped;
use loky_tests::step::{Step, burst, check_returned, passes, step, until_running, warm, warm_up};
use loky_tests::time::LONG;
use loky_tests::{Event, Random, Record, isolated, until};

use Way::{Map, Prefetch, Submit};

type Outcome = loky::Result<u64>;

/// How calls come into the queue of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By `submit`, one after another: they travel in batches.
    Submit,
    /// By `submit`, on an executor with an observer, which has no batches: they are given one by one, ahead of time.
    Prefetch,
    /// As items of a map, which travel in batches.
    Map { chunksize: Option<usize>, is_ordered: bool },
}

/// A map whose batches are as long as it likes.
const ORDERED: Way = Map { chunksize: None, is_ordered: true };
const UNORDERED: Way = Map { chunksize: None, is_ordered: false };

/// Each way, with batches as long as the pool likes.
const WAYS: [Way; 4] = [Submit, Prefetch, ORDERED, UNORDERED];

/// Maps of each chunk size in each order, beside the ways without one.
fn all_ways() -> impl Iterator<Item = Way> {
    let orders = |chunksize| [true, false].map(|is_ordered| Map { chunksize, is_ordered });
    [Submit, Prefetch].into_iter().chain(CHUNKS.into_iter().flat_map(orders))
}

impl Way {
    /// Builds an executor that knows the calls to be quick.
    fn executor(self, max_workers: usize) -> ProcessPoolExecutor {
        let executor = match self {
            Prefetch => builder(max_workers).observer(|_| {}).build().unwrap(),
            _ => warm(max_workers),
        };
        executor.prewarm().unwrap();
        self.warm_up(&executor);
        executor
    }

    /// Has the pool know that calls are quick.
    #[track_caller]
    fn warm_up(self, executor: &ProcessPoolExecutor) {
        let outcomes = self.run(executor, None, passes(1000).collect());
        assert!(outcomes.into_iter().map(Result::unwrap).eq(0..1000), "{self:?}");
    }

    /// Runs a call for each step. Returns the outcomes in the order of the steps.
    #[track_caller]
    fn run(
        self,
        executor: &ProcessPoolExecutor,
        record: Option<&Record>,
        steps: Vec<Step>,
    ) -> Vec<Outcome> {
        let n_calls = steps.len();
        let args = (0..).zip(steps).map(|(number, it)| (number, record.cloned(), it));
        let outcomes: Vec<Outcome> = match self {
            Submit | Prefetch => {
                let calls: Vec<_> = args.map(|args| executor.submit(step, args)).collect();
                calls.iter().map(|call| call.result_timeout(LONG)).collect()
            }
            Map { chunksize, is_ordered: true } => {
                chunked(executor.map(step, args), chunksize).collect()
            }
            Map { chunksize, is_ordered: false } => {
                let mut outcomes = BTreeMap::new();
                for (index, outcome) in chunked(executor.map(step, args), chunksize).unordered() {
                    assert!(outcomes.insert(index, outcome).is_none(), "item {index} twice");
                }
                outcomes.into_values().collect()
            }
        };
        assert_eq!(outcomes.len(), n_calls, "{self:?}");
        outcomes
    }
}

/// Insists that each call ran once and that those fail that are to, as they are to. The others return their number.
#[track_caller]
fn check(
    way: Way,
    outcomes: &[Outcome],
    record: &Record,
    fails: impl Fn(usize) -> bool,
    is_expected: impl Fn(&Error) -> bool,
) {
    let runs = record.counts(outcomes.len());
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(runs[number], 1, "{way:?}: how often call {number} ran: {outcome:?}");
        match outcome {
            Ok(answer) => assert_eq!((*answer, fails(number)), (number as u64, false), "{way:?}"),
            Err(error) => {
                assert!(fails(number) && is_expected(error), "{way:?}: {number}: {error:?}")
            }
        }
    }
}

#[test]
fn quick_calls_run_once() {
    isolated(|| {
        for way in all_ways() {
            let executor = way.executor(2);
            for n_calls in [1, 2, 63, 64, 65, 1000] {
                warm_up(&executor, 50);
                let record = Record::new();
                let outcomes = way.run(&executor, Some(&record), passes(n_calls).collect());
                check(way, &outcomes, &record, |_| false, |_| false);
            }
        }
    });
}

/// Ways to end a worker between two instructions.
const DEATHS: [Deed; 4] =
    [Deed::Raise(libc::SIGKILL), Deed::Abort, Deed::ExitAtOnce(3), Deed::Segfault];

/// Runs calls of which some end their worker. Only these fail.
#[track_caller]
fn check_deaths(way: Way, executor: &ProcessPoolExecutor, dies: &[bool]) {
    way.warm_up(executor);
    let record = Record::new();
    let steps = dies.iter().enumerate().map(|(number, dies)| match dies {
        true => Step::Do(DEATHS[number % DEATHS.len()]),
        false => Step::Pass,
    });
    let outcomes = way.run(executor, Some(&record), steps.collect());
    let is_expected =
        |error: &Error| error.is_terminated_worker() && error.execution() == Execution::Started;
    check(way, &outcomes, &record, |number| dies[number], is_expected);
    assert!(!executor.is_broken());
}

#[test]
fn death_fails_one_call() {
    isolated(|| {
        for way in all_ways() {
            let executor = way.executor(2);
            let places: &[usize] =
                if WAYS.contains(&way) { &[0, 1, 7, 99, 250, 499] } else { &[0, 250] };
            for at in places {
                let dies: Vec<_> = (0..500).map(|number| number == *at).collect();
                check_deaths(way, &executor, &dies);
            }
        }
    });
}

#[test]
fn several_deaths_fail_their_calls_only() {
    isolated(|| {
        for way in WAYS {
            let executor = way.executor(1);
            let third: Vec<_> = (0..33).map(|number| number == 2).collect();
            let every_fifth: Vec<_> = (0..60).map(|number| number % 5 == 4).collect();
            for dies in [third, every_fifth] {
                check_deaths(way, &executor, &dies);
            }
            let mut random = Random::new(1);
            for _ in 0..2 {
                let dies: Vec<_> = (0..100).map(|_| random.once_in(15)).collect();
                check_deaths(way, &executor, &dies);
            }
        }
    });
}

/// The calls behind have lain in the queues of many workers that died.
#[test]
fn calls_behind_many_deaths_return() {
    isolated(|| {
        for (way, max_workers) in WAYS.into_iter().zip([1; 4]).chain([(Prefetch, 2)]) {
            let dies: Vec<_> = (0..60).map(|number| number < 30).collect();
            check_deaths(way, &way.executor(max_workers), &dies);
        }
    });
}

#[test]
fn panic_fails_one_call() {
    isolated(|| {
        for way in all_ways() {
            let executor = way.executor(2);
            let before = executor.stats();
            let n_calls = if WAYS.contains(&way) { 2000 } else { 200 };
            let panics = |number: usize| number % 5 == 3;
            let steps = (0..n_calls).map(|number| match panics(number) {
                true => Step::Do(Deed::Panic),
                false => Step::Pass,
            });
            let record = Record::new();
            let outcomes = way.run(&executor, Some(&record), steps.collect());
            check(way, &outcomes, &record, panics, |error| {
                error.is_panicked() && error.panic().is_some_and(|it| it.location().is_some())
            });
            let stats = executor.stats();
            let n_failed = stats.failed - before.failed;
            assert_eq!((stats.queued, stats.given, n_failed), (0, 0, n_calls as u64 / 5));
            assert_eq!(stats.submitted, stats.succeeded + stats.failed);
        }
    });
}

/// Calls behind the one that blocks run elsewhere, and the results of those before it arrive.
#[test]
fn blocked_call_holds_up_no_other_call() {
    isolated(|| {
        let unordered = |chunksize| Map { chunksize, is_ordered: false };
        for way in [Submit, Prefetch].into_iter().chain(CHUNKS.map(unordered)) {
            let executor = way.executor(2);
            let places: &[usize] = if WAYS.contains(&way) { &[0, 1, 100, 999] } else { &[0, 100] };
            for at in places.iter().copied() {
                way.warm_up(&executor);
                let (record, gate) = (Record::new(), Event::new());
                let wait = once(Step::Wait(gate.clone()));
                let steps = passes(at).chain(wait).chain(passes(999 - at));
                let outcomes = match way {
                    Submit | Prefetch => {
                        let calls = burst(&executor, &record, steps);
                        // No thread waits for one of them before all have run.
                        until("all calls have begun", LONG, || record.numbers().len() == 1000);
                        let others = calls.iter().enumerate().filter(|(number, _)| *number != at);
                        for (number, call) in others {
                            assert_eq!(call.result_timeout(LONG).unwrap(), number as u64);
                        }
                        assert!(!calls[at].is_done(), "{way:?}");
                        gate.set();
                        calls.iter().map(|call| call.result_timeout(LONG)).collect()
                    }
                    Map { chunksize, .. } => {
                        let args = (0..).zip(steps);
                        let args = args.map(|(number, it)| (number, Some(record.clone()), it));
                        let mut results = chunked(executor.map(step, args), chunksize).unordered();
                        let mut outcomes: BTreeMap<_, _> = results.by_ref().take(999).collect();
                        assert!(outcomes.len() == 999 && !outcomes.contains_key(&at), "{way:?}");
                        gate.set();
                        outcomes.extend(results);
                        outcomes.into_values().collect::<Vec<_>>()
                    }
                };
                assert_eq!(outcomes.len(), 1000, "{way:?}");
                check(way, &outcomes, &record, |_| false, |_| false);
            }
        }
    });
}

/// A pool does not know how long a batch takes that its worker has not begun, for want of a processor perhaps.
#[test]
fn stopped_worker_holds_up_one_call_at_most() {
    isolated(|| {
        for way in WAYS.into_iter().filter(|way| *way != ORDERED) {
            let executor = way.executor(2);
            for pid in executor.worker_pids() {
                way.warm_up(&executor);
                let record = Record::new();
                let stopped = Stopped::new(pid);
                thread::scope(|scope| {
                    let running =
                        scope.spawn(|| way.run(&executor, Some(&record), passes(200).collect()));
                    until("the others have run", LONG, || record.numbers().len() >= 199);
                    drop(stopped);
                    let outcomes = running.join().unwrap();
                    check(way, &outcomes, &record, |_| false, |_| false);
                });
            }
        }
    });
}

// ---- cancel: of futures, since a map is cancelled as a whole ----

/// Insists that the cancelled calls never ran and say so, and that the others ran once. The executor is shut down first, so that
/// a call that is left in a queue can no longer run.
#[track_caller]
fn check_cancelled(
    executor: &ProcessPoolExecutor,
    record: &Record,
    calls: &[Future<u64>],
    cancelled: &BTreeSet<usize>,
) {
    let worker = calls.iter().find_map(Future::worker_pid);
    executor.shutdown(Shutdown::Wait);
    let runs = record.counts(calls.len());
    for (number, call) in calls.iter().enumerate() {
        assert_eq!(call.is_cancelled(), cancelled.contains(&number), "call {number}");
        if call.is_cancelled() {
            let error = call.error().unwrap();
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.execution(), Execution::NotStarted);
            assert!(call.cancel(), "it was, before");
            assert_eq!((runs[number], call.worker_pid()), (0, None), "call {number}");
        } else {
            check_returned(number, call, &runs);
            assert_eq!(call.worker_pid(), worker);
            assert!(!call.cancel() && !call.is_cancelled(), "call {number}");
        }
    }
    let stats = executor.stats();
    assert_eq!((stats.queued, stats.given), (0, 0));
    assert_eq!(stats.cancelled, cancelled.len() as u64);
    assert_eq!(stats.submitted, stats.succeeded + stats.cancelled);
}

/// Submits calls to one worker, of which the one at `before` blocks, and cancels some of those behind it.
#[track_caller]
fn check_cancels(
    way: Way,
    [before, behind]: [usize; 2],
    runs_first: bool,
    mut cancels: impl FnMut(usize) -> bool,
) {
    let executor = way.executor(1);
    let (gate, record) = (Event::new(), Record::new());
    let steps = passes(before).chain(once(Step::Wait(gate.clone()))).chain(passes(behind));
    let calls = burst(&executor, &record, steps);
    if runs_first {
        until_running(&calls[before]);
    }
    let mut random = Random::new(before as u64);
    let mut numbers: Vec<_> = (before + 1..calls.len()).collect();
    (1..numbers.len()).for_each(|place| numbers.swap(place, random.below(place + 1)));
    let mut cancelled = BTreeSet::new();
    for number in numbers.into_iter().filter(|number| cancels(*number)) {
        assert!(calls[number].cancel(), "{way:?}: call {number}");
        assert!(calls[number].is_cancelled(), "{way:?}: call {number}: {:?}", calls[number]);
        cancelled.insert(number);
    }
    until_running(&calls[before]);
    assert!(!calls[before].cancel(), "it runs");
    assert!(!calls[before + 1..].iter().any(Future::is_running), "they lie behind it");
    gate.set();
    check_cancelled(&executor, &record, &calls, &cancelled);
}

/// The calls lie in a batch, in the queue of the worker or in the queue of the pool.
#[test]
fn cancel_takes_one_call_out() {
    isolated(|| {
        for way in [Submit, Prefetch] {
            let mut random = Random::new(11);
            for before in [0, 1, 70, 150, 500] {
                for one_in in [2, 10, 400] {
                    check_cancels(way, [before, 400], false, |_| random.once_in(one_in));
                }
            }
        }
    });
}

/// At once, the calls lie in the queue of the worker. Later, the pool may have revoked them.
#[test]
fn cancel_of_call_in_queue_of_worker_never_runs_it() {
    isolated(|| {
        for way in [Submit, Prefetch] {
            for runs_first in [false, true].repeat(5) {
                check_cancels(way, [0, 60], runs_first, |number| number % 2 == 1);
            }
        }
    });
}

/// The slot that a cancelled call leaves is soon another call's.
#[test]
fn calls_behind_cancelled_ones_run_once() {
    isolated(|| {
        for way in [Submit, Prefetch] {
            check_cancels(way, [5, 200], true, |number| number < 200);
        }
    });
}
