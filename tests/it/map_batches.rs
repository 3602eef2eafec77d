//! Maps of short calls travel in batches: results of any length, shared memory, early ends and shutdowns.
//!
//! Properties that each batch has are in `batches.rs`.

use std::collections::BTreeMap;
use std::iter::{once, repeat_n};
use std::thread;
use std::time::{Duration, Instant};

use loky::shared::SharedBytes;
use loky::{CrashPolicy, Error, Execution, ProcessPoolExecutor, Shutdown};
use loky_tests::deed::Deed;
use loky_tests::step::{Step, passes, step, warm};
use loky_tests::time::LONG;
use loky_tests::{Event, Random, Record, isolated, until};

type Outcome = loky::Result<u64>;

/// Returns the arguments of `step`.
fn steps(
    record: &Record,
    steps: impl IntoIterator<Item = Step>,
) -> impl Iterator<Item = (u64, Option<Record>, Step)> {
    (0..).zip(steps).map(|(number, it)| (number, Some(record.clone()), it))
}

/// A pool that has run enough short calls to give them out in batches.
#[track_caller]
fn chunking(max_workers: usize) -> ProcessPoolExecutor {
    let executor = warm(max_workers);
    chunk(&executor);
    executor
}

/// Has the pool know that calls are short.
#[track_caller]
fn chunk(executor: &ProcessPoolExecutor) {
    let items = (0..1000).map(|number| (number, None, Step::Pass));
    assert!(executor.map(step, items).map(Result::unwrap).eq(0..1000));
}

/// Insists that each item but those that were to fail ran once and returned its number.
#[track_caller]
fn check(outcomes: &[Outcome], record: &Record, may_fail: impl Fn(usize, &Error) -> bool) {
    let starts = record.counts(outcomes.len());
    for (number, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(answer) => {
                assert_eq!((*answer, starts[number]), (number as u64, 1), "item {number}");
            }
            Err(error) => {
                assert!(may_fail(number, error), "item {number}: {error:?}");
                let is_started = error.execution() != Execution::NotStarted;
                assert!(starts[number] <= usize::from(is_started), "item {number}: {error:?}");
            }
        }
    }
}

/// The result of one call was yielded, and those that came with it were not.
#[test]
fn map_unordered_from_middle_loses_no_item() {
    isolated(|| {
        let executor = chunking(2);
        for n_yielded in [1, 2, 100, 999, 1000] {
            chunk(&executor);
            let items = (0..1000).map(|number| (number, None, Step::Pass));
            let mut map = executor.map(step, items);
            assert!(map.by_ref().take(n_yielded).map(Result::unwrap).eq(0..n_yielded as u64));
            let rest = map.unordered();
            assert_eq!(rest.size_hint(), (1000 - n_yielded, Some(1000 - n_yielded)));
            let rest: BTreeMap<_, _> =
                rest.map(|(index, it)| (index as u64, it.unwrap())).collect();
            assert!(rest.into_iter().eq((n_yielded as u64..1000).map(|number| (number, number))));
        }
    });
}

#[test]
fn calls_that_turn_out_long_move_to_other_workers() {
    const N_CALLS: usize = 40;
    isolated(|| {
        let executor = chunking(2);
        let record = Record::new();
        let long = || Step::Spin(Duration::from_millis(10));
        let mut map = executor.map(pid_after, (0..N_CALLS).map(|_| Duration::from_millis(10)));
        let first = map.next().unwrap().unwrap();
        let rest: Vec<_> = map.map(Result::unwrap).collect();
        let of_first = 1 + rest.iter().filter(|pid| **pid == first).count();
        assert!((N_CALLS / 8..N_CALLS - N_CALLS / 8).contains(&of_first), "{of_first}");
        let outcomes: Vec<_> = executor.map(step, steps(&record, repeat_n(long(), 10))).collect();
        check(&outcomes, &record, |_, _| false);
    });
}

