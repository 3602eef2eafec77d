//! Short calls that are submitted one by one travel in batches. Each future belongs to its own call, also when the call moves.
//!
//! Properties that each batch has are in `batches.rs`.

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
fn callbacks_of_batch_are_called_once_in_order() {
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
                // A callback that is added after the outcome runs at once, perhaps before the others.
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
fn futures_of_batch_can_be_polled() {
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
fn wait_and_as_completed_see_each_call_of_batch_once() {
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
fn results_of_batch_can_be_read_in_any_order_and_again() {
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

/// The pool dispatches deferred calls of a burst soon, also if no thread asks for them.
#[test]
fn burst_without_waiting_thread_runs() {
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
fn calls_start_in_order_of_submits() {
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
fn kill_reports_running_call_of_batch_as_started() {
    isolated(|| {
        for before in BEFORE {
            let (executor, _gate, record, calls) = around(1, before);
            until_running(&calls[before]);
            executor.shutdown(Shutdown::Kill);
            let starts = starts_of(&calls, &record);
            for (number, call) in calls.iter().enumerate() {
                // The pool does not look for answers in a stream then, as it does in a lane.
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

/// A call whose answer does not fit beside those before it ends its chunk, and the answer is under way for a while.
#[test]
fn calls_behind_long_answer_have_not_begun() {
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

/// Returns a text of which a letter has room for two.
#[loky::task]
fn note_and_fill(number: u64, record: Record) -> String {
    record.note(number);
    "x".repeat(30_000)
}

/// A call is cancelled in a batch whose first answers are there, but not yet read.
#[test]
fn cancel_calls_back_cancelled_calls_only() {
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

/// Cancels all calls. Returns the numbers of those for which `cancel` returned true.
fn cancel_all(calls: &[Future<u64>]) -> BTreeSet<usize> {
    (0..calls.len()).filter(|number| calls[*number].cancel()).collect()
}

#[test]
fn cancel_on_several_threads_returns_equal_answers() {
    isolated(|| {
        let executor = warm(2);
        for _ in 0..10 {
            warm_up(&executor, 500);
            let record = Record::new();
            let calls = burst(&executor, &record, passes(300));
            let told = thread::scope(|scope| {
                let threads = [(); 3].map(|()| scope.spawn(|| cancel_all(&calls)));
                threads.map(|thread| thread.join().unwrap())
            });
            let starts = starts_of(&calls, &record);
            for (number, call) in calls.iter().enumerate() {
                // A thread that came before another one had revoked the call got a "no" only if it could not be revoked.
                let is_told = told.iter().any(|cancelled| cancelled.contains(&number));
                assert_eq!(call.is_cancelled(), is_told, "call {number}");
                assert!(told.iter().all(|cancelled| cancelled.contains(&number) == is_told));
                assert_eq!(starts[number], usize::from(!is_told), "call {number}");
            }
        }
    });
}
