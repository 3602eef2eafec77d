//! Calls that are submitted one by one and wait for a worker travel together, if they are short. Each future is told of its own
//! call all the same, wherever that has come to lie meanwhile.

use std::collections::BTreeSet;
use std::future::Future as _;
use std::iter::once;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use loky::{Execution, Future, ProcessPoolExecutor, ReturnWhen, Shutdown, as_completed, wait};
use loky_tests::step::{
    Step, burst, check_returned, passes, starts_of, until_running, warm, warm_up,
};
use loky_tests::time::LONG;
use loky_tests::{Event, Random, Record, isolated, until};

/// A pool with a burst of calls of which one blocks, in the midst of others: more than a worker is given one by one.
#[track_caller]
fn around(
    max_workers: usize,
    before: usize,
) -> (ProcessPoolExecutor, Event, Record, Vec<Future<u64>>) {
    let executor = warm(max_workers);
    let (gate, record) = (Event::new(), Record::new());
    let steps = passes(before).chain(once(Step::Wait(gate.clone()))).chain(passes(400));
    let calls = burst(&executor, &record, steps);
    (executor, gate, record, calls)
}

/// How many calls lie before the one that blocks.
const BEFORE: [usize; 5] = [0, 1, 70, 150, 500];

#[test]
fn one_that_is_cancelled_never_runs_and_the_others_do() {
    isolated(|| {
        let mut random = Random::new(11);
        for before in BEFORE {
            for one_in in [2, 10, 400] {
                let (executor, gate, record, calls) = around(1, before);
                let mut cancelled = BTreeSet::new();
                let mut numbers: Vec<_> = (before + 1..calls.len()).collect();
                (1..numbers.len()).for_each(|place| numbers.swap(place, random.below(place + 1)));
                for number in numbers.into_iter().filter(|_| random.once_in(one_in)) {
                    assert!(calls[number].cancel(), "call {number}");
                    assert!(calls[number].is_cancelled(), "call {number}: {:?}", calls[number]);
                    cancelled.insert(number);
                }
                until_running(&calls[before]);
                assert!(!calls[before].cancel());
                assert!(!calls[before + 1..].iter().any(Future::is_running), "they lie behind it");
                gate.set();
                let starts = starts_of(&calls, &record);
                for (number, call) in calls.iter().enumerate() {
                    if !cancelled.contains(&number) {
                        check_returned(number, call, &starts);
                        assert_eq!(call.worker_pid(), calls[before].worker_pid());
                        assert!(!call.cancel() && !call.is_cancelled(), "call {number}");
                        continue;
                    }
                    let error = call.error().unwrap();
                    assert!(error.is_cancelled(), "{error:?}");
                    assert_eq!(error.execution(), Execution::NotStarted);
                    assert!(call.cancel(), "it was, before");
                    assert_eq!((starts[number], call.worker_pid()), (0, None), "call {number}");
                }
                let stats = executor.stats();
                assert_eq!((stats.queued, stats.given), (0, 0));
                assert_eq!(stats.cancelled, cancelled.len() as u64);
                assert_eq!(stats.submitted, stats.succeeded + stats.cancelled);
            }
        }
    });
}

#[test]
fn callbacks_are_called_once_in_their_order() {
    isolated(|| {
        for before in BEFORE {
            let (executor, gate, record, calls) = around(1, before);
            let seen: Arc<Mutex<Vec<Vec<u32>>>> = Arc::new(Mutex::new(vec![vec![]; calls.len()]));
            let add = |number: usize, which: u32| {
                let seen = Arc::clone(&seen);
                calls[number].add_done_callback(move |future| {
                    assert!(future.is_done() && future.result().is_ok() != future.is_cancelled());
                    seen.lock().unwrap()[number].push(which);
                });
            };
            (0..calls.len()).for_each(|number| add(number, 0));
            until_running(&calls[before]);
            // By now it lies alone, and the others elsewhere.
            (0..calls.len()).for_each(|number| add(number, 1));
            for number in (before + 1..calls.len()).step_by(5) {
                assert!(calls[number].cancel());
                assert_eq!(seen.lock().unwrap()[number], [0, 1], "before `cancel` returns");
            }
            gate.set();
            starts_of(&calls, &record);
            (0..calls.len()).for_each(|number| add(number, 2));
            executor.shutdown(Shutdown::Wait);
            for (number, seen) in seen.lock().unwrap().iter().enumerate() {
                let mut sorted = seen.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, [0, 1, 2], "{before}: call {number}: {seen:?}");
                // One that comes when there is an outcome runs at once, perhaps before the others.
                let first = seen.iter().filter(|which| **which < 2);
                assert!(number < before || first.eq(&[0, 1]), "{before}: call {number}: {seen:?}");
            }
        }
    });
}