#[loky::task]
fn pid_after(time: Duration) -> u32 {
    thread::sleep(time);
    std::process::id()
}

#[loky::task]
fn text(length: usize) -> String {
    "x".repeat(length)
}

#[loky::task]
fn text_length(text: String) -> usize {
    text.len()
}

/// Some results are too long to lie beside the others; some are so only together.
#[test]
fn results_of_any_length_come() {
    isolated(|| {
        let executor = chunking(2);
        let mut random = Random::new(3);
        for _ in 0..30 {
            chunk(&executor);
            let longest = [5, 300, 3000, 70_000, 400_000][random.below(5)];
            let one_in = 1 + random.below(60);
            let lengths: Vec<_> = (0..400)
                .map(|_| if random.once_in(one_in) { random.below(longest) } else { 5 })
                .collect();
            let texts = executor.map(text, lengths.clone()).map(Result::unwrap);
            assert!(texts.map(|text| text.len()).eq(lengths.iter().copied()));
            let texts = lengths.iter().map(|length| "x".repeat(*length));
            let counted = executor.map(text_length, texts).map(Result::unwrap);
            assert!(counted.eq(lengths.iter().copied()));
        }
    });
}

#[loky::task]
fn share(number: u64) -> Option<SharedBytes> {
    number.is_multiple_of(7).then(|| SharedBytes::from_slice(&number.to_le_bytes()).unwrap())
}

#[loky::task]
fn unshare(bytes: Option<SharedBytes>) -> Option<Vec<u8>> {
    bytes.map(|bytes| bytes.to_vec())
}

#[test]
fn shared_memory_travels_in_batches() {
    isolated(|| {
        let executor = chunking(2);
        let shared: Vec<_> = executor.map(share, 0..1000).map(Result::unwrap).collect();
        let is_right = |number: u64, bytes: Option<&[u8]>| {
            bytes
                == number.is_multiple_of(7).then(|| number.to_le_bytes()).as_ref().map(|it| &it[..])
        };
        assert!((0..).zip(&shared).all(|(number, it)| is_right(number, it.as_deref())));
        chunk(&executor);
        let copies = executor.map(unshare, shared).map(Result::unwrap);
        assert!((0..).zip(copies).all(|(number, it)| is_right(number, it.as_deref())));
    });
}

#[test]
fn drop_of_map_cancels_calls_that_have_not_begun() {
    isolated(|| {
        let executor = chunking(2);
        for at in [0, 3, 50] {
            chunk(&executor);
            let (record, gate) = (Record::new(), Event::new());
            let wait = || once(Step::Wait(gate.clone()));
            let items = passes(at).chain(wait()).chain(wait()).chain(passes(100_000));
            let mut map = executor.map(step, steps(&record, items));
            for number in 0..at as u64 {
                assert_eq!(map.next().unwrap().unwrap(), number);
            }
            // Both block, or one does and the other is about to; what lies behind them lies in chunks.
            let blocked = at as u64;
            thread::scope(|scope| {
                scope.spawn(|| {
                    until("it blocks", LONG, || record.numbers().contains(&blocked));
                    gate.set_for(2);
                });
                assert_eq!(map.next().unwrap().unwrap(), blocked);
            });
            drop(map);
            let n_begun = record.numbers().len();
            executor.prewarm().unwrap();
            until("all is over", LONG, || {
                let stats = executor.stats();
                stats.queued + stats.given == 0
            });
            let stats = executor.stats();
            assert_eq!(stats.submitted, stats.succeeded + stats.cancelled);
            // The calls that ran as the map was dropped, and the batches that had begun.
            let n_ran = record.numbers().len();
            assert!(n_ran <= n_begun + 2 * 256, "{n_ran} after {n_begun}");
            let counts = record.counts(n_ran + 2000);
            assert!(counts.iter().all(|count| *count <= 1), "none ran twice");
        }
    });
}

