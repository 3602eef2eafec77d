//! `as_completed` over real calls: order, timeout, duplicates, and calls that fail.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use loky::{Shutdown, as_completed};
use loky_tests::held::Held;
use loky_tests::pools::executor;
use loky_tests::tasks::{exit, fail, pid, square};
use loky_tests::time::LONG;
use loky_tests::{Event, isolated};

/// Blocks until it may go on.
#[loky::task]
fn number_behind(gate: Event, number: usize) -> usize {
    gate.wait();
    number
}

/// Python loky's `test_no_timeout`.
#[test]
fn all_futures_are_yielded_once_done() {
    isolated(|| {
        let executor = executor(2);
        let mut futures: Vec<_> = (0..20).map(|x| executor.submit(square, x)).collect();
        futures.push(executor.submit(fail, "boom".into()));
        let mut completed = as_completed(futures.clone());
        assert_eq!(completed.size_hint().1, Some(21));
        let results: Vec<_> = completed.by_ref().map(|future| future.result()).collect();
        let squares: BTreeSet<_> = results.iter().flatten().copied().collect();
        assert_eq!(squares, (0..20).map(square).collect());
        let error = results.iter().find_map(|result| result.as_ref().err()).unwrap();
        assert!(results.len() == 21 && error.is_panicked(), "{results:?}");
        assert!(completed.next().is_none() && completed.size_hint() == (0, Some(0)));
        // Again, now that all are done: in the order given.
        let again: Vec<_> = as_completed(futures).flat_map(|future| future.result()).collect();
        assert_eq!(again, Vec::from_iter((0..20).map(square)));
    });
}

/// Python loky's `test_zero_timeout`.
#[test]
fn zero_timeout_yields_done_futures_then_error() {
    isolated(|| {
        let executor = executor(2);
        let held = Held::new(&executor, 1);
        let futures = [(); 3].map(|()| executor.submit(pid, ()));
        for future in &futures {
            future.result().unwrap();
        }
        let all = held.futures.iter().chain(&futures).cloned();
        let mut completed = as_completed(all).timeout(Duration::ZERO);
        for _ in 0..3 {
            completed.next().unwrap().unwrap().result().unwrap();
        }
        let error = completed.next().unwrap().unwrap_err();
        assert!(error.is_timeout());
        assert_eq!(error.to_string(), "1 (of 4) futures unfinished");
        assert!(completed.next().is_none());
        assert!(!held.futures[0].is_done(), "the call goes on");
        held.release();
        held.futures[0].result().unwrap();
    });
}

#[test]
fn timeout_counts_from_call_of_as_completed() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let limit = Duration::from_millis(100);
        let start = Instant::now();
        let mut completed = as_completed(held.futures.clone()).timeout(limit);
        assert!(completed.next().unwrap().is_err());
        assert!(start.elapsed() >= limit && start.elapsed() < LONG);
        held.release();
        let mut completed = as_completed(held.futures.clone()).timeout(LONG);
        assert!(completed.next().unwrap().is_ok() && completed.next().is_none());
    });
}

/// Python loky's `test_duplicate_futures`.
#[test]
fn duplicate_future_is_yielded_once() {
    isolated(|| {
        let executor = executor(1);
        let future = executor.submit(square, 3);
        let twice = [future.clone(), future.clone()];
        assert_eq!(as_completed(twice.clone()).count(), 1);
        assert_eq!(as_completed(twice.clone()).timeout(LONG).count(), 1);
        assert_eq!(as_completed(twice.into_iter().take(0)).count(), 0);
    });
}

#[test]
fn futures_come_in_completion_order() {
    isolated(|| {
        let executor = executor(4);
        let gates = [(); 4].map(|()| Event::new());
        let calls = gates.iter().cloned().enumerate();
        let futures = calls.map(|(number, gate)| executor.submit(number_behind, (gate, number)));
        let mut completed = as_completed(futures);
        for number in [2, 0, 3, 1] {
            gates[number].set();
            assert_eq!(completed.next().unwrap().result().unwrap(), number);
        }
        assert!(completed.next().is_none());
    });
}

#[test]
fn cancelled_and_dead_calls_are_yielded() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let (dies, is_cancelled) = (executor.submit(exit, 3), executor.submit(exit, 4));
        let mut completed = as_completed([dies, is_cancelled.clone()]);
        assert!(is_cancelled.cancel());
        assert!(completed.next().unwrap().is_cancelled());
        held.release();
        assert!(completed.next().unwrap().error().unwrap().is_terminated_worker());
        assert!(completed.next().is_none());
    });
}

#[test]
fn iterator_outlives_executor_and_may_be_dropped_early() {
    isolated(|| {
        let executor = executor(1);
        let futures: Vec<_> = (0..10).map(|x| executor.submit(square, x)).collect();
        let mut early = as_completed(futures.clone());
        assert_eq!(early.next().unwrap().result().unwrap(), 0);
        drop(early);
        let completed = as_completed(futures);
        executor.shutdown(Shutdown::Wait);
        drop(executor);
        // They are done in their order, but one that is done while it is being watched may be told of after the next ones.
        let squares: BTreeSet<_> = completed.map(|future| future.result().unwrap()).collect();
        assert!(squares.into_iter().eq((0..10).map(square)));
    });
}
