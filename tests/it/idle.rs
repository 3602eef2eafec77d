//! The idle timeout: idle workers leave, calls bring back as many as they need, and no call fails.
//!
//! Workers that leave all the time are in `storms.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use loky::{CrashPolicy, Event, Future, ProcessPoolExecutor, Retirement, Shutdown};
use loky_tests::held::Held;
use loky_tests::ledger::Log;
use loky_tests::pools::{builder_with_timeout, until_asleep, until_childless};
use loky_tests::step::warm_up;
use loky_tests::tasks::{pid, square};
use loky_tests::time::{LONG, millis, rest};
use loky_tests::{Random, children_of, isolated, until};
use serde::{Deserialize, Serialize, Serializer};

/// Python loky's `test_worker_timeout`.
#[test]
fn idle_workers_leave_and_come_back() {
    isolated(|| {
        let (executor, log) = Log::of(builder_with_timeout(4, millis(10)));
        let mut started = 0;
        for _ in 0..5 {
            let squares: Vec<_> = executor.map(square, 0..8).map(Result::unwrap).collect();
            assert_eq!(squares, [0, 1, 4, 9, 16, 25, 36, 49]);
            let limit = Duration::from_secs(5);
            until("all have left", limit, || executor.worker_pids().is_empty());
            let now = executor.stats().workers_started;
            assert!(now > started, "workers come back");
            started = now;
        }
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

/// A value that takes its time to be encoded.
#[derive(Debug, Deserialize)]
struct Slow(Duration);

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        rest(self.0);
        serializer.serialize_newtype_struct("Slow", &self.0)
    }
}

#[loky::task]
fn take(slow: Slow) -> Duration {
    slow.0
}

/// Of which the result takes its time to be encoded as well: in the worker, which is not idle meanwhile.
#[loky::task]
fn pass_on(slow: Slow) -> Slow {
    slow
}

/// Python loky's `test_worker_timeout_with_slowly_pickling_objects`.
#[test]
fn idle_timeout_during_slow_encoding_loses_no_call() {
    isolated(|| {
        for (timeout, delay) in [(10, 20), (10, 100), (100, 100), (1, 100)] {
            let (executor, log) = Log::of(builder_with_timeout(2, millis(timeout)));
            let delay = millis(delay);
            let calls = [(); 5].map(|()| executor.submit(take, Slow(delay)));
            assert!(calls.iter().all(|call| call.result().unwrap() == delay));
            let calls = [(); 2].map(|()| executor.submit(pass_on, Slow(delay)));
            assert!(calls.iter().all(|call| call.result().unwrap().0 == delay));
            executor.shutdown(Shutdown::Wait);
            log.check_end(&executor);
        }
    });
}

/// Python loky's `test_worker_timeout_shutdown_no_deadlock`.
#[test]
fn shutdown_with_idle_timeout_runs_last_call() {
    isolated(|| {
        let executor = builder_with_timeout(2, millis(1)).build().unwrap();
        executor.prewarm().unwrap();
        let second = Duration::from_secs(1);
        let call = executor.submit(take, Slow(second));
        drop(executor);
        assert_eq!(call.result_timeout(Duration::ZERO).unwrap(), second);
    });
}

/// Calls that are submitted about when the workers leave, and what is done to their executor then. (It may be kept.)
#[track_caller]
fn check_end(end: fn(ProcessPoolExecutor) -> Option<ProcessPoolExecutor>) {
    let mut random = Random::new(3);
    for round in 0..60 {
        let timeout = millis(round % 3);
        let executor = builder_with_timeout(2, timeout).build().unwrap();
        assert_eq!(executor.submit(square, 2).result().unwrap(), 4);
        rest(timeout + Duration::from_micros(random.below(2000) as u64));
        let calls: Vec<_> =
            (0..random.below(6) as u64).map(|x| executor.submit(square, x)).collect();
        let _kept = end(executor);
        for (call, x) in calls.iter().zip(0..) {
            assert_eq!(call.result_timeout(LONG).unwrap(), x * x);
        }
        until_childless();
    }
}

/// Python: a worker that leaves after a `shutdown(wait=False)` ends the manager thread, and the calls run for ever.
#[test]
fn idle_exit_after_no_wait_shutdown_loses_no_call() {
    isolated(|| {
        check_end(|executor| {
            executor.shutdown(Shutdown::NoWait);
            Some(executor)
        });
    });
}

/// Python: no thread brings workers back when the executor is collected, and the calls are pending for ever.
#[test]
fn idle_exit_while_executor_is_dropped_loses_no_call() {
    isolated(|| {
        check_end(|executor| {
            drop(executor);
            None
        });
    });
}

/// A call runs, and the other worker leaves. Calls that are submitted then wait, or bring a worker back.
#[test]
fn idle_exit_beside_busy_worker_loses_no_call() {
    isolated(|| {
        for how in [Shutdown::NoWait, Shutdown::Wait] {
            let (executor, log) = Log::of(builder_with_timeout(2, millis(1)));
            executor.prewarm().unwrap();
            let held = Held::new(&executor, 1);
            log.until(1, "retired");
            let calls: Vec<_> = (0..20).map(|x| executor.submit(square, x)).collect();
            held.release();
            executor.shutdown(how);
            assert!(calls.iter().all(|call| call.result_timeout(LONG).is_ok()));
            executor.shutdown(Shutdown::Wait);
            log.check_end(&executor);
        }
    });
}

#[test]
fn without_idle_timeout_no_worker_leaves() {
    isolated(|| {
        for builder in [
            builder_with_timeout(2, Duration::MAX),
            builder_with_timeout(2, millis(1)).idle_timeout(None),
        ] {
            let (executor, log) = Log::of(builder);
            executor.prewarm().unwrap();
            let pids = executor.worker_pids();
            let restless = builder_with_timeout(1, millis(1)).build().unwrap();
            for _ in 0..20 {
                restless.submit(square, 2).result().unwrap();
                until_asleep(&restless);
            }
            rest(millis(200));
            assert_eq!(executor.worker_pids(), pids);
            assert!(pids.contains(&executor.submit(pid, ()).result().unwrap()));
            executor.shutdown(Shutdown::Wait);
            assert_eq!(log.words().iter().filter(|word| word.contains("Idle")).count(), 0);
            log.check_end(&executor);
        }
    });
}

/// How many workers were ready at one time, at most.
fn most_ready(events: &[Event]) -> usize {
    let mut ready = BTreeSet::new();
    let mut most = 0;
    for event in events {
        match event {
            Event::WorkerReady { worker_pid, .. } => drop(ready.insert(*worker_pid)),
            Event::WorkerRetired { worker_pid, .. } | Event::WorkerExited { worker_pid, .. } => {
                ready.remove(worker_pid);
            }
            _ => {}
        }
        most = most.max(ready.len());
    }
    most
}

#[test]
fn prewarm_has_all_workers_ready_together() {
    isolated(|| {
        for timeout in [1, 0] {
            let (executor, log) = Log::of(builder_with_timeout(4, millis(timeout)));
            for round in 1..=5 {
                let before = log.events().len();
                executor.prewarm().unwrap();
                log.until(4 * round, "ready");
                assert_eq!(most_ready(&log.events()[before..]), 4, "{:?}", log.words());
                until_asleep(&executor);
            }
            executor.shutdown(Shutdown::Wait);
            log.check_end(&executor);
        }
    });
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn sleeping_pool_has_no_processes_and_few_descriptors() {
    isolated(|| {
        let (executor, log) = Log::of(builder_with_timeout(4, millis(10)));
        let fresh = descriptors();
        for _ in 0..5 {
            let held = Held::new(&executor, 4);
            let awake = descriptors();
            assert!(awake >= fresh + 8, "{fresh} before, {awake} now");
            held.release();
            assert!(held.futures.iter().all(|call| call.result().is_ok()));
            until_asleep(&executor);
            assert_eq!(children_of(std::process::id()), []);
            drop(held);
            // Two that the pool holds back, and one by which a thread that waits is woken.
            assert!(descriptors() <= fresh + 3, "{fresh} before, {} now", descriptors());
        }
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn idle_exit_is_ordered_and_not_death() {
    isolated(|| {
        let (executor, log) = Log::of(builder_with_timeout(1, millis(10)));
        let first = executor.submit(pid, ()).result().unwrap();
        until_asleep(&executor);
        let stats = executor.stats();
        assert_eq!((stats.workers_started, stats.workers_retired, stats.workers_died), (1, 1, 0));
        assert_ne!(executor.submit(pid, ()).result().unwrap(), first);
        log.until(2, "left");
        executor.shutdown(Shutdown::Wait);
        let life = |call| {
            let ends = ["retired 0: Idle".to_owned(), "left 0: EXIT(0)".to_owned()];
            let mut words = ["submitted {}", "started 0", "given {}", "ready 0", "finished {}"];
            if cfg!(loky_force_stream) {
                words.swap(2, 3); // Only a ready worker is given a call.
            }
            words.map(|word| word.replace("{}", &format!("{call}"))).into_iter().chain(ends)
        };
        let words: Vec<_> = life(1).chain(life(2)).chain(["shut down".to_owned()]).collect();
        assert_eq!(log.words_of_quick_starts(), words);
        log.check_end(&executor);
        let events = log.events();
        let is_told = |event: &Event| {
            let Event::WorkerExited { worker_pid, exit, was_told, .. } = event else {
                return false;
            };
            *worker_pid == first && *was_told && exit.code() == Some(0) && exit.task().is_none()
        };
        let is_retired = |event: &Event| {
            matches!(event, Event::WorkerRetired { worker_pid, why: Retirement::Idle, .. }
                if *worker_pid == first)
        };
        assert!(events.iter().any(is_told) && events.iter().any(is_retired), "{events:?}");
    });
}

#[test]
fn returning_workers_are_as_many_as_calls_need() {
    isolated(|| {
        let (executor, log) = Log::of(builder_with_timeout(4, millis(100)));
        // Longer than calls may lie behind another: so no worker leaves while calls lie with another one.
        executor.prewarm().unwrap();
        let mut started = 4;
        for n_calls in [1, 3, 2, 4, 7, 1] {
            until_asleep(&executor);
            assert_eq!(executor.stats().workers_started, started, "no worker comes without a call");
            let n_workers = n_calls.min(4);
            let mut held = Held::new(&executor, n_workers);
            let behind = (n_workers..n_calls).map(|_| held.another(&executor));
            let behind: Vec<_> = behind.collect();
            held.futures.extend(behind);
            rest(millis(20));
            let stats = executor.stats();
            started += n_workers as u64;
            assert_eq!((stats.workers, stats.workers_started), (n_workers, started), "{n_calls}");
            held.release();
            let pids: BTreeSet<_> = held.futures.iter().map(|it| it.result().unwrap()).collect();
            assert!(pids.len() <= n_workers, "{pids:?}");
        }
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn busy_worker_does_not_leave() {
    isolated(|| {
        for timeout in [10, 0] {
            let (executor, log) = Log::of(builder_with_timeout(2, millis(timeout)));
            executor.prewarm().unwrap();
            let held = Held::new(&executor, 1);
            log.until(1, "retired");
            rest(millis(300));
            assert_eq!(executor.worker_pids(), [held.futures[0].worker_pid().unwrap()]);
            assert!(held.futures[0].is_running());
            held.release();
            assert!(held.futures[0].result().is_ok());
            executor.shutdown(Shutdown::Wait);
            log.check_end(&executor);
        }
    });
}

#[test]
fn resize_of_sleeping_pool_takes_effect() {
    isolated(|| {
        let (executor, log) = Log::of(builder_with_timeout(2, millis(10)));
        executor.submit(square, 2).result().unwrap();
        until_asleep(&executor);
        executor.resize(4).unwrap();
        log.until(5, "ready"); // As without a timeout: what there is to be starts now.
        until_asleep(&executor);
        let started = executor.stats().workers_started;
        for n_workers in [3, 1, 2] {
            executor.resize(n_workers).unwrap();
            until_asleep(&executor);
            let held = Held::new(&executor, n_workers);
            let queued: Vec<_> = (0..5).map(|x| executor.submit(square, x)).collect();
            assert_eq!(executor.stats().workers, n_workers);
            held.release();
            assert!(queued.iter().map(Future::result).all(|result| result.is_ok()));
            until_asleep(&executor);
        }
        assert!(executor.stats().workers_started >= started + 6);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn idle_exit_does_not_break_pool() {
    isolated(|| {
        let builder = builder_with_timeout(2, millis(1)).on_worker_crash(CrashPolicy::BreakPool);
        let (executor, log) = Log::of(builder);
        for x in 0..20 {
            assert_eq!(executor.submit(square, x).result().unwrap(), x * x);
            until_asleep(&executor);
        }
        assert!(!executor.is_broken());
        executor.shutdown(Shutdown::Wait);
        assert_eq!(executor.stats().workers_died, 0);
        log.check_end(&executor);
    });
}

/// Clock ticks of processor time that a process has used.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// How often the threads of pools have gone to sleep by themselves.
fn switches() -> u64 {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let pools = threads.filter(|thread| {
        fs::read_to_string(thread.join("comm")).unwrap_or_default().starts_with("loky-")
    });
    let counts = pools.map(|thread| {
        let status = fs::read_to_string(thread.join("status")).unwrap();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.unwrap().trim().parse::<u64>().unwrap()
    });
    counts.sum()
}

#[test]
fn idle_pool_uses_no_processor_time() {
    isolated(|| {
        for timeout in [None, Some(Duration::from_secs(10))] {
            let builder = ProcessPoolExecutor::builder().max_workers(2).idle_timeout(timeout);
            let executor = builder.build().unwrap();
            executor.prewarm().unwrap();
            warm_up(&executor, 1000);
            rest(millis(100));
            let pids = executor.worker_pids();
            let all = || pids.iter().copied().chain([std::process::id()]).map(ticks);
            let before: (Vec<u64>, u64) = (all().collect(), switches());
            rest(millis(1200));
            let after: (Vec<u64>, u64) = (all().collect(), switches());
            // Work from before may end a tick now, and the test itself wakes up.
            let used = after.0.iter().zip(&before.0).map(|(after, before)| after - before);
            assert!(used.max() <= Some(1), "{timeout:?}: {before:?} {after:?}");
            // Where there are no pidfds the pool looks after its workers twenty times a second.
            let allowed = if cfg!(loky_force_no_pidfd) { 30 } else { 2 };
            assert!(after.1 <= before.1 + allowed, "{timeout:?}: {before:?} {after:?}");
            assert!(before.1 > 0, "the threads are found");
        }
    });
}
