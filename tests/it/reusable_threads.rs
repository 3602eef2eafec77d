//! The reusable executor on many threads, which ask for equal or different settings: each thread gets what it asks for, and old
//! executors do not pile up.

use std::ffi::OsString;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use loky::{CrashPolicy, Future, ProcessPoolExecutor, ReusableBuilder, Reuse, Shutdown};
use loky_tests::deed::{Deed, perform};
use loky_tests::held::Held;
use loky_tests::pools::{reusable, until_childless};
use loky_tests::tasks::square;
use loky_tests::time::LONG;
use loky_tests::{Random, children_of, isolated, tasks, until};

const THREADS: usize = 10;

const WORD: &str = "LOKY_TESTS_WORD";

/// Runs `body` on all threads at once, each with its number.
fn at_once(body: impl Fn(usize) + Sync) {
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (start, body) = (&start, &body);
            scope.spawn(move || {
                start.wait();
                body(number);
            });
        }
    });
}

/// The reusable executor as this test has it, ended.
#[track_caller]
fn end(builder: ReusableBuilder) {
    builder.reuse(Reuse::Yes).get().unwrap().shutdown(Shutdown::Wait);
}

#[track_caller]
fn check_thread_safety(size_of: fn(usize) -> usize, is_broken: bool) {
    let get = |size| reusable(size).on_worker_crash(CrashPolicy::BreakPool).get().unwrap();
    for _ in 0..5 {
        let broken = is_broken.then(|| {
            let broken = get(2);
            assert!(broken.submit(perform, Deed::Abort).error().is_some());
            assert!(broken.is_broken());
            broken.id()
        });
        at_once(|number| {
            for x in 0..10 {
                let executor = get(size_of(number));
                assert_ne!(Some(executor.id()), broken);
                assert_eq!(executor.submit(square, x).result().unwrap(), square(x));
                assert!(executor.map(square, 0..10).map(Result::unwrap).eq((0..10).map(square)));
            }
        });
        end(reusable(1));
    }
}

/// Python loky's `test_reusable_executor_thread_safety`.
#[test]
fn gets_of_equal_size_on_threads_are_served() {
    isolated(|| check_thread_safety(|_| 2, false));
}

/// Python loky's `test_reusable_executor_thread_safety_varying`.
#[test]
fn gets_of_varying_size_on_threads_are_served() {
    isolated(|| check_thread_safety(|number| number % 4 + 1, false));
}

/// Python loky's `test_reusable_executor_thread_safety_broken_start`.
#[test]
fn gets_on_threads_after_break_are_served() {
    isolated(|| check_thread_safety(|_| 2, true));
}

/// Python loky's `test_reusable_executor_thread_safety_varying_broken_start`.
#[test]
fn gets_of_varying_size_on_threads_after_break_are_served() {
    isolated(|| check_thread_safety(|number| number % 4 + 1, true));
}

#[test]
fn gets_with_equal_settings_on_threads_return_one_executor() {
    isolated(|| {
        for _ in 0..20 {
            let ids = Mutex::new(Vec::new());
            at_once(|_| {
                let executor = reusable(2).get().unwrap();
                ids.lock().unwrap().push(executor.id());
                assert_eq!(executor.submit(square, 3).result().unwrap(), 9);
            });
            let ids = ids.into_inner().unwrap();
            assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
            end(reusable(2));
        }
    });
}

/// Calls run under the settings of their executor, whatever other threads ask for meanwhile.
///
/// Python loky's `test_reusable_executor_submit_during_shutdown_race`.
#[test]
fn submit_while_executor_is_replaced_keeps_settings() {
    isolated(|| {
        let with = |word: usize| reusable(2).env(WORD, word.to_string());
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for word in (0..2).cycle() {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    with(word).get().unwrap();
                }
            });
            for word in (0..2).cycle().take(100) {
                let executor = with(word).get().unwrap();
                let calls = [(); 3].map(|()| executor.submit(tasks::variable, WORD.into()));
                for call in calls {
                    assert_eq!(call.result().unwrap().unwrap(), *word.to_string());
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        end(with(0));
        until_childless();
    });
}

/// Python loky's `test_reusable_executor_submit_with_concurrent_env_changes`.
#[test]
fn submit_while_threads_change_env_keeps_settings() {
    isolated(|| {
        for n_workers in [1, 2] {
            at_once(|number| {
                let word = number.to_string();
                for _ in 0..20 {
                    let executor = reusable(n_workers).env(WORD, &word).get().unwrap();
                    let found = executor.submit(tasks::variable, WORD.into()).result();
                    assert_eq!(found.unwrap().unwrap(), *word);
                }
            });
        }
        end(reusable(1));
        until_childless();
    });
}

