//! `map`: order, errors, timeout, laziness, and an early end.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loky::Shutdown;
use loky_tests::held::Held;
use loky_tests::pools::{executor, until_childless};
use loky_tests::tasks::{count, pid, square};
use loky_tests::time::LONG;
use loky_tests::{Event, children_of, isolated};

#[loky::task]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[loky::task]
fn divide(a: u64, b: u64) -> u64 {
    a / b
}

/// Blocks at the one number.
#[loky::task]
fn pass_but(blocked: u64, gate: Event, number: u64) -> u64 {
    if number == blocked {
        gate.wait();
    }
    number
}

#[loky::task]
fn length(text: String) -> usize {
    text.len()
}

#[loky::task]
fn say_hello(_number: u32) -> u32 {
    thread::sleep(Duration::from_millis(10));
    std::process::id()
}

/// The example of Python loky's README.
#[test]
fn map_of_50_calls_uses_all_workers() {
    isolated(|| {
        let executor = executor(4);
        let hello = executor.submit(say_hello, 0);
        assert_ne!(hello.result().unwrap(), std::process::id());
        // All are up, so that none comes too late for its share.
        executor.prewarm().unwrap();
        let pids: BTreeSet<_> = executor.map(say_hello, 0..50).map(Result::unwrap).collect();
        assert_eq!(pids, executor.worker_pids().into_iter().collect());
        assert_eq!(pids.len(), 4);
    });
}

/// Python loky's `test_map`.
#[test]
fn map_returns_results_of_all_items() {
    isolated(|| {
        let executor = executor(2);
        let pairs = || (0..100).zip((0..100).rev());
        let sums: Vec<_> = executor.map(add, pairs()).map(Result::unwrap).collect();
        assert_eq!(sums, Vec::from_iter(pairs().map(|(a, b)| add(a, b))));
        let squares: loky::Result<Vec<_>> = executor.map(square::TASK, [3, 1, 2]).collect();
        assert_eq!(squares.unwrap(), [9, 1, 4]);
        assert_eq!(executor.map(square, []).count(), 0);
        // A task without arguments, as often as there are units.
        assert_eq!(executor.map(pid, [(); 5]).filter(Result::is_ok).count(), 5);
    });
}

/// The first one waits for the last one.
#[loky::task]
fn pass_backwards(gate: Event, last: u64, number: u64) -> u64 {
    match number {
        0 => gate.wait(),
        number if number == last => gate.set(),
        _ => {}
    }
    number
}

#[test]
fn results_come_in_order_of_items() {
    isolated(|| {
        let executor = executor(2);
        let gate = Event::new();
        let items = (0..6).map(|number| (gate.clone(), 5, number));
        let numbers: Vec<_> = executor.map(pass_backwards, items).map(Result::unwrap).collect();
        assert_eq!(numbers, Vec::from_iter(0..6));
    });
}

/// Python loky's `test_map_exception`.
#[test]
fn item_that_panics_fails_alone() {
    isolated(|| {
        let executor = executor(2);
        let mut map = executor.map(divide, [(1, 1), (2, 1), (3, 0), (4, 1)]);
        assert_eq!(map.next().unwrap().unwrap(), 1);
        assert_eq!(map.next().unwrap().unwrap(), 2);
        let error = map.next().unwrap().unwrap_err();
        assert_eq!(error.panic().unwrap().message(), "attempt to divide by zero");
        assert_eq!(map.next().unwrap().unwrap(), 4, "each item fails alone");
        assert!(map.next().is_none() && map.next().is_none());
    });
}

#[test]
fn map_of_no_task_fails_each_item() {
    isolated(|| {
        let executor = executor(1);
        let results: Vec<_> = executor.map(|x: u64| x, 0..3).collect();
        assert_eq!(results.len(), 3);
        assert!(results.iter().all(|result| result.as_ref().is_err_and(|e| e.is_not_a_task())));
    });
}

/// Python loky's `test_map_timeout`.
#[test]
fn map_timeout_ends_map() {
    isolated(|| {
        let executor = executor(2);
        executor.prewarm().unwrap();
        let gate = Event::new();
        let limit = Duration::from_secs(1);
        let items = (0..8).map(|number| (2, gate.clone(), number));
        let mut map = executor.map(pass_but, items).timeout(limit);
        let start = Instant::now();
        assert_eq!([0, 1].map(|_| map.next().unwrap().unwrap()), [0, 1]);
        let error = map.next().unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(start.elapsed() >= limit && start.elapsed() < LONG);
        assert!(map.next().is_none() && map.next().is_none(), "one error, and the end");
        gate.set();
    });
}

#[test]
fn map_timeout_begins_with_first_item() {
    isolated(|| {
        let executor = executor(1);
        // Time that would be used up by now if it began with the call of `timeout`.
        let limit = Duration::from_secs(1);
        let map = executor.map(square, 0..3).timeout(limit);
        thread::sleep(limit);
        executor.prewarm().unwrap();
        assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 4]);
        // Without any time nothing but what is there already can come, which is nothing.
        let mut map = executor.map(square, 0..3).timeout(Duration::ZERO);
        let held = Held::new(&executor, 1);
        assert!(map.next().unwrap().unwrap_err().is_timeout());
        assert!(map.next().is_none());
        held.release();
    });
}

