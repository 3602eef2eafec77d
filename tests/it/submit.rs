//! `submit` and `spawn`, and the outcome of ordinary calls.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use loky::{ErrorKind, Execution, ProcessPoolExecutor};
use loky_tests::held::Held;
use loky_tests::pools::executor;
use loky_tests::tasks::{count, exit, pid, square};
use loky_tests::time::LONG;
use loky_tests::{children_of, isolated, until};
use serde::{Deserialize, Serialize};

#[loky::task]
fn pow(base: u64, exponent: u32) -> u64 {
    base.pow(exponent)
}

/// Python loky's `test_submit`.
#[test]
fn submit_returns_result_of_task() {
    isolated(|| {
        let executor = executor(2);
        assert_eq!(executor.submit(pow, (2, 8)).result().unwrap(), 256);
        assert_eq!(executor.submit(pow::TASK, (2, 9)).result().unwrap(), 512);
        assert_eq!(executor.spawn(pow::call(2, 10)).result().unwrap(), 1024);
        assert_ne!(executor.submit(pid, ()).result().unwrap(), std::process::id());
    });
}

/// Python's keyword arguments.
#[derive(Serialize, Deserialize)]
struct Keywords {
    base: u64,
    exponent: u32,
}

#[loky::task]
fn pow_of(Keywords { base, exponent }: Keywords) -> u64 {
    base.pow(exponent)
}

/// Python loky's `test_submit_keyword`.
#[test]
fn struct_argument_arrives() {
    isolated(|| {
        let keywords = Keywords { exponent: 5, base: 3 };
        assert_eq!(executor(1).submit(pow_of, keywords).result().unwrap(), 243);
    });
}

macro_rules! tasks_of_numbers {
    ($($name:ident($($arg:ident)*);)*) => {
        $(
            #[loky::task]
            fn $name($($arg: u64),*) -> Vec<u64> {
                vec![$($arg),*]
            }
        )*
    };
}

tasks_of_numbers! {
    zero();
    one(a);
    two(a b);
    three(a b c);
    four(a b c d);
    five(a b c d e);
    six(a b c d e f);
    seven(a b c d e f g);
}

#[loky::task]
#[expect(clippy::too_many_arguments, reason = "the most that there can be")]
fn twelve(
    a: bool,
    b: u8,
    c: i16,
    d: u32,
    e: i64,
    f: f64,
    g: char,
    h: String,
    i: Option<u8>,
    j: Vec<u8>,
    k: (),
    l: [i8; 2],
) -> String {
    format!("{a:?} {b:?} {c:?} {d:?} {e:?} {f:?} {g:?} {h:?} {i:?} {j:?} {k:?} {l:?}")
}

#[loky::task]
fn swap(pair: (u64, u64)) -> (u64, u64) {
    (pair.1, pair.0)
}

#[loky::task]
fn nothing(unit: ()) {
    unit
}

#[test]
fn tasks_of_zero_to_twelve_arguments_run() {
    isolated(|| {
        let executor = executor(1);
        for (number, future) in [
            executor.submit(zero, ()),
            executor.submit(one, 1),
            executor.submit(two, (1, 2)),
            executor.submit(three, (1, 2, 3)),
            executor.submit(four, (1, 2, 3, 4)),
            executor.submit(five, (1, 2, 3, 4, 5)),
            executor.submit(six, (1, 2, 3, 4, 5, 6)),
            executor.submit(seven, (1, 2, 3, 4, 5, 6, 7)),
        ]
        .iter()
        .enumerate()
        {
            let expected: Vec<_> = (1..=number as u64).collect();
            assert_eq!(future.result().unwrap(), expected);
        }
        let dozen =
            (true, 1, -2, 3, -4, 0.5, 'ß', "six".into(), Some(7), vec![8, 9], (), [-10, 11]);
        assert_eq!(
            executor.submit(twelve, dozen).result().unwrap(),
            r#"true 1 -2 3 -4 0.5 'ß' "six" Some(7) [8, 9] () [-10, 11]"#
        );
        // A single argument that looks like several, or like none.
        assert_eq!(executor.submit(swap, (1, 2)).result().unwrap(), (2, 1));
        executor.submit(nothing, ()).result().unwrap();
    });
}

/// Python loky's `test_max_workers_negative`.
#[test]
fn zero_max_workers_is_error() {
    isolated(|| {
        let error = ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert_eq!(error.to_string(), "`max_workers` must be greater than 0");
    });
}

