//! Calls that are cancelled when a worker has them in its queue already: one that `cancel` took back never runs, one that it
//! did not take back runs once, and of any number of threads that try, all are told the same.

use std::collections::BTreeSet;
use std::iter::once;
use std::thread;

use loky::{Execution, Future, ProcessPoolExecutor, Shutdown};
use loky_tests::step::{
    Step, burst, check_returned, passes, starts_of, step, until_running, warm, warm_up,
};
use loky_tests::{Event, Random, Record, isolated};

/// Insists that the calls for which `cancel` returned true never ran and say so, and that all others ran once. Ends the
/// executor before it looks, so that what is left in a queue can no longer run behind its back.
#[track_caller]
fn check_cancelled(
    executor: &ProcessPoolExecutor,
    record: &Record,
    calls: &[Future<u64>],
    cancelled: &BTreeSet<usize>,
) {
    executor.shutdown(Shutdown::Wait);
    let starts = starts_of(calls, record);
    for (number, call) in calls.iter().enumerate() {
        assert_eq!(call.is_cancelled(), cancelled.contains(&number), "call {number}");
        if call.is_cancelled() {
            let error = call.error().unwrap();
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.execution(), Execution::NotStarted);
            assert_eq!((starts[number], call.worker_pid()), (0, None), "call {number}");
        } else {
            check_returned(number, call, &starts);
        }
    }
}

/// At once they lie in the queue of the worker that is kept; later they may have been taken back by the pool itself.
#[test]
fn a_call_that_is_cancelled_in_a_worker_s_queue_never_runs() {
    isolated(|| {
        for waits_first in [false, true].repeat(5) {
            let executor = warm(1);
            let (gate, record) = (Event::new(), Record::new());
            let steps = once(Step::Wait(gate.clone())).chain(passes(60));
            let calls = burst(&executor, &record, steps);
            if waits_first {
                until_running(&calls[0]);
            }
            let cancelled: BTreeSet<_> = (1..61).step_by(2).collect();
            for number in &cancelled {
                assert!(calls[*number].cancel() && calls[*number].is_cancelled(), "call {number}");
            }
            gate.set();
            check_cancelled(&executor, &record, &calls, &cancelled);
        }
    });
}

/// The place in the queue that it leaves is soon another call's.
#[test]
fn calls_behind_cancelled_ones_run_once() {
    isolated(|| {
        let executor = warm(1);
        let (gate, record) = (Event::new(), Record::new());
        let steps = passes(5).chain(once(Step::Wait(gate.clone()))).chain(passes(200));
        let calls = burst(&executor, &record, steps);
        until_running(&calls[5]);
        let cancelled: BTreeSet<_> = (6..200).collect();
        assert!(cancelled.iter().all(|number| calls[*number].cancel()));
        gate.set();
        check_cancelled(&executor, &record, &calls, &cancelled);
    });
}

/// Submits a thousand quick calls and cancels half of them on the way, the latest ones, some of which have begun by then.
fn cancel_at_random(
    executor: &ProcessPoolExecutor,
    record: &Record,
    seed: u64,
) -> (Vec<Future<u64>>, BTreeSet<usize>) {
    let mut random = Random::new(seed);
    let (mut calls, mut cancelled) = (Vec::new(), BTreeSet::new());
    for number in 0..1000 {
        calls.push(executor.submit(step, (number, Some(record.clone()), Step::Pass)));
        if calls.len() % 40 == 0 {
            let tries = [(); 20].map(|()| calls.len() - 1 - random.below(40));
            cancelled.extend(tries.into_iter().filter(|number| calls[*number].cancel()));
        }
    }
    (calls, cancelled)
}

#[test]
fn cancelling_at_random_at_full_speed_tells_the_truth() {
    isolated(|| {
        let mut n_cancelled = 0;
        for (seed, max_workers) in (0..20).zip([1, 2].into_iter().cycle()) {
            let executor = warm(max_workers);
            let record = Record::new();
            let (calls, cancelled) = cancel_at_random(&executor, &record, seed);
            n_cancelled += cancelled.len();
            check_cancelled(&executor, &record, &calls, &cancelled);
        }
        assert!(n_cancelled > 0, "each try came too late");
    });
}

/// What each of these calls' `cancel` said.
fn cancel_all(calls: &[Future<u64>]) -> BTreeSet<usize> {
    (0..calls.len()).filter(|number| calls[*number].cancel()).collect()
}

#[test]
fn all_who_cancel_are_told_the_same() {
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
                // Who came before another one had taken it back heard nothing of it only if it could not be taken back.
                let is_told = told.iter().any(|cancelled| cancelled.contains(&number));
                assert_eq!(call.is_cancelled(), is_told, "call {number}");
                assert!(told.iter().all(|cancelled| cancelled.contains(&number) == is_told));
                assert_eq!(starts[number], usize::from(!is_told), "call {number}");
            }
        }
    });
}
