//! Workers that are replaced after a number of calls (`max_tasks_per_worker`) or when their memory has grown
//! (`memory_growth_limit`).

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loky::{Builder, Event, Future, ProcessPoolExecutor, Retirement, Shutdown};
use loky_tests::deed::Deed;
use loky_tests::ledger::Log;
use loky_tests::tasks::pid;
use loky_tests::time::{LONG, millis, rest};
use loky_tests::{Random, Record, isolated};

fn builder(max_workers: usize) -> Builder {
    ProcessPoolExecutor::builder().max_workers(max_workers)
}

/// How many workers were told to leave for this reason.
fn retired(log: &Log, reason: Retirement) -> usize {
    let is_it =
        |event: &&Event| matches!(event, Event::WorkerRetired { why, .. } if *why == reason);
    log.events().iter().filter(is_it).count()
}

/// Notes the call with its worker, keeps the processor busy for a time, and may do something wrong.
#[loky::task]
fn run(number: u64, record: Record, time: Duration, deed: Option<Deed>) -> u32 {
    let pid = std::process::id();
    record.note(number << 32 | u64::from(pid));
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
    deed.map(Deed::perform).transpose().expect("a deed that no worker survives");
    pid
}

const N_CALLS: usize = 500;

/// Many calls, submitted before any is waited for: so they are given ahead, and taken back from behind some that are long.
fn burst(
    executor: &ProcessPoolExecutor,
    record: &Record,
    deed_of: impl Fn(usize) -> Option<Deed>,
) -> Vec<Future<u32>> {
    let call = |number: usize| {
        let time = if number % 50 == 30 { millis(4) } else { Duration::ZERO };
        executor.submit(run, (number as u64, record.clone(), time, deed_of(number)))
    };
    (0..N_CALLS).map(call).collect()
}

/// How many calls each worker ran. None ran twice.
#[track_caller]
fn runs_by_worker(record: &Record) -> BTreeMap<u32, usize> {
    let mut by_worker = BTreeMap::new();
    let mut known = BTreeSet::new();
    for note in record.numbers() {
        assert!(known.insert(note >> 32), "call {} ran twice", note >> 32);
        *by_worker.entry((note & 0xffff_ffff) as u32).or_default() += 1;
    }
    by_worker
}

/// Has a burst run by workers with a limit of calls each.
#[track_caller]
fn check_max_tasks(n_workers: usize, max_tasks: usize) {
    let (executor, log) = Log::of(builder(n_workers).max_tasks_per_worker(max_tasks));
    let record = Record::new();
    let calls = burst(&executor, &record, |_| None);
    let pids: Vec<_> = calls.iter().map(|call| call.result_timeout(LONG).unwrap()).collect();
    let runs = runs_by_worker(&record);
    assert_eq!(runs.values().sum::<usize>(), N_CALLS);
    let full = runs.values().filter(|runs| **runs == max_tasks).count();
    let begun: Vec<_> = runs.values().filter(|runs| **runs < max_tasks).collect();
    assert!(full + begun.len() == runs.len() && begun.len() <= n_workers, "{runs:?}");
    assert!(pids.iter().all(|pid| runs.contains_key(pid)));
    executor.shutdown(Shutdown::Wait);
    assert_eq!(retired(&log, Retirement::MaxTasks), full);
    assert_eq!(executor.stats().workers_died, 0);
    log.check_end(&executor);
}

#[test]
fn limit_of_one_call_replaces_one_worker() {
    isolated(|| check_max_tasks(1, 1));
}

#[test]
fn limit_of_three_calls_replaces_one_worker() {
    isolated(|| check_max_tasks(1, 3));
}

#[test]
fn limit_of_one_call_replaces_two_workers() {
    isolated(|| check_max_tasks(2, 1));
}

#[test]
fn limit_of_three_calls_replaces_two_workers() {
    isolated(|| check_max_tasks(2, 3));
}