#[test]
fn executor_has_its_workers_and_nothing_else() {
    isolated(|| {
        let [first, second] = [executor(3), executor(1)];
        assert_ne!(first.id(), second.id());
        assert_eq!([first.max_workers(), second.max_workers()], [3, 1]);
        assert_eq!(children_of(std::process::id()), [], "workers start with the first call");
        first.prewarm().unwrap();
        let pids: BTreeSet<_> = first.worker_pids().into_iter().collect();
        let children = children_of(std::process::id()).into_iter().map(|child| child.pid);
        assert_eq!(children.collect::<BTreeSet<_>>(), pids);
        assert_eq!((pids.len(), second.worker_pids().len()), (3, 0));
        assert!(pids.contains(&first.submit(pid, ()).result().unwrap()));
        first.prewarm().unwrap();
        let again: BTreeSet<_> = first.worker_pids().into_iter().collect();
        assert_eq!(again, pids, "the first workers are still there");
    });
}

#[test]
fn calls_start_in_the_order_of_submission() {
    isolated(|| {
        let executor = executor(1);
        let counts: Vec<_> = (1..=50).map(|number| (number, executor.submit(count, ()))).collect();
        for (number, future) in counts.into_iter().rev() {
            assert_eq!(future.result().unwrap(), number);
        }
    });
}

#[test]
fn call_is_pending_then_running_then_done() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let [running, pending] = [&held.futures[0], &executor.submit(pid, ())];
        assert!(running.is_running() && !running.is_done());
        assert_eq!(running.worker_pid(), executor.worker_pids().first().copied());
        assert!(!pending.is_running() && !pending.is_done());
        assert_eq!(pending.worker_pid(), None);
        assert!(running.result_timeout(Duration::ZERO).unwrap_err().is_timeout());
        held.release();
        let worker = pending.result().unwrap();
        assert!(running.is_done() && !running.is_running() && !running.cancel());
        assert_eq!((running.result().unwrap(), running.worker_pid()), (worker, Some(worker)));
    });
}

#[test]
fn cancel_of_queued_call_never_runs_it() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        assert!(!held.futures[0].cancel(), "it runs");
        let counts: Vec<_> = (0..20).map(|_| executor.submit(count, ())).collect();
        for future in counts.iter().step_by(2) {
            assert!(future.cancel());
            let error = future.result().unwrap_err();
            assert!(error.is_cancelled());
            assert_eq!(error.execution(), Execution::NotStarted);
        }
        held.release();
        let ran: Vec<_> =
            counts.iter().skip(1).step_by(2).map(|future| future.result().unwrap()).collect();
        assert_eq!(ran, Vec::from_iter(1..=10));
        held.futures[0].result().unwrap();
    });
}

/// Python loky's `test_thread_safety`.
#[test]
fn executor_used_by_ten_threads_answers_each() {
    isolated(|| {
        let executor = executor(4);
        let use_it = |executor: ProcessPoolExecutor| {
            let expected = Vec::from_iter((0..40).map(square));
            let mapped = || executor.map(square, 0..40).collect::<loky::Result<Vec<_>>>();
            assert_eq!(mapped().unwrap(), expected);
            let futures = Vec::from_iter((0..20).map(|x| executor.submit(square, x)));
            let cancelled: Vec<_> =
                futures.iter().enumerate().map(|(n, f)| n % 2 == 0 && f.cancel()).collect();
            for ((future, cancelled), expected) in futures.iter().zip(cancelled).zip(&expected) {
                match future.result() {
                    Ok(result) => assert_eq!((result, cancelled), (*expected, false)),
                    Err(error) => assert!(error.is_cancelled() && cancelled, "{error}"),
                }
            }
            assert_eq!(mapped().unwrap(), expected);
        };
        let threads: Vec<_> = (0..10)
            .map(|_| executor.clone())
            .map(|executor| thread::spawn(move || use_it(executor)))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // The first of them may have done all of that before the last is started.
        until("all are started", LONG, || children_of(std::process::id()).len() == 4);
    });
}

/// Submits `first`, and when that is done the next one, up to `last`; what came back goes to `results`.
fn chain(
    executor: &ProcessPoolExecutor,
    first: u64,
    last: u64,
    results: &Arc<Mutex<Vec<u64>>>,
    done: mpsc::Sender<()>,
) {
    let (again, results) = (executor.clone(), Arc::clone(results));
    executor.submit(square, first).add_done_callback(move |future| {
        results.lock().unwrap().push(future.result().unwrap());
        if first < last {
            chain(&again, first + 1, last, &results, done);
        } else {
            done.send(()).unwrap();
        }
    });
}

/// Python loky's `test_submit_from_callback`.
#[test]
fn callback_may_submit() {
    isolated(|| {
        let executor = executor(2);
        let (done, receiver) = mpsc::channel();
        let chains = [100, 50, 60].map(|last| {
            let results = Arc::new(Mutex::new(Vec::new()));
            chain(&executor, 1, last, &results, done.clone());
            (last, results)
        });
        drop(done);
        assert_eq!(receiver.iter().count(), 3);
        for (last, results) in chains {
            assert_eq!(*results.lock().unwrap(), Vec::from_iter((1..=last).map(square)));
        }
        // Not by dropping this handle: a callback may still hold one.
        executor.shutdown(loky::Shutdown::Wait);
    });
}

