//! A worker that overwrites the page that it shares with the pool harms its own calls only.
//!
//! Its calls return what they should, or die with it. All others run once, the pool lives on, and no error says of a call that ran
//! that it did not start.

use std::iter::once;

use loky::{Execution, Future, ProcessPoolExecutor};
use loky_tests::held::busy;
use loky_tests::scribble::{Fill, Scribble, Then};
use loky_tests::step::{Step, burst, passes, starts_of, step, warm};
use loky_tests::time::LONG;
use loky_tests::{Event, Record, isolated};

/// How many calls a worker has in its queue at most. They may die with it.
const QUEUE: usize = 64;

/// Insists that each call of a burst resolved and says the truth. How many of them died.
#[track_caller]
fn check_true(what: &str, calls: &[Future<u64>], record: &Record) -> usize {
    let starts = starts_of(calls, record);
    let mut n_dead = 0;
    for (number, call) in calls.iter().enumerate() {
        match call.result() {
            Ok(result) => {
                assert_eq!((result, starts[number]), (number as u64, 1), "{what}: call {number}");
            }
            Err(error) => {
                n_dead += 1;
                assert!(error.is_terminated_worker(), "{what}: call {number}: {error:?}");
                let is_started = error.execution() == Execution::Started;
                assert!(starts[number] <= usize::from(is_started), "{what}: {number}: {error:?}");
            }
        }
    }
    n_dead
}

/// A pool of three: one worker has a neighbour's call, one the scribbler's, and one is there for all others.
#[track_caller]
fn check(what: &str, scribble: Scribble) {
    const BEFORE: usize = 50;
    let executor = warm(3);
    let (neighbour, go_on) = busy(&executor);
    let record = Record::new();
    let then = scribble.then.clone();
    let steps = passes(BEFORE).chain(once(Step::Scribble(scribble))).chain(passes(150));
    let calls = burst(&executor, &record, steps);
    if let Then::Block(gate) = &then {
        for (number, call) in calls.iter().enumerate().filter(|(number, _)| *number != BEFORE) {
            let is_open = call.result_timeout(LONG).is_err_and(|error| error.is_timeout());
            assert!(!is_open, "{what}: call {number} has no outcome while another one blocks");
        }
        gate.set();
    }
    let mut n_dead = check_true(what, &calls, &record);
    if matches!(then, Then::Die) {
        assert!(calls[BEFORE].result().is_err(), "{what}");
    }
    // It may be noticed only when that worker has its next calls.
    for _ in 0..5 {
        n_dead += check_later(what, &executor);
    }
    // At most one worker has died, and took no more calls along than its queue holds.
    assert!(n_dead <= QUEUE, "{what}: {n_dead} calls died");
    assert!(!neighbour.is_done(), "{what}");
    go_on.set();
    assert_eq!(neighbour.result().ok(), neighbour.worker_pid(), "{what}");
    assert!(!executor.is_broken());
    executor.prewarm().unwrap();
}

#[track_caller]
fn check_later(what: &str, executor: &ProcessPoolExecutor) -> usize {
    let record = Record::new();
    let calls = burst(executor, &record, passes(200));
    check_true(what, &calls, &record)
}

#[track_caller]
fn check_all_fills(then: impl Fn() -> Then) {
    let random = (0..5).map(Fill::Random);
    let shuffled = (0..5).map(Fill::Shuffled);
    for fill in random.chain(shuffled).chain([Fill::Zeros, Fill::Ones]) {
        check(&format!("{fill:?}"), Scribble { fill, then: then() });
    }
}

#[test]
fn overwritten_page_and_return_harm_calls_of_that_worker_only() {
    isolated(|| check_all_fills(|| Then::Return));
}

#[test]
fn overwritten_page_and_block_harm_calls_of_that_worker_only() {
    isolated(|| check_all_fills(|| Then::Block(Event::new())));
}

#[test]
fn overwritten_page_and_death_harm_calls_of_that_worker_only() {
    isolated(|| check_all_fills(|| Then::Die));
}

#[test]
fn continually_overwritten_page_harms_calls_of_that_worker_only() {
    isolated(|| {
        for fill in (0..5).map(Fill::Random) {
            check(&format!("{fill:?}"), Scribble { fill, then: Then::GoOn });
        }
    });
}

/// All calls of the batch are calls of that worker.
#[test]
fn page_overwritten_in_batch_harms_calls_of_that_worker_only() {
    isolated(|| {
        let fills = (0..5).flat_map(|seed| [Fill::Random(seed), Fill::Shuffled(seed)]);
        for (number, fill) in fills.chain([Fill::Zeros, Fill::Ones]).enumerate() {
            let executor = warm(3);
            let (neighbour, go_on) = busy(&executor);
            let items = |n_items| (0..n_items).map(|number| (number, None, Step::Pass));
            assert!(executor.map(step, items(2000)).all(|outcome| outcome.is_ok()));
            let record = Record::new();
            let then = if number % 2 == 0 { Then::Return } else { Then::Die };
            let scribble = once(Step::Scribble(Scribble { fill, then }));
            let steps = (0..).zip(passes(500).chain(scribble).chain(passes(1500)));
            let steps = steps.map(|(number, it)| (number, Some(record.clone()), it));
            let outcomes: Vec<_> = executor.map(step, steps).collect();
            let starts = record.counts(outcomes.len());
            assert_eq!(outcomes.len(), 2001, "{fill:?}");
            for (number, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Ok(answer) => assert_eq!((*answer, starts[number]), (number as u64, 1)),
                    Err(error) => {
                        assert!(error.is_terminated_worker(), "{fill:?}: {number}: {error:?}");
                        let is_started = error.execution() == Execution::Started;
                        assert!(starts[number] <= usize::from(is_started), "{fill:?}: {number}");
                    }
                }
            }
            assert!(!neighbour.is_done(), "{fill:?}");
            go_on.set();
            assert_eq!(neighbour.result().ok(), neighbour.worker_pid(), "{fill:?}");
            assert!(executor.map(step, items(2000)).filter(Result::is_err).count() < 2000);
            executor.prewarm().unwrap();
            assert!(executor.map(step, items(2000)).all(|outcome| outcome.is_ok()), "{fill:?}");
        }
    });
}

/// It scribbles while it has nothing to do, and the next calls come into that.
#[test]
fn page_overwritten_while_idle_harms_calls_of_that_worker_only() {
    isolated(|| {
        let executor = warm(1);
        for fill in [Fill::Zeros, Fill::Ones, Fill::Random(1), Fill::Shuffled(1)] {
            let record = Record::new();
            let scribble = Scribble { fill, then: Then::Return };
            let calls = burst(&executor, &record, once(Step::Scribble(scribble)));
            let mut n_dead = check_true("alone", &calls, &record);
            for _ in 0..5 {
                n_dead += check_later("later", &executor);
            }
            assert!(n_dead <= QUEUE, "{fill:?}: {n_dead} calls died");
        }
        assert!(!executor.is_broken());
    });
}
