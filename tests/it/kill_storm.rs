//! A hundred thousand calls while workers are killed all the time: each has exactly one outcome, and it is true.
//!
//! What is true is known from a record that the calls themselves keep: each writes its number before it does anything. The
//! killer is driven by the outcomes, so that the pool always gets somewhere, and by a generator with a fixed seed.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use loky::{Execution, Future, ProcessPoolExecutor};
use loky_tests::signal::kill;
use loky_tests::{Random, Record, isolated};

/// Notes that it began, and answers. Every now and then the answer is longer than any socket's buffer.
#[loky::task]
fn note(number: u64, record: Record) -> (u64, String) {
    record.note(number);
    let length = if number.is_multiple_of(2048) { 600_000 } else { 10 };
    (number, "x".repeat(length))
}

/// Kills a worker for every so many outcomes, until there are no more. Returns how many.
fn kill_on(
    outcomes: &mpsc::Receiver<()>,
    outcomes_per_kill: usize,
    executor: &ProcessPoolExecutor,
) -> usize {
    let mut random = Random::new(1);
    let mut kills = 0;
    for (i, ()) in outcomes.iter().enumerate() {
        let pids = executor.worker_pids();
        if i % outcomes_per_kill == 0 && !pids.is_empty() {
            kills += usize::from(kill(pids[random.below(pids.len())], libc::SIGKILL));
        }
    }
    kills
}

/// Insists that the outcome is true of a call that ran so many times. Returns whether it is a failure.
#[track_caller]
fn check_outcome(call: &Future<(u64, String)>, number: u64, starts: usize) -> bool {
    match call.result() {
        Ok((answer, text)) => {
            assert_eq!((answer, starts), (number, 1));
            assert!(text.bytes().all(|byte| byte == b'x') && text.len() >= 10);
            false
        }
        Err(error) => {
            assert!(error.is_terminated_worker(), "{error:?}");
            assert_eq!(error.worker_exit().unwrap().to_string(), "SIGKILL(-9)");
            // One that was killed under way may have come to its first line or not; one that is said not to have
            // started, and was given up after several deaths, has not.
            let is_started = error.execution() == Execution::Started;
            assert!(starts <= usize::from(is_started), "{error:?}");
            assert!(
                is_started || error.to_string().starts_with("8 workers died before"),
                "{error}"
            );
            true
        }
    }
}

#[track_caller]
fn check_storm(n_calls: usize, outcomes_per_kill: usize) {
    let record = Record::new();
    let executor = ProcessPoolExecutor::builder().max_workers(4).build().unwrap();
    executor.prewarm().unwrap();
    let counts: Arc<[_]> = (0..n_calls).map(|_| AtomicU8::new(0)).collect();
    let (sender, outcomes) = mpsc::channel();
    let (calls, kills) = thread::scope(|scope| {
        let executor = &executor;
        let killer = scope.spawn(move || kill_on(&outcomes, outcomes_per_kill, executor));
        let calls: Vec<_> = (0..n_calls)
            .map(|index| {
                let call = executor.submit(note, (index as u64, record.clone()));
                let (counts, sender) = (Arc::clone(&counts), sender.clone());
                call.add_done_callback(move |_| {
                    counts[index].fetch_add(1, Ordering::Relaxed);
                    sender.send(()).expect("the killer listens");
                });
                call
            })
            .collect();
        drop(sender);
        (calls, killer.join().unwrap())
    });

    let starts = record.counts(n_calls);
    let mut failures = 0;
    for (index, call) in calls.iter().enumerate() {
        assert_eq!(counts[index].load(Ordering::Relaxed), 1, "outcomes of call {index}");
        failures += usize::from(check_outcome(call, index as u64, starts[index]));
    }
    assert!(kills > n_calls / outcomes_per_kill / 2, "{kills}");
    // None, where calls are given out so sparingly that most deaths find an idle worker.
    assert!(failures <= kills, "{failures} calls failed by {kills} deaths");
    assert!(!executor.is_broken());
    executor.prewarm().unwrap();
    assert_eq!(executor.worker_pids().len(), 4);
}

#[test]
fn every_call_has_one_true_outcome() {
    isolated(|| check_storm(100_000, 1000));
}

/// Many a call is given to several workers before one lives long enough to begin it.
#[test]
fn every_call_has_one_true_outcome_when_hardly_a_worker_lives() {
    isolated(|| check_storm(10_000, 30));
}