static DROPS: AtomicUsize = AtomicUsize::new(0);

/// Counts the drops of its kind in this process.
#[derive(Serialize, Deserialize)]
struct Counted(u64);

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::SeqCst);
    }
}

#[loky::task]
fn next(counted: Counted) -> Counted {
    Counted(counted.0 + 1)
}

/// Python loky's `test_no_stale_references`.
#[test]
fn values_are_dropped_once_done() {
    isolated(|| {
        let drops = || DROPS.swap(0, Ordering::SeqCst);
        let executor = executor(1);
        let future = executor.submit(next, Counted(1));
        assert_eq!(future.result().unwrap().0, 2);
        assert_eq!(drops(), 2, "the argument and the result");
        assert_eq!(future.result().unwrap().0, 2);
        assert_eq!(drops(), 1, "each result is a fresh one");
        drop(future);
        assert_eq!(drops(), 0);

        let mut map = executor.map(next, (0..20).map(Counted));
        assert_eq!(map.by_ref().take(3).map(|next| next.unwrap().0).sum::<u64>(), 6);
        drop(map);
        assert!((3 + 3..=20 + 3).contains(&drops()), "arguments that were taken, and results");

        let held = Arc::new(());
        let captured = Arc::clone(&held);
        executor.submit(pid, ()).add_done_callback(move |_| drop(captured));
        until("the callback is gone", LONG, || Arc::strong_count(&held) == 1);
        executor.shutdown(loky::Shutdown::Wait);
        assert!(executor.submit(next, Counted(1)).error().is_some());
        assert_eq!(drops(), 1, "not accepted, not kept");
    });
}

#[loky::task]
fn variables(names: Vec<String>) -> Vec<Option<String>> {
    names.into_iter().map(|name| std::env::var(name).ok()).collect()
}

/// Python loky's `test_child_env_executor`.
#[test]
fn env_of_builder_reaches_its_workers_only() {
    isolated(|| {
        let names = ["LOKY_TESTS_A", "LOKY_TESTS_B", "LOKY_TESTS_C", "PATH", "LOKY_TESTS_NONE"];
        let ask = |executor: &ProcessPoolExecutor| {
            executor.submit(variables, names.map(String::from).to_vec()).result().unwrap()
        };
        let set = ProcessPoolExecutor::builder()
            .max_workers(1)
            .env("LOKY_TESTS_A", "first")
            .envs([("LOKY_TESTS_B", "zwei = 2; ß"), ("LOKY_TESTS_C", ""), ("PATH", "changed")])
            .env("LOKY_TESTS_A", "last")
            .build()
            .unwrap();
        let text = |text: &str| Some(text.to_owned());
        let expected = [text("last"), text("zwei = 2; ß"), text(""), text("changed"), None];
        assert_eq!(ask(&set), expected);
        let path = std::env::var("PATH").ok();
        assert_eq!(ask(&executor(1)), [None, None, None, path, None], "others are not touched");
        assert_eq!(std::env::var("LOKY_TESTS_A").ok(), None, "nor is this process");
        // Workers that come later have it as well.
        set.submit(exit, 1).error().unwrap();
        assert_eq!(ask(&set), expected);
    });
}

/// Bytes that serde sees as bytes, and that differ all along.
fn long_text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 20);
    let mut number = 0_u64;
    while text.len() < bytes {
        fmt::Write::write_fmt(&mut text, format_args!("{number:015} ")).unwrap();
        number += 1;
    }
    text.truncate(bytes);
    text
}

#[loky::task]
fn echo(text: String) -> String {
    text
}

#[test]
fn large_values_go_both_ways() {
    isolated(|| {
        let executor = executor(2);
        let text = long_text(64 << 20);
        // Both at once, with little ones between them.
        let large = [(); 2].map(|()| executor.submit(echo, text.clone()));
        let small = executor.submit(echo, "small".into());
        assert_eq!(small.result().unwrap(), "small");
        for future in large {
            assert!(future.result().unwrap() == text, "what came back differs");
        }
    });
}

#[loky::task]
fn length(text: String) -> usize {
    text.len()
}

/// Python loky's `test_no_failure_on_large_data_send`.
#[test]
fn argument_above_2_gib_arrives() {
    isolated(|| {
        if std::env::var("LOKY_TEST_HIGH_MEMORY").is_ok_and(|value| value == "1") {
            let bytes = 2_200_000_000;
            let future = executor(1).submit(length, "x".repeat(bytes));
            assert_eq!(future.result().unwrap(), bytes);
        }
    });
}
