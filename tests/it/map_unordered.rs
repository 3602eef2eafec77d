//! `map(…).unordered()`: results in completion order; and for either order, an early end and a panic of the iterable.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loky_tests::held::Held;
use loky_tests::map_orders::{in_each_way, increase};
use loky_tests::pools::executor;
use loky_tests::tasks::{count, square};
use loky_tests::{Event, children_of, isolated};
use serde::{Deserialize, Serialize};

/// Blocks at the one number.
#[loky::task]
fn pass_but(blocked: usize, gate: Event, number: usize) -> usize {
    if number == blocked {
        gate.wait();
    }
    number
}

#[test]
fn slow_item_holds_up_only_itself() {
    isolated(|| {
        let executor = executor(2);
        let gate = Event::new();
        let items = (0..100).map(|number| (0, gate.clone(), number));
        let mut map = executor.map(pass_but, items).unordered();
        let mut results: Vec<_> = map.by_ref().take(99).collect();
        assert!(results.iter().all(|(index, _)| *index != 0));
        gate.set();
        results.push(map.next().unwrap());
        assert_eq!(results[99].0, 0);
        assert!(map.next().is_none() && map.next().is_none());
        for (index, result) in results {
            assert_eq!(result.unwrap(), index);
        }
    });
}

#[test]
fn results_come_in_completion_order() {
    isolated(|| {
        let executor = executor(4);
        let gates = [(); 4].map(|()| Event::new());
        let items = (0..4).map(|number| (number, gates[number].clone(), number));
        let mut map = executor.map(pass_but, items).unordered();
        for number in [2, 0, 3, 1] {
            gates[number].set();
            let (index, result) = map.next().unwrap();
            assert_eq!((index, result.unwrap()), (number, number));
        }
        assert!(map.next().is_none());
    });
}

#[loky::task]
fn nothing(_number: u32) {}

#[test]
fn each_of_100_000_items_comes_once() {
    isolated(|| {
        const COUNT: u32 = 100_000;
        let executor = executor(2);
        let mut has_come = vec![false; COUNT as usize];
        for (index, result) in executor.map(nothing, 0..COUNT).unordered() {
            result.unwrap();
            assert!(!std::mem::replace(&mut has_come[index], true), "{index} came twice");
        }
        assert!(has_come.into_iter().all(|has_come| has_come));
    });
}

#[test]
fn order_may_be_given_up_in_middle() {
    isolated(|| {
        let executor = executor(2);
        let gate = Event::new();
        let items = (0..20).map(|number| (3, gate.clone(), number));
        let mut map = executor.map(pass_but, items);
        assert_eq!([0, 1, 2].map(|_| map.next().unwrap().unwrap()), [0, 1, 2]);
        let mut map = map.unordered();
        assert_eq!(map.size_hint(), (17, Some(17)));
        let mut indices: Vec<_> = map
            .by_ref()
            .take(16)
            .map(|(index, result)| {
                assert_eq!(result.unwrap(), index);
                index
            })
            .collect();
        indices.sort_unstable();
        assert_eq!(indices, Vec::from_iter(4..20));
        gate.set();
        assert_eq!(map.next().unwrap().0, 3);
        assert!(map.next().is_none());
    });
}

#[test]
fn timeout_has_index_of_missing_item() {
    isolated(|| {
        let executor = executor(2);
        executor.prewarm().unwrap();
        let gate = Event::new();
        let items = (0..20).map(|number| (2, gate.clone(), number));
        let map = executor.map(pass_but, items).timeout(Duration::from_secs(1));
        let mut results: Vec<_> = map.unordered().collect();
        let (index, result) = results.pop().unwrap();
        assert!(index == 2 && result.unwrap_err().is_timeout());
        assert_eq!(results.len(), 19);
        assert!(results.into_iter().all(|(index, result)| result.unwrap() == index));
        gate.set();
    });
}

/// Says that it began, waits if it has to, and counts.
#[loky::task]
fn begin(began: Event, gate: Option<Event>) -> usize {
    began.set();
    if let Some(gate) = gate {
        gate.wait();
    }
    count()
}

#[test]
fn drop_of_map_revokes_calls_that_have_not_begun() {
    isolated(|| {
        let executor = executor(1);
        let [began, first, second] = [(); 3].map(|()| Event::new());
        let items = || {
            (0..8).map(|number| {
                // There is no result before three calls are on their way.
                if number == 3 {
                    first.set();
                }
                (began.clone(), [&first, &second].get(number).copied().cloned())
            })
        };
        let calls = AtomicUsize::new(0);
        in_each_way(
            || executor.map(begin, items()),
            |mut results| {
                assert_eq!(results.next().unwrap().1.unwrap(), increase(&calls));
                [1, 2].iter().for_each(|_| began.wait());
                drop(results);
                second.set();
                // The call that runs is left alone; of the others none came between it and this one.
                increase(&calls);
                assert_eq!(executor.submit(count, ()).result().unwrap(), increase(&calls));
            },
        );
    });
}

