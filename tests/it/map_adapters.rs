//! The settings of a `map`: chunk size, window, timeout, order. None of them changes the outcome of a call.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use loky::{Error, Map};
use loky_tests::map_orders::{CHUNKS, chunked, in_each_way, increase};
use loky_tests::pools::executor;
use loky_tests::tasks::square;
use loky_tests::time::LONG;
use loky_tests::{Event, isolated, until};
use serde::{Deserialize, Serialize, Serializer, ser};

/// Has `check` see each result in each order, and insists that `count` results come, each once.
fn check_results<'a, R: 'static>(
    count: usize,
    map: impl Fn() -> Map<'a, R>,
    check: impl Fn(usize, loky::Result<R>),
) {
    in_each_way(map, |results| {
        let indices = results.map(|(index, result)| {
            check(index, result);
            index
        });
        let mut indices: Vec<_> = indices.collect();
        indices.sort_unstable();
        assert_eq!(indices, Vec::from_iter(0..count));
    });
}

/// Python loky's `test_map_chunksize`.
#[test]
fn chunksize_changes_no_result() {
    isolated(|| {
        let executor = executor(2);
        for count in [0, 1, 6, 40] {
            let taken = AtomicUsize::new(0);
            check_results(
                count,
                || executor.map(square, (0..count as u64).inspect(|_| _ = increase(&taken))),
                |index, result| assert_eq!(result.unwrap(), square(index as u64)),
            );
            assert_eq!(taken.into_inner(), count * 2 * CHUNKS.len());
        }
    });
}

#[test]
fn zero_chunksize_or_window_is_error() {
    isolated(|| {
        let executor = executor(1);
        let items = || (0..3).inspect(|_| panic!("nothing is taken"));
        for (name, map) in [
            ("chunksize", executor.map(square, items()).chunksize(0)),
            ("window", executor.map(square, items()).timeout(LONG).window(0)),
        ] {
            let mut map = map.unordered();
            assert_eq!(map.size_hint(), (1, Some(1)));
            let (index, result) = map.next().unwrap();
            let error = result.unwrap_err();
            assert!(index == 0 && error.is_invalid_config(), "{error}");
            assert_eq!(error.to_string(), format!("`{name}` must be greater than 0"));
            assert!(map.next().is_none() && map.next().is_none());
            assert_eq!(map.size_hint(), (0, Some(0)));
        }
        let results: Vec<_> = executor.map(square, items()).chunksize(0).collect();
        assert!(results.len() == 1 && results[0].as_ref().is_err_and(Error::is_invalid_config));
        // The last word counts.
        assert_eq!(executor.map(square, 0..3).window(0).window(2).filter(Result::is_ok).count(), 3);
    });
}

#[test]
fn window_is_never_exceeded() {
    isolated(|| {
        let executor = executor(2);
        for window in [1, 2, 5, 20] {
            let (taken, yielded) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let items = || {
                (0_u64..).inspect(|_| {
                    let ahead = increase(&taken) - yielded.load(Ordering::SeqCst);
                    assert!(ahead <= window, "{ahead} items ahead of the consumer");
                })
            };
            in_each_way(
                || {
                    [&taken, &yielded].iter().for_each(|count| count.store(0, Ordering::SeqCst));
                    executor.map(square, items()).window(window)
                },
                |results| {
                    for (_, result) in results.take(50) {
                        result.unwrap();
                        increase(&yielded);
                    }
                },
            );
        }
    });
}

#[test]
fn window_of_one_lets_items_depend_on_results() {
    isolated(|| {
        let executor = executor(2);
        let last = AtomicUsize::new(2);
        let items = std::iter::from_fn(|| Some(last.load(Ordering::SeqCst) as u64));
        let mut map = executor.map(square, items).window(1);
        for expected in [4, 16, 256, 65536] {
            assert_eq!(map.next().unwrap().unwrap(), expected);
            last.store(usize::try_from(expected).unwrap(), Ordering::SeqCst);
        }
    });
}

/// The first one waits for the last one.
#[loky::task]
fn first_after(gate: Event, last: u64, number: u64) {
    match number {
        0 => gate.wait(),
        number if number == last => gate.set(),
        _ => {}
    }
}

#[test]
fn window_is_filled_while_consumer_waits() {
    isolated(|| {
        let executor = executor(2);
        for (window, chunksize, last) in [
            (None, None, 7),
            (Some(2), None, 1),
            (Some(5), None, 4),
            (Some(20), None, 19),
            (Some(6), Some(2), 5),
            (Some(6), Some(100), 5),
            (None, Some(3), 8),
            (None, Some(30), 89),
        ] {
            let gate = Event::new();
            let map = executor.map(first_after, (0..).map(|number| (gate.clone(), last, number)));
            let mut map = chunked(map, chunksize);
            if let Some(window) = window {
                map = map.window(window);
            }
            map.next().unwrap().unwrap();
        }
    });
}

/// Lets the iterable go on.
#[loky::task]
fn go_on(began: Event) {
    began.set();
}