fn increase(number: &AtomicUsize) {
    number.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn map_takes_nothing_before_first_next() {
    isolated(|| {
        let executor = executor(2);
        let taken = AtomicUsize::new(0);
        let items = || (0..).inspect(|_| increase(&taken));
        drop(executor.map(square, items()));
        let mut map = executor.map(square, items()).timeout(LONG);
        assert_eq!(taken.load(Ordering::SeqCst), 0);
        assert_eq!(children_of(std::process::id()), []);
        assert_eq!(map.next().unwrap().unwrap(), 0);
        assert!(taken.load(Ordering::SeqCst) > 0);
    });
}

#[test]
fn endless_iterable_is_taken_a_little_ahead() {
    isolated(|| {
        // Three chunks for each worker.
        const MOST_AHEAD: usize = 2 * 3 * 256;
        let executor = executor(2);
        let taken = AtomicUsize::new(0);
        let items = (0..).inspect(|_| increase(&taken));
        let mut map = executor.map(square, items);
        for number in 0..1000 {
            assert_eq!(map.next().unwrap().unwrap(), square(number));
            let ahead = taken.load(Ordering::SeqCst) - usize::try_from(number).unwrap();
            assert!(ahead <= MOST_AHEAD, "{ahead} items ahead at {number}");
        }
    });
}

#[test]
fn unused_map_submits_nothing() {
    isolated(|| {
        let executor = executor(1);
        drop(executor.map(count, [(); 10]));
        assert_eq!(executor.submit(count, ()).result().unwrap(), 1);
    });
}

#[test]
fn iterable_panic_hurts_only_its_map() {
    isolated(|| {
        let executor = executor(2);
        let items = || {
            (0..40).inspect(|number| {
                if *number == 20 {
                    resume_unwind(Box::new("thrown"));
                }
            })
        };
        let mut map = executor.map(square, items());
        let mut next = || catch_unwind(AssertUnwindSafe(|| map.next()));
        let mut results = Vec::new();
        let thrown = loop {
            match next() {
                Ok(result) => results.push(result.unwrap().unwrap()),
                Err(payload) => break payload,
            }
        };
        assert_eq!(*thrown.downcast::<&str>().unwrap(), "thrown");
        assert_eq!(results, Vec::from_iter((0..20).map(square).take(results.len())));
        drop(map);
        assert_eq!(executor.submit(square, 5).result().unwrap(), 25);

        // Without anybody to catch it between: the map is dropped while panicking.
        let all = || executor.map(square, items()).count();
        assert!(catch_unwind(AssertUnwindSafe(all)).is_err());
        assert_eq!(executor.submit(square, 6).result().unwrap(), 36);
    });
}

#[test]
fn iterable_may_borrow() {
    isolated(|| {
        let executor = executor(2);
        let words = ["a", "list", "of", "words"].map(String::from).to_vec();
        let lengths: Vec<_> =
            executor.map(length, words.iter().cloned()).map(Result::unwrap).collect();
        assert_eq!(lengths, [1, 4, 2, 5]);
        let mut seen = Vec::new();
        let items = words.iter().map(|word| {
            seen.push(word.as_str());
            word.clone()
        });
        assert_eq!(executor.map(length, items).filter(Result::is_ok).count(), 4);
        assert_eq!(seen, words);
    });
}

#[test]
fn several_maps_share_workers() {
    isolated(|| {
        let executor = executor(2);
        let [mut one, mut two] = [(); 2].map(|()| executor.map(square, 0..100));
        for expected in (0..100).map(square) {
            assert_eq!(one.next().unwrap().unwrap(), expected);
            assert_eq!(two.next().unwrap().unwrap(), expected);
        }
        // Inside of one another, on a pool that the outer one keeps full.
        let sum_below = |x| executor.map(square, 0..x).map(Result::unwrap).sum::<u64>();
        let sums: Vec<_> =
            executor.map(square, 0..5).map(|result| sum_below(result.unwrap())).collect();
        assert_eq!(sums, [0, 0, 14, 204, 1240]);
    });
}

#[test]
fn map_holds_its_executor() {
    isolated(|| {
        let executor = executor(2);
        let mut map = executor.map(square, 0..30);
        assert_eq!(map.next().unwrap().unwrap(), 0);
        drop(executor);
        assert_eq!(map.by_ref().map(Result::unwrap).sum::<u64>(), (0..30).map(square).sum());
        drop(map);
        assert_eq!(children_of(std::process::id()), [], "the map held the last handle");
    });
}

#[test]
fn map_after_shutdown_fails_each_item() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let mut map = executor.map(square, 0..3);
        executor.shutdown(Shutdown::NoWait);
        held.release();
        for _ in 0..3 {
            assert!(map.next().unwrap().unwrap_err().is_shutdown_executor());
        }
        assert!(map.next().is_none());
        drop(map);
        executor.shutdown(Shutdown::Wait);
        until_childless();
    });
}