/// Wakes a thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn they_can_be_awaited() {
    isolated(|| {
        for before in BEFORE {
            let (_executor, gate, record, mut calls) = around(2, before);
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let mut context = Context::from_waker(&waker);
            let mut pending: Vec<_> = (0..calls.len()).collect();
            while !pending.is_empty() {
                pending.retain(|number| match Pin::new(&mut calls[*number]).poll(&mut context) {
                    Poll::Pending => true,
                    Poll::Ready(result) => {
                        assert_eq!(result.unwrap(), *number as u64);
                        false
                    }
                });
                if pending == [before] {
                    gate.set();
                }
                if !pending.is_empty() {
                    thread::park_timeout(LONG);
                }
            }
            assert_eq!(record.counts(calls.len()), vec![1; calls.len()]);
        }
    });
}

#[test]
fn whoever_waits_for_many_is_told_of_each_once() {
    isolated(|| {
        for before in BEFORE {
            let (_executor, gate, record, calls) = around(2, before);
            let waited = wait(&calls, ReturnWhen::FirstCompleted, Some(LONG));
            assert!(!waited.done.is_empty() && !waited.not_done.is_empty());
            let twice = calls.iter().chain(&calls).cloned();
            let mut completed = as_completed(twice).map(|future| future.result().unwrap());
            let mut seen: BTreeSet<_> = completed.by_ref().take(before + 400).collect();
            assert_eq!((seen.len(), seen.contains(&(before as u64))), (before + 400, false));
            gate.set();
            seen.extend(completed);
            assert!(seen.into_iter().eq(0..calls.len() as u64));
            let waited = wait(&calls, ReturnWhen::AllCompleted, Some(LONG));
            assert_eq!((waited.done.len(), waited.not_done.len()), (calls.len(), 0));
            assert_eq!(record.counts(calls.len()), vec![1; calls.len()]);
        }
    });
}

/// Each is asked for again and again, in any order, by several threads, also when the executor is gone.
#[test]
fn results_can_be_had_in_any_order_and_as_often_as_one_likes() {
    isolated(|| {
        let executor = warm(2);
        let record = Record::new();
        let calls = burst(&executor, &record, passes(3000));
        let ask = |seed: u64| {
            let mut random = Random::new(seed);
            for _ in 0..5000 {
                let number = random.below(calls.len());
                let call = calls[number].clone();
                assert_eq!(call.result_timeout(LONG).unwrap(), number as u64);
                assert!(call.is_done() && call.worker_pid().is_some());
            }
        };
        thread::scope(|scope| (0..3).for_each(|seed| drop(scope.spawn(move || ask(seed)))));
        drop(executor);
        ask(4);
        calls.iter().rev().zip((0..3000).rev()).for_each(|(call, number)| {
            assert_eq!(call.result().unwrap(), number);
        });
    });
}

/// What a burst holds back is given out soon, also if nobody ever asks for it.
#[test]
fn a_burst_that_nobody_waits_for_runs() {
    isolated(|| {
        let executor = warm(2);
        for length in [63, 64, 65, 66, 100, 129, 300, 1000, 3000] {
            let record = Record::new();
            let calls = burst(&executor, &record, passes(length));
            until("all have run", LONG, || record.numbers().len() == length);
            until("all are done", LONG, || calls.iter().all(Future::is_done));
            drop(calls);
            assert_eq!(record.counts(length), vec![1; length]);
        }
    });
}

/// Tasks of another name, or with long arguments, come in between, and all in their order.
#[test]
fn the_order_is_that_of_the_submits() {
    isolated(|| {
        let executor = warm(1);
        for _ in 0..5 {
            warm_up(&executor, 1000);
            let record = Record::new();
            let calls: Vec<_> = (0..600)
                .map(|number: u64| {
                    let text = "x".repeat(if number.is_multiple_of(50) { 100_000 } else { 3 });
                    match number % 7 {
                        0 => executor.submit(note_text, (number, record.clone(), text)),
                        _ => executor.submit(note_number, (number, record.clone())),
                    }
                })
                .collect();
            for (number, call) in (0..).zip(&calls) {
                assert_eq!(call.result_timeout(LONG).unwrap(), number);
            }
            assert!(record.numbers().into_iter().eq(0..600), "{:?}", record.numbers());
        }
    });
}

#[loky::task]
fn note_number(number: u64, record: Record) -> u64 {
    record.note(number);
    number
}

#[loky::task]
fn note_text(number: u64, record: Record, _text: String) -> u64 {
    record.note(number);
    number
}

/// Whatever lies with it in its worker, only the one that runs is said to have started.
#[test]
fn a_shutdown_that_kills_tells_which_one_was_running() {
    isolated(|| {
        for before in BEFORE {
            let (executor, _gate, record, calls) = around(1, before);
            until_running(&calls[before]);
            executor.shutdown(Shutdown::Kill);
            let starts = starts_of(&calls, &record);
            for (number, call) in calls.iter().enumerate() {
                // What lies in a stream nobody looks for, as one does in a lane.
                let may_be_unread = cfg!(loky_force_stream);
                let unread = call.error().filter(|error| error.execution() == Execution::Finished);
                if number < before && may_be_unread && unread.is_some() {
                    assert_eq!(starts[number], 1, "call {number}");
                    continue;
                }
                if number < before {
                    check_returned(number, call, &starts);
                    continue;
                }
                let error = call.result().unwrap_err();
                assert!(error.is_shutdown_executor(), "{before}: call {number}: {error:?}");
                let execution =
                    if number == before { Execution::Started } else { Execution::NotStarted };
                assert_eq!(error.execution(), execution, "{before}: call {number}: {error:?}");
                // It counts as running from a moment before its first line on.
                assert!(starts[number] <= usize::from(number == before), "call {number}");
            }
        }
    });
}