#[test]
fn chunksize_of_one_submits_before_next_item_is_taken() {
    isolated(|| {
        let executor = executor(2);
        let began = Event::new();
        let items = || {
            (0..10).map(|number| {
                if number > 0 {
                    began.wait();
                }
                began.clone()
            })
        };
        assert_eq!(executor.map(go_on, items()).chunksize(1).filter(Result::is_ok).count(), 10);
        began.wait();
        let map = executor.map(go_on, items()).chunksize(1).unordered();
        assert_eq!(map.filter(|(_, result)| result.is_ok()).count(), 10);
    });
}

/// Cannot be encoded if it is 6.
#[derive(Deserialize)]
struct Picky(u64);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            6 => Err(ser::Error::custom("not this one")),
            number => number.serialize(serializer),
        }
    }
}

#[loky::task]
fn take_picky(picky: Picky) -> u64 {
    picky.0
}

#[test]
fn item_that_fails_to_encode_fails_alone() {
    isolated(|| {
        let executor = executor(2);
        check_results(
            12,
            || executor.map(take_picky, (0..12).map(Picky)),
            |index, result| match (index, result) {
                (6, result) => {
                    let error = result.unwrap_err();
                    assert!(error.is_encode_args(), "{error}");
                    assert!(error.to_string().contains("not this one"), "{error}");
                }
                (index, result) => assert_eq!(result.unwrap(), index as u64),
            },
        );
    });
}

#[test]
fn no_task_and_shutdown_fail_each_item() {
    isolated(|| {
        let executor = executor(2);
        check_results(
            10,
            || executor.map(|x: u64| x, 0..10),
            |_, result| assert!(result.unwrap_err().is_not_a_task()),
        );
        executor.shutdown(loky::Shutdown::Wait);
        check_results(
            10,
            || executor.map(square, 0..10),
            |_, result| assert!(result.unwrap_err().is_shutdown_executor()),
        );
    });
}

#[test]
fn timeout_ends_endless_map() {
    isolated(|| {
        let executor = executor(1);
        executor.prewarm().unwrap();
        let limit = Duration::from_millis(100);
        let start = Instant::now();
        in_each_way(
            || executor.map(square, 0..).timeout(limit),
            |results| {
                let mut results: Vec<_> = results
                    .inspect(|_| {
                        // With one worker, all calls before this one are done. So there always is a next result.
                        executor.submit(square, 1).result().unwrap();
                        assert!(start.elapsed() < LONG, "it goes on and on");
                    })
                    .collect();
                let (index, last) = results.pop().unwrap();
                let error = last.unwrap_err();
                assert!(
                    error.is_timeout() && error.task().unwrap().ends_with("square"),
                    "{error:?}"
                );
                let indices: BTreeSet<_> = results.iter().map(|(index, _)| *index).collect();
                assert_eq!(indices.len(), results.len());
                let missing = (0..).find(|index| !indices.contains(index)).unwrap();
                assert_eq!(index, missing, "the first that has no result");
                for (index, result) in results {
                    assert_eq!(result.unwrap(), square(index as u64));
                }
            },
        );
        assert!(start.elapsed() >= 2 * limit);
    });
}

#[test]
fn results_that_are_there_come_after_timeout() {
    isolated(|| {
        let executor = executor(1);
        executor.prewarm().unwrap();
        let limit = Duration::from_secs(1);
        let mut some = executor.map(square, 0..5).timeout(limit).window(3);
        let mut all = executor.map(square, 0..5).timeout(limit).window(10);
        assert_eq!([&mut some, &mut all].map(|map| map.next().unwrap().unwrap()), [0, 0]);
        // Their time began with that.
        let start = Instant::now();
        assert_eq!(some.size_hint(), (1, Some(4)), "any number of them may be lost");
        // With one worker, all calls before this one are done.
        executor.submit(square, 1).result().unwrap();
        until("the time is over", LONG, || start.elapsed() >= limit);
        let is_timeout = |result: &loky::Result<u64>| result.as_ref().is_err_and(Error::is_timeout);
        let results: Vec<_> = some.collect();
        assert!(results[..results.len() - 1].iter().all(Result::is_ok), "{results:?}");
        assert!(results.len() <= 3 && is_timeout(&results[results.len() - 1]), "{results:?}");
        let results: Vec<_> = all.collect();
        assert!(is_timeout(&results[results.len() - 1]) || results.len() == 4, "{results:?}");
        // Of nothing nothing can be late.
        assert_eq!(executor.map(square, []).timeout(Duration::ZERO).count(), 0);
        assert_eq!(executor.map(square, []).timeout(Duration::ZERO).unordered().count(), 0);
    });
}

#[test]
fn size_hint_counts_remaining_items() {
    isolated(|| {
        let executor = executor(2);
        let mut map = executor.map(square, 0..30).chunksize(4);
        for left in (0..=30).rev() {
            assert_eq!(map.size_hint(), (left, Some(left)));
            assert_eq!(map.next().is_some(), left > 0);
        }
        assert_eq!(map.size_hint(), (0, Some(0)));
        assert_eq!(executor.map(square, 0..).size_hint(), (usize::MAX, None));
        assert_eq!(executor.map(square, (0..9).filter(|_| true)).size_hint(), (0, Some(9)));
        assert_eq!(executor.map(square, 0..9).timeout(LONG).size_hint(), (1, Some(9)));
        let shown = format!("{:?} {:?}", executor.map(square, 0..9), map.unordered());
        assert!(shown.contains("Map {") && shown.contains("MapUnordered {"), "{shown}");
    });
}