/// Some end their workers, some are cancelled: the others run as before.
#[test]
fn limit_holds_between_crashes_and_cancels() {
    isolated(|| {
        let (executor, log) = Log::of(builder(2).max_tasks_per_worker(5));
        let record = Record::new();
        let dies = |number: usize| number % 40 == 7;
        let calls = burst(&executor, &record, |it| dies(it).then_some(Deed::ExitAtOnce(1)));
        let mut random = Random::new(4);
        let cancelled: Vec<_> = calls.iter().map(|it| random.once_in(5) && it.cancel()).collect();
        for (number, call) in calls.iter().enumerate() {
            match call.result_timeout(LONG) {
                Ok(_) => assert!(!dies(number) && !cancelled[number]),
                Err(error) if cancelled[number] => assert!(error.is_cancelled(), "{error:?}"),
                Err(error) => assert!(error.is_terminated_worker() && dies(number), "{error:?}"),
            }
        }
        let n_cancelled = cancelled.iter().filter(|it| **it).count();
        let runs = runs_by_worker(&record);
        assert_eq!(runs.values().sum::<usize>(), N_CALLS - n_cancelled);
        assert!(runs.values().all(|runs| *runs <= 5) && n_cancelled > 0, "{runs:?}");
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn map_goes_through_many_workers() {
    isolated(|| {
        let executor = builder(2).max_tasks_per_worker(3).build().unwrap();
        let record = Record::new();
        let items = (0..100).map(|number| (number, record.clone(), Duration::ZERO, None));
        let pids: Vec<_> = executor.map(run, items).map(Result::unwrap).collect();
        let runs = runs_by_worker(&record);
        assert!(pids.len() == 100 && runs.values().all(|runs| *runs <= 3), "{runs:?}");
        let items = (0..100).map(|_| ());
        let results = executor.map(pid, items).chunksize(7).unordered();
        assert_eq!(results.filter(|(_, result)| result.is_ok()).count(), 100);
    });
}

#[loky::task]
fn place() -> (Option<usize>, Option<String>) {
    (loky::worker_index(), std::env::var("LOKY_TESTS_PLACE").ok())
}

#[test]
fn replacement_gets_index_of_its_predecessor() {
    isolated(|| {
        let places = ["first", "second"];
        let builder = builder(2).max_tasks_per_worker(1).worker_env("LOKY_TESTS_PLACE", places);
        let (executor, log) = Log::of(builder);
        let mut seen = BTreeSet::new();
        for _ in 0..20 {
            let calls: Vec<_> = (0..4).map(|_| executor.submit(place, ())).collect();
            for call in calls {
                let (index, value) = call.result().unwrap();
                let index = index.expect("it is a worker");
                assert_eq!(value.as_deref(), Some(places[index]));
                seen.insert(index);
            }
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1]);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

/// How many bytes calls have leaked in this worker.
static LEAKED: AtomicUsize = AtomicUsize::new(0);

const MB: usize = 1_000_000;

/// Leaks a number of megabytes. Returns the worker, and how much it has leaked.
#[loky::task]
fn leak(megabytes: usize) -> (u32, usize) {
    black_box(Box::leak(vec![1_u8; megabytes * MB].into_boxed_slice()));
    let leaked = LEAKED.fetch_add(megabytes * MB, Ordering::Relaxed) + megabytes * MB;
    (std::process::id(), leaked)
}

/// As [`leak`], and takes its time.
#[loky::task]
fn leak_slowly(megabytes: usize, time: Duration) -> (u32, usize) {
    rest(time);
    leak(megabytes)
}

/// A second passes, after which a worker looks at its memory again.
fn until_it_looks_again() {
    rest(millis(1050));
}

/// Python loky's `test_memory_leak_protection`.
#[test]
fn memory_growth_replaces_worker() {
    isolated(|| {
        let (executor, log) = Log::of(builder(1).memory_growth_limit(30 * MB as u64));
        let calls: Vec<_> =
            (0..100).map(|_| executor.submit(leak_slowly, (3, millis(40)))).collect();
        let results: Vec<_> = calls.iter().map(|call| call.result_timeout(LONG).unwrap()).collect();
        let most = results.iter().map(|(_, leaked)| *leaked).max().unwrap();
        // The limit, and the growth of a second.
        assert!(most <= 30 * MB + (1000 / 40 + 4) * 3 * MB, "{most}");
        let pids: BTreeSet<_> = results.iter().map(|(pid, _)| *pid).collect();
        assert!(pids.len() >= 3, "{pids:?}");
        executor.shutdown(Shutdown::Wait);
        let n_retired = retired(&log, Retirement::MemoryGrowth);
        assert!(n_retired >= pids.len() - 1, "{:?}", log.words());
        assert_eq!((executor.stats().workers_died, executor.stats().failed), (0, 0));
        log.check_end(&executor);
    });
}

/// Leaks more than the default limit, bit by bit, and more once it has looked. The pids of the first call and the last, which
/// comes after the worker was told to leave, if it is.
#[track_caller]
fn leak_much(builder: Builder, is_replaced: bool) -> (u32, u32, Arc<Log>) {
    let (executor, log) = Log::of(builder);
    let (first, _) = executor.submit(leak, 1).result().unwrap();
    for _ in 0..4 {
        executor.submit(leak, 80).result().unwrap();
    }
    until_it_looks_again();
    executor.submit(leak, 1).result().unwrap();
    if is_replaced {
        // The worker reports its growth after the answer of that call.
        log.until(1, "retired 0: MemoryGrowth");
    }
    let (last, _) = executor.submit(leak, 1).result().unwrap();
    executor.shutdown(Shutdown::Wait);
    log.check_end(&executor);
    (first, last, log)
}

#[test]
fn without_limit_no_worker_is_replaced() {
    isolated(|| {
        let (first, last, log) = leak_much(builder(1).memory_growth_limit(None), false);
        assert_eq!(first, last);
        assert_eq!(retired(&log, Retirement::MemoryGrowth), 0);
    });
}

#[test]
fn memory_growth_limit_is_300_megabytes_by_default() {
    isolated(|| {
        let (first, last, log) = leak_much(builder(1), true);
        assert_ne!(first, last);
        assert_eq!(retired(&log, Retirement::MemoryGrowth), 1);
    });
}

#[test]
fn memory_growth_counts_from_first_call() {
    isolated(|| {
        let (executor, log) = Log::of(builder(1).memory_growth_limit(30 * MB as u64));
        let (first, _) = executor.submit(leak, 100).result().unwrap();
        for _ in 0..2 {
            until_it_looks_again();
            assert_eq!(executor.submit(pid, ()).result().unwrap(), first);
        }
        assert_eq!(executor.submit(leak, 40).result().unwrap(), (first, 140 * MB));
        until_it_looks_again();
        assert_eq!(executor.submit(pid, ()).result().unwrap(), first);
        log.until(1, "retired 0: MemoryGrowth");
        assert_ne!(executor.submit(pid, ()).result().unwrap(), first);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

/// Has as much to carry as it says, in either direction.
#[loky::task]
fn carry(there: String, back: usize) -> (u32, String) {
    assert!(there.bytes().all(|byte| byte == b'x'));
    (std::process::id(), "x".repeat(back))
}

/// The memory of arguments and results is returned before the worker measures.
#[test]
fn large_values_do_not_count_as_growth() {
    isolated(|| {
        let (executor, log) = Log::of(builder(1).memory_growth_limit(30 * MB as u64));
        let first = executor.submit(pid, ()).result().unwrap();
        for (there, back) in [(100, 0), (0, 100), (20, 20)] {
            until_it_looks_again();
            let call = executor.submit(carry, ("x".repeat(there * MB), back * MB));
            let (carrier, result) = call.result().unwrap();
            assert_eq!((carrier, result.len()), (first, back * MB));
        }
        assert_eq!(executor.submit(pid, ()).result().unwrap(), first);
        executor.shutdown(Shutdown::Wait);
        assert_eq!(retired(&log, Retirement::MemoryGrowth), 0);
        log.check_end(&executor);
    });
}

/// Several workers grow at once, while threads submit.
#[test]
fn workers_that_grow_under_load_are_replaced() {
    isolated(|| {
        let (executor, log) = Log::of(builder(2).memory_growth_limit(10 * MB as u64));
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while start.elapsed() < millis(2500) {
                        let calls: Vec<_> = (0..10).map(|_| executor.submit(pid, ())).collect();
                        executor.submit(leak_slowly, (1, millis(10))).result().unwrap();
                        assert!(calls.iter().all(|call| call.result_timeout(LONG).is_ok()));
                    }
                });
            }
        });
        executor.shutdown(Shutdown::Wait);
        assert!(retired(&log, Retirement::MemoryGrowth) >= 2, "{:?}", log.words());
        assert_eq!(executor.stats().workers_died, 0);
        log.check_end(&executor);
    });
}

#[test]
fn zero_limit_is_named_in_error() {
    isolated(|| {
        for (builder, name) in [
            (builder(1).max_tasks_per_worker(0), "max_tasks_per_worker"),
            (builder(1).memory_growth_limit(0_u64), "memory_growth_limit"),
            (builder(1).inner_threads(0), "inner_threads"),
            (builder(1).init_timeout(Duration::ZERO), "init_timeout"),
        ] {
            let error = builder.build().unwrap_err();
            assert!(error.is_invalid_config(), "{error:?}");
            assert_eq!(error.to_string(), format!("`{name}` must be greater than 0"));
        }
    });
}