/// Threads submit, cancel and wait at full speed.
#[test]
fn threads_that_submit_and_cancel_at_once_are_told_the_truth() {
    isolated(|| {
        let executor = warm(2);
        let record = Record::new();
        thread::scope(|scope| {
            for thread in 0..3_u64 {
                let (executor, record) = (executor.clone(), &record);
                scope.spawn(move || {
                    let mut random = Random::new(thread);
                    for round in 0..20 {
                        let first = (thread * 20 + round) * 300;
                        let number = |at: usize| first + at as u64;
                        let calls: Vec<_> = (0..300)
                            .map(|at| executor.submit(note_number, (number(at), record.clone())))
                            .collect();
                        let mut cancelled = BTreeSet::new();
                        for _ in 0..50 {
                            let at = random.below(300);
                            if calls[at].cancel() {
                                cancelled.insert(at);
                            }
                        }
                        for (at, call) in calls.iter().enumerate() {
                            let result = call.result_timeout(LONG);
                            match cancelled.contains(&at) {
                                false => assert_eq!(result.unwrap(), number(at)),
                                true => assert!(result.unwrap_err().is_cancelled()),
                            }
                        }
                    }
                });
            }
        });
        until("all is over", LONG, || executor.stats().given == 0);
        let stats = executor.stats();
        assert_eq!(stats.submitted, stats.succeeded + stats.cancelled);
        let counts = record.counts(18_000);
        let n_ran = counts.iter().filter(|count| **count == 1).count();
        assert_eq!(n_ran as u64 + stats.cancelled, 18_000);
        assert!(counts.iter().all(|count| *count <= 1), "none ran twice");
    });
}

/// A call whose answer does not fit beside those before it ends its chunk, and the answer is under way for a while.
#[test]
fn what_lies_behind_a_long_answer_has_not_begun() {
    isolated(|| {
        for round in 0..40 {
            let executor = warm(1);
            let record = Record::new();
            let calls: Vec<_> = (0..100)
                .map(|number| executor.submit(note_and_fill, (number, record.clone())))
                .collect();
            until("some run", LONG, || record.numbers().len() > round);
            if round % 2 == 0 {
                let refused = calls.iter().rev().filter(|call| !call.cancel());
                let n_refused = refused.count();
                assert!(record.numbers().len() + 1 >= n_refused, "{n_refused} had not begun");
            } else {
                executor.shutdown(Shutdown::Kill);
            }
            let starts = starts_of(&calls, &record);
            let ended = |call: &Future<String>| call.error().map(|error| error.execution());
            let unbegun = calls.iter().zip(starts).filter(|(_, starts)| *starts == 0);
            let said = unbegun.filter(|(call, _)| ended(call) != Some(Execution::NotStarted));
            assert!(said.count() <= 1, "the one that its worker was about to begin");
        }
    });
}

/// So long that a letter has room for two.
#[loky::task]
fn note_and_fill(number: u64, record: Record) -> String {
    record.note(number);
    "x".repeat(30_000)
}

/// A call is cancelled in a chunk of which some are answered, but nobody has been told yet.
#[test]
fn only_what_is_cancelled_is_called_back_by_who_cancels() {
    isolated(|| {
        for _ in 0..60 {
            let executor = warm(1);
            let (gate, record) = (Event::new(), Record::new());
            let spins = (0..100).map(|_| Step::Spin(Duration::from_micros(20)));
            let steps = spins.chain(once(Step::Wait(gate.clone()))).chain(passes(200));
            let calls = burst(&executor, &record, steps);
            let own = Arc::new(Mutex::new(BTreeSet::new()));
            let cancels = Arc::new(AtomicBool::new(false));
            for (number, call) in calls.iter().enumerate() {
                let (own, cancels, here) =
                    (Arc::clone(&own), Arc::clone(&cancels), thread::current().id());
                call.add_done_callback(move |future| {
                    if thread::current().id() == here && cancels.load(Ordering::Relaxed) {
                        own.lock().unwrap().insert((number, future.is_cancelled()));
                    }
                });
            }
            cancels.store(true, Ordering::Relaxed);
            let cancelled = (101..calls.len()).rev().step_by(7).filter(|it| calls[*it].cancel());
            let cancelled: BTreeSet<_> = cancelled.map(|number| (number, true)).collect();
            cancels.store(false, Ordering::Relaxed);
            assert_eq!(*own.lock().unwrap(), cancelled);
            gate.set();
            starts_of(&calls, &record);
        }
    });
}