#[test]
fn cancel_pending_leaves_running_call_of_batch() {
    isolated(|| {
        let executor = chunking(1);
        let (record, gate) = (Record::new(), Event::new());
        let items = passes(3).chain(once(Step::Wait(gate.clone()))).chain(passes(500));
        let n_before = executor.stats().submitted;
        let map = executor.map(step, steps(&record, items.collect::<Vec<_>>()));
        let outcomes: Vec<_> = thread::scope(|scope| {
            scope.spawn(|| {
                until("it blocks", LONG, || record.numbers().contains(&3));
                until("some lie behind it", LONG, || executor.stats().submitted > n_before + 4);
                executor.shutdown(Shutdown::NoWait);
                thread::scope(|scope| {
                    scope.spawn(|| executor.shutdown(Shutdown::CancelPending));
                    until("the others are cancelled", LONG, || executor.stats().cancelled > 0);
                    gate.set();
                });
            });
            map.collect()
        });
        check(&outcomes, &record, |number, error| {
            number > 3 && (error.is_cancelled() || error.is_shutdown_executor())
        });
        assert!(outcomes[..4].iter().all(Result::is_ok), "{:?}", &outcomes[..4]);
        assert!(outcomes[4..].iter().all(Result::is_err), "they lay behind it");
        assert_eq!(record.numbers().len(), 4);
    });
}

#[test]
fn kill_ends_all_calls_of_batch() {
    isolated(|| {
        let executor = chunking(2);
        let (record, gate) = (Record::new(), Event::new());
        let blocking = [50, 51];
        let items = passes(50).chain(repeat_n(Step::Wait(gate.clone()), 2)).chain(passes(500));
        let map = executor.map(step, steps(&record, items.collect::<Vec<_>>()));
        let outcomes: Vec<_> = thread::scope(|scope| {
            scope.spawn(|| {
                let begun = || blocking.iter().all(|number| record.numbers().contains(number));
                until("both workers block", LONG, begun);
                executor.shutdown(Shutdown::Kill);
            });
            map.collect()
        });
        check(&outcomes, &record, |_, error| error.is_shutdown_executor());
        // The calls before them, in most cases. A worker that is slow to wake may have lost some to the queue, behind them.
        let begun = record.numbers();
        for (number, outcome) in (0..).zip(&outcomes) {
            let is_done = begun.contains(&number) && !blocking.contains(&number);
            // The pool does not look for answers in a stream then, as it does in a lane.
            let is_unread = cfg!(loky_force_stream)
                && outcome.as_ref().is_err_and(|error| error.execution() == Execution::Finished);
            assert_eq!(outcome.is_ok() || is_unread, is_done, "item {number}: {outcome:?}");
        }
    });
}

#[test]
fn death_that_breaks_pool_fails_unfinished_items() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder()
            .max_workers(1)
            .on_worker_crash(CrashPolicy::BreakPool)
            .build()
            .unwrap();
        chunk(&executor);
        let record = Record::new();
        let death = once(Step::Do(Deed::Raise(libc::SIGKILL)));
        let items = steps(&record, passes(200).chain(death).chain(passes(200)));
        let outcomes: Vec<_> = executor.map(step, items).collect();
        check(&outcomes, &record, |number, error| match number {
            0..200 => false,
            200 => error.is_terminated_worker(),
            _ => error.is_broken_process_pool(),
        });
        assert_eq!(record.numbers().len(), 201);
    });
}

#[test]
fn timeout_of_map_is_its_last_item() {
    isolated(|| {
        let executor = chunking(1);
        let (record, gate) = (Record::new(), Event::new());
        let items = passes(10).chain(once(Step::Wait(gate.clone()))).chain(passes(1000));
        let start = Instant::now();
        let map = executor.map(step, steps(&record, items)).timeout(Duration::from_millis(200));
        let outcomes: Vec<_> = map.collect();
        assert!(start.elapsed() < LONG);
        assert_eq!(outcomes.len(), 11, "and the end");
        check(&outcomes, &record, |number, error| number == 10 && error.is_timeout());
        gate.set();
    });
}
