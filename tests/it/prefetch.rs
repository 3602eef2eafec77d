//! Calls in the queue of a worker before their turn: their results arrive before a death, they do not hang behind a blocked call,
//! and only the running call says that it runs.
//!
//! Properties that prefetched calls share with batches are in `batches.rs`.

use std::iter::once;
use std::thread;
use std::time::Duration;

use loky::{Future, ProcessPoolExecutor, ReturnWhen, wait};
use loky_tests::deed::Deed;
use loky_tests::step::{
    Step, burst, check_died, check_returned, passes, starts_of, until_running, warm, warm_up,
};
use loky_tests::time::LONG;
use loky_tests::{Event, Record, isolated, until};

/// Ways to end a worker between two instructions.
const DEATHS: [Deed; 4] =
    [Deed::Raise(libc::SIGKILL), Deed::Abort, Deed::ExitAtOnce(3), Deed::Segfault];

#[loky::task]
fn swell(text: String, times: usize) -> String {
    text.repeat(times)
}

/// Calls that go out many at a time, since those before them were quick.
fn swelling(executor: &ProcessPoolExecutor, text: &str, n_calls: usize) -> Vec<Future<String>> {
    let quick: Vec<_> = (0..2000).map(|_| executor.submit(swell, (String::new(), 1))).collect();
    assert!(quick.iter().all(|call| call.result().is_ok()));
    (0..n_calls).map(|_| executor.submit(swell, (text.to_owned(), 8))).collect()
}

/// Neither side reads before it has written, if both are careless.
#[test]
fn large_arguments_against_larger_results_do_not_hang() {
    isolated(|| {
        let executor = warm(2);
        let text = "0123456789abcdef".repeat(32 << 6);
        let expected = text.repeat(8);
        assert_eq!((text.len(), expected.len()), (32 << 10, 256 << 10));
        let check = |call: &Future<String>| {
            assert!(call.result_timeout(LONG).unwrap() == expected, "what came back differs");
        };
        let calls = swelling(&executor, &text, 500);
        calls.iter().for_each(check);
        let calls = swelling(&executor, &text, 500);
        calls.iter().rev().for_each(check);
        let calls = swelling(&executor, &text, 500);
        thread::scope(|scope| {
            scope.spawn(|| check(calls.last().expect("there are 500")));
            let waited = wait(&calls, ReturnWhen::AllCompleted, Some(LONG));
            assert_eq!(waited.not_done.len(), 0);
        });
        calls.iter().for_each(check);
    });
}

/// The channel closes behind them, and the death may be seen before they are read.
#[test]
fn results_just_before_death_are_delivered() {
    isolated(|| {
        let executor = warm(1);
        for (round, n_passes) in (0..60).zip([1, 2, 10, 50].into_iter().cycle()) {
            warm_up(&executor, 200);
            let record = Record::new();
            let death = Step::Do(DEATHS[round % DEATHS.len()]);
            let calls = burst(&executor, &record, passes(n_passes).chain(once(death)));
            let (dies, pass) = calls.split_last().expect("there is the death");
            if round % 3 == 0 {
                dies.error().unwrap();
            }
            let starts = starts_of(&calls, &record);
            for (number, call) in pass.iter().enumerate() {
                check_returned(number, call, &starts);
            }
            check_died(n_passes, dies, &starts);
        }
    });
}

/// As much as a socket holds, so that no thread has had to read anything.
#[test]
fn large_results_just_before_death_are_delivered() {
    isolated(|| {
        let executor = warm(1);
        let text = "0123456789abcdef".repeat(800);
        for death in DEATHS.repeat(5) {
            let large = swelling(&executor, &text, 1);
            let record = Record::new();
            let dies = burst(&executor, &record, once(Step::Do(death)));
            let starts = starts_of(&dies, &record);
            check_died(0, &dies[0], &starts);
            assert!(large[0].result().unwrap() == text.repeat(8), "what came back differs");
        }
    });
}

/// Insists that this one of the calls runs, those before it are done, and those behind it have not begun.
#[track_caller]
fn check_running(calls: &[Future<u64>], place: usize, worker: u32) {
    for (number, call) in calls.iter().enumerate() {
        let known = (call.is_done(), call.is_running(), call.worker_pid());
        let pid = (number <= place).then_some(worker);
        assert_eq!(known, (number < place, number == place, pid), "call {number} of {place}");
    }
}

#[test]
fn only_running_call_is_running() {
    isolated(|| {
        let executor = warm(1);
        let worker = executor.worker_pids()[0];
        for _ in 0..20 {
            warm_up(&executor, 200);
            let gates = [(); 10].map(|()| Event::new());
            let record = Record::new();
            let calls = burst(&executor, &record, gates.iter().cloned().map(Step::Wait));
            for (place, gate) in gates.iter().enumerate() {
                until_running(&calls[place]);
                until("it says so itself", LONG, || record.numbers().len() == place + 1);
                check_running(&calls, place, worker);
                gate.set();
                calls[place].result_timeout(LONG).unwrap();
            }
        }
    });
}

/// A call that was revoked meanwhile, or that quick calls went before, does not look as if it ran.
#[test]
fn only_running_call_is_running_after_a_while() {
    isolated(|| {
        let executor = warm(1);
        let worker = executor.worker_pids()[0];
        let (gate, record) = (Event::new(), Record::new());
        let steps = passes(30).chain(once(Step::Wait(gate.clone()))).chain(passes(30));
        let calls = burst(&executor, &record, steps);
        until_running(&calls[30]);
        until("the answers before it are read", LONG, || calls[..30].iter().all(Future::is_done));
        check_running(&calls, 30, worker);
        let error = calls[30].result_timeout(Duration::from_millis(50)).unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        check_running(&calls, 30, worker);
        gate.set();
        assert_eq!(starts_of(&calls, &record), [1; 61]);
        assert!(calls.iter().all(|call| call.is_done() && !call.is_running()));
    });
}

/// Of two workers one is kept by a call that waits for one behind it, which may lie in that worker's queue.
#[test]
fn calls_that_wait_for_later_ones_do_not_hang() {
    isolated(|| {
        let executor = warm(2);
        warm_up(&executor, 10_000);
        for (round, n_passes) in (0..100).zip([0, 1, 7, 62].into_iter().cycle()) {
            warm_up(&executor, 200);
            let (gate, record) = (Event::new(), Record::new());
            let waits = passes(round % 3).chain(once(Step::Wait(gate.clone())));
            let sets = passes(n_passes).chain(once(Step::Set(gate.clone())));
            let calls = burst(&executor, &record, waits.chain(sets));
            // The thread that waits for the first call is kept until the last has run, and may be the reader.
            let waits = &calls[round % 3];
            let result = waits.result_timeout(LONG);
            assert!(result.is_ok(), "round {round}: {result:?}");
            assert!(starts_of(&calls, &record).iter().all(|starts| *starts == 1));
        }
    });
}