#[test]
fn shutdown_on_thread_ends_only_its_executor() {
    isolated(|| {
        let kept = reusable(1).env(WORD, "kept").get().unwrap();
        let held = Held::new(&kept, 1);
        at_once(|number| {
            for _ in 0..5 {
                let executor = reusable(number % 4 + 1).reuse(Reuse::No).get().unwrap();
                let found = executor.submit(square, 3).result();
                assert_eq!(found.unwrap(), 9);
                executor.shutdown([Shutdown::Wait, Shutdown::Kill][number % 2]);
            }
        });
        held.release();
        assert!(held.futures[0].result().is_ok());
        kept.shutdown(Shutdown::Wait);
    });
}

/// A call that a thread cares for.
struct Kept {
    /// The word that the call has to find, if that is known.
    word: Option<String>,
    executor: ProcessPoolExecutor,
    call: Future<Option<OsString>>,
}

/// A thread that asks for everything at random.
struct Asker<'a> {
    random: Random,
    /// Calls that have resolved, of all threads; and those that were killed.
    n_calls: &'a AtomicUsize,
    killed: &'a AtomicUsize,
    kept: Vec<Kept>,
}

const WORDS: [Option<&str>; 3] = [None, Some("one"), Some("two")];

const MOST_WORKERS: usize = 4;

impl Asker<'_> {
    fn until(&mut self, end: Instant) {
        while Instant::now() < end {
            let word = WORDS[self.random.below(WORDS.len())];
            let reuse = [Reuse::Auto, Reuse::Auto, Reuse::Auto, Reuse::Yes][self.random.below(4)];
            let mut builder = reusable(self.random.below(MOST_WORKERS) + 1).reuse(reuse);
            if let Some(word) = word {
                builder = builder.env(WORD, word);
            }
            let executor = builder.kill_workers(self.random.once_in(20)).get().unwrap();
            // By `Reuse::Yes` it may be anybody's.
            let word = (reuse == Reuse::Auto).then(|| word.unwrap_or_default().to_owned());
            for _ in 0..self.random.below(8) {
                let call = executor.submit(tasks::variable, WORD.into());
                self.kept.push(Kept { word: word.clone(), executor: executor.clone(), call });
            }
            while self.kept.len() > 20 {
                let place = self.random.below(self.kept.len());
                let kept = self.kept.swap_remove(place);
                self.check(kept);
            }
        }
        while let Some(kept) = self.kept.pop() {
            self.check(kept);
        }
    }

    fn check(&self, Kept { word, executor, call }: Kept) {
        match call.result() {
            Ok(found) => {
                let found = found.unwrap_or_default();
                assert!(word.is_none_or(|word| found == *word), "other settings: {found:?}");
            }
            Err(error) => {
                assert!(error.is_shutdown_executor() && executor.is_shutdown(), "{error:?}");
                self.killed.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.n_calls.fetch_add(1, Ordering::Relaxed);
    }
}

fn n_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until only one executor is left, and nothing of earlier ones.
fn until_one_is_left() {
    let n_children = || children_of(std::process::id()).len();
    until("one executor's workers", LONG, || n_children() <= MOST_WORKERS);
    // The children that are left belong to the present executor.
    let executor = loky::reusable_executor().reuse(Reuse::Yes).get().unwrap();
    until("its own workers alone", LONG, || n_children() == executor.worker_pids().len());
}

#[test]
fn random_gets_on_threads_are_served() {
    isolated(|| {
        let is_long = std::env::var_os("LOKY_TESTS_LONG").is_some();
        let time = Duration::from_secs(if is_long { 30 } else { 5 });
        let [n_calls, killed] = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let run = |seeds: usize, time| {
            let end = Instant::now() + time;
            at_once(|number| {
                let random = Random::new((seeds + number) as u64);
                let (n_calls, killed) = (&n_calls, &killed);
                Asker { random, n_calls, killed, kept: Vec::new() }.until(end);
            });
            until_one_is_left();
            let executor = reusable(MOST_WORKERS).reuse(Reuse::No).get().unwrap();
            executor.prewarm().unwrap();
            until_one_is_left();
            n_descriptors()
        };
        let first = run(0, Duration::from_secs(1));
        let last = run(THREADS, time);
        until("descriptors as before", LONG, || n_descriptors() <= first);
        let [n_calls, killed] = [n_calls, killed].map(AtomicUsize::into_inner);
        assert!(n_calls > 100 && killed > 0, "{killed} of {n_calls} calls, {first} and {last}");
        end(reusable(1));
    });
}