#[test]
fn unused_map_takes_nothing() {
    isolated(|| {
        let executor = executor(1);
        let items = || (0..9).inspect(|_| panic!("nothing is taken"));
        in_each_way(
            || executor.map(square, items()),
            |results| assert_eq!(results.size_hint(), (9, Some(9))),
        );
        assert_eq!(children_of(std::process::id()), []);
    });
}

/// Ten numbers, and then a panic, once. (`resume_unwind` runs no hook, and so prints nothing.)
fn ten_and_a_panic(taken: &AtomicUsize) -> impl Iterator<Item = u64> + Send {
    taken.store(0, Ordering::SeqCst);
    (0..).inspect(|number| {
        increase(taken);
        if *number == 10 {
            resume_unwind(Box::new("thrown"));
        }
    })
}

/// Returns the payload that the code panics with.
#[track_caller]
fn thrown<T>(code: impl FnOnce() -> T) -> &'static str {
    let caught = catch_unwind(AssertUnwindSafe(|| drop(code())));
    *caught.unwrap_err().downcast().expect("a text")
}

#[test]
fn items_before_iterable_panic_still_come() {
    isolated(|| {
        let executor = executor(2);
        let taken = AtomicUsize::new(0);
        let map = || executor.map(square, ten_and_a_panic(&taken));
        in_each_way(map, |mut results| {
            let (mut squares, mut panics) = (Vec::new(), 0);
            loop {
                match catch_unwind(AssertUnwindSafe(|| results.next())) {
                    Ok(Some((_, result))) => squares.push(result.unwrap()),
                    Ok(None) => break,
                    Err(payload) => {
                        assert_eq!(*payload.downcast::<&str>().unwrap(), "thrown");
                        panics += 1;
                    }
                }
            }
            squares.sort_unstable();
            assert_eq!(squares, Vec::from_iter((0..10).map(square)));
            assert!(results.next().is_none() && results.size_hint() == (0, Some(0)));
            assert_eq!((panics, taken.load(Ordering::SeqCst)), (1, 11), "it is not asked again");
        });
    });
}

#[test]
fn items_before_iterable_panic_are_submitted() {
    isolated(|| {
        let executor = executor(2);
        let (began, taken) = (Event::new(), AtomicUsize::new(0));
        let items = || ten_and_a_panic(&taken).map(|_| (began.clone(), None));
        in_each_way(
            || executor.map(begin, items()).window(20),
            |mut results| {
                while catch_unwind(AssertUnwindSafe(|| results.next().unwrap().1.unwrap())).is_ok()
                {
                }
                (0..10).for_each(|_| began.wait());
            },
        );
    });
}

#[test]
fn items_before_iterable_panic_go_with_map() {
    isolated(|| {
        let executor = executor(1);
        let (taken, calls) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items = || ten_and_a_panic(&taken).map(drop);
        in_each_way(
            || executor.map(count, items()).window(20),
            |mut results| {
                let held = Held::new(&executor, 1);
                assert_eq!(thrown(|| results.next()), "thrown");
                drop(results);
                held.release();
                assert_eq!(executor.submit(count, ()).result().unwrap(), increase(&calls));
            },
        );
    });
}

/// Arguments of which one throws when it is dropped in the process of the test.
#[derive(Serialize, Deserialize)]
struct Throws {
    number: u64,
    home: u32,
}

impl Drop for Throws {
    fn drop(&mut self) {
        if self.number == 3 && self.home == std::process::id() {
            resume_unwind(Box::new("dropped"));
        }
    }
}

#[loky::task]
fn take_throws(throws: Throws) -> u64 {
    throws.number
}

#[test]
fn item_whose_drop_panics_is_not_lost() {
    isolated(|| {
        let executor = executor(2);
        let home = std::process::id();
        let items = || (0..10).map(|number| Throws { number, home });
        in_each_way(
            || executor.map(take_throws, items()),
            |mut results| {
                let mut numbers = Vec::new();
                let mut collect =
                    || numbers.extend(results.by_ref().map(|(_, result)| result.unwrap()));
                assert_eq!(thrown(&mut collect), "dropped");
                collect();
                numbers.sort_unstable();
                assert_eq!(numbers, [0, 1, 2, 3]);
            },
        );
    });
}
