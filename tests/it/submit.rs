//! `submit`, `spawn`, and what becomes of ordinary calls: CONFORMANCE.md, section 2.4, by the same names.
//!
//! The tasks and helpers at the top serve the neighbouring files too.
// Rows of 2.4 that are not here: test_map* → map.rs; test_worker_timeout* → idle.rs; test_memory_leak_protection → recycle.rs; test_reference_cycle_collection has no counterpart; test_serialization → codecs; test_max_depth, test_child_env_executor → environment.rs; test_viztracer* → initializer.rs; test_no_deprecation_warning_is_raised_on_fork → fork.rs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use loky::{CrashPolicy, ErrorKind, Execution, Future, ProcessPoolExecutor, TaskResult};
use loky_tests::held::Held;
use loky_tests::pools::{POLICIES, executor, until_childless};
use loky_tests::signal::send_signal;
use loky_tests::tasks::{count, exit, pid, square};
use loky_tests::time::LONG;
use loky_tests::{children_of, is_alive, isolated, until};
use serde::{Deserialize, Serialize};

#[loky::task]
fn pow(base: u64, exponent: u32) -> u64 {
    base.pow(exponent)
}

#[test]
fn test_submit() {
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

#[test]
fn test_submit_keyword() {
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
fn tasks_have_zero_to_twelve_arguments() {
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
        // One argument that looks like several, or like none.
        assert_eq!(executor.submit(swap, (1, 2)).result().unwrap(), (2, 1));
        executor.submit(nothing, ()).result().unwrap();
    });
}

#[test]
fn test_max_workers_negative() {
    isolated(|| {
        let error = ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert_eq!(error.to_string(), "`max_workers` must be greater than 0");
    });
}

#[test]
fn an_executor_has_its_workers_and_nothing_else() {
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
        assert_eq!(again, pids, "the same are still there");
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
fn a_call_is_pending_then_running_then_done() {
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
fn a_call_that_was_cancelled_never_runs() {
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

/// Two calls run, one waits behind them; `end` ends the first one's worker. What becomes of the three, by policy.
#[track_caller]
fn check_death<T>(end: impl Fn(&ProcessPoolExecutor) -> (Future<u32>, T), words: &str) {
    for policy in POLICIES {
        let builder = ProcessPoolExecutor::builder().max_workers(2).on_worker_crash(policy);
        let executor = builder.build().unwrap();
        let held = Held::new(&executor, 1);
        let [bystander] = &*held.futures else { unreachable!("one call was made") };
        let (victim, _what_it_needs) = end(&executor);

        let error = victim.result_timeout(LONG).unwrap_err();
        assert!(error.is_terminated_worker(), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.execution(), Execution::Started);
        let exit = error.worker_exit().unwrap().clone();
        assert_eq!(exit.to_string(), words);
        assert_eq!((Some(exit.pid()), exit.task()), (victim.worker_pid(), error.task()));

        let next = executor.submit(pid, ());
        match policy {
            CrashPolicy::BreakPool => {
                for (future, execution) in
                    [(bystander, Execution::Started), (&next, Execution::NotStarted)]
                {
                    let error = future.result_timeout(LONG).unwrap_err();
                    assert!(error.is_broken_process_pool(), "{error}");
                    assert!(error.to_string().contains(words), "the same cause: {error}");
                    assert_eq!(error.execution(), execution);
                    assert_eq!(error.worker_exit().unwrap().pid(), exit.pid());
                }
                assert!(executor.is_broken());
                until_childless();
            }
            _ => {
                assert!(!executor.is_broken() && !bystander.is_done());
                let pid = next.result_timeout(LONG).unwrap();
                assert_ne!(Some(pid), victim.worker_pid());
                held.release();
                assert_eq!(bystander.result().ok(), bystander.worker_pid(), "it did not notice");
                assert_eq!(children_of(std::process::id()).len(), 2, "the dead one was replaced");
            }
        }
    }
}

#[test]
fn test_killed_child() {
    isolated(|| {
        for (signal, words) in [(libc::SIGTERM, "SIGTERM(-15)"), (libc::SIGKILL, "SIGKILL(-9)")] {
            check_death(
                |executor| {
                    let held = Held::new(executor, 1);
                    send_signal(held.futures[0].worker_pid().unwrap(), signal);
                    (held.futures[0].clone(), held)
                },
                words,
            );
        }
    });
}

#[loky::task]
fn exit_instead(code: i32) -> u32 {
    std::process::exit(code)
}

#[test]
fn test_exited_child() {
    isolated(|| {
        for (code, words) in [(42, "EXIT(42)"), (0, "EXIT(0)")] {
            check_death(|executor| (executor.submit(exit_instead, code), ()), words);
        }
    });
}

#[test]
fn an_idle_worker_that_dies_is_replaced_or_breaks_the_pool() {
    isolated(|| {
        for policy in POLICIES {
            let builder = ProcessPoolExecutor::builder().max_workers(1).on_worker_crash(policy);
            let executor = builder.build().unwrap();
            let worker = executor.submit(pid, ()).result().unwrap();
            send_signal(worker, libc::SIGKILL);
            until("it is gone", LONG, || !is_alive(worker));
            if policy == CrashPolicy::BreakPool {
                until("it breaks", LONG, || executor.is_broken());
                let error = executor.submit(pid, ()).result().unwrap_err();
                assert!(error.is_broken_process_pool(), "{error}");
                assert!(error.to_string().contains("SIGKILL(-9)"), "{error}");
            } else {
                assert_ne!(executor.submit(pid, ()).result().unwrap(), worker);
            }
        }
    });
}

/// Where `fail_by_hand` panics.
const PANIC_LINE: u32 = line!() + 4;

#[loky::task]
fn fail_by_hand(code: u64) -> u64 {
    panic!("RuntimeError({code})")
}

#[test]
fn test_traceback() {
    isolated(|| {
        // The backtrace can be switched off, which who runs this may have done.
        let builder = ProcessPoolExecutor::builder().max_workers(1).env("RUST_BACKTRACE", "1");
        let executor = builder.env("RUST_LIB_BACKTRACE", "1").build().unwrap();
        let worker = executor.submit(pid, ()).result().unwrap();
        let future = executor.submit(fail_by_hand, 123);
        let error = future.result().unwrap_err();
        assert!(error.is_panicked() && error.to_string().contains("RuntimeError(123)"), "{error}");
        assert!(error.task().unwrap().ends_with("::fail_by_hand"));
        assert_eq!(error.execution(), Execution::Finished);

        let report = error.panic().unwrap();
        assert_eq!(report.message(), "RuntimeError(123)");
        let location = report.location().unwrap();
        assert!(location.contains(&format!("submit.rs:{PANIC_LINE}:")), "{location}");
        assert!(report.backtrace().unwrap().contains("fail_by_hand"));
        assert_eq!(report.worker_pid(), worker);
        assert_eq!(executor.submit(pid, ()).result().unwrap(), worker, "it lives on");
        assert_eq!(future.error().unwrap().panic(), Some(report), "asked again");
    });
}

#[test]
fn a_backtrace_is_left_out_where_the_environment_says_so() {
    isolated(|| {
        let variables = [("RUST_BACKTRACE", "0"), ("RUST_LIB_BACKTRACE", "0")];
        let executor = ProcessPoolExecutor::builder().max_workers(1).envs(variables);
        let error = executor.build().unwrap().submit(fail_by_hand, 1).result().unwrap_err();
        let report = error.panic().unwrap();
        assert_eq!(report.backtrace(), None);
        assert!(report.location().is_some());
    });
}

#[loky::task]
fn throw_a_number() {
    std::panic::panic_any(5_u64)
}

#[loky::task]
fn throw_past_the_hook() {
    let _ = std::panic::catch_unwind(|| panic!("an earlier one"));
    std::panic::resume_unwind(Box::new("thrown".to_owned()))
}

#[loky::task]
fn overflow(depth: u8) -> u8 {
    [0_u8; 1][usize::from(depth)]
}

#[test]
fn panics_of_all_kinds_have_a_message() {
    isolated(|| {
        let executor = executor(1);
        let error = executor.submit(throw_a_number, ()).result().unwrap_err();
        let report = error.panic().unwrap();
        assert_eq!(report.message(), "a payload that is no text");
        assert!(report.location().unwrap().contains("submit.rs"));

        let error = executor.submit(throw_past_the_hook, ()).result().unwrap_err();
        let report = error.panic().unwrap();
        assert_eq!((report.message(), report.location()), ("thrown", None), "not the earlier one");

        let error = executor.submit(overflow, 3).result().unwrap_err();
        let message = error.panic().unwrap().message();
        assert!(message.contains("index out of bounds"), "{message}");
    });
}

/// An error with a source, of which only the source is serde's business.
#[derive(Debug)]
struct NoNumber {
    source: std::num::ParseIntError,
}

impl fmt::Display for NoNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no number")
    }
}

impl std::error::Error for NoNumber {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[loky::task]
fn parse(text: String) -> TaskResult<u64> {
    Ok(text.parse().map_err(|source| NoNumber { source })?)
}

#[test]
fn test_exception_cause() {
    isolated(|| {
        let executor = executor(1);
        assert_eq!(executor.submit(parse, "17".into()).result().unwrap().unwrap(), 17);

        let future = executor.submit(parse, "x".into());
        let error = future.result().expect("the task ran to its end").unwrap_err();
        assert!(future.error().is_none(), "its `Err` is its result");
        let here = loky::RemoteError::from(NoNumber { source: "x".parse::<u64>().unwrap_err() });
        assert_eq!(error, here, "nothing was lost on the way");
        assert_eq!(error.to_string(), "no number");
        assert_eq!(error.chain().collect::<Vec<_>>(), ["invalid digit found in string"]);
        assert!(error.debug().starts_with("NoNumber {"), "{}", error.debug());
        let boxed = Box::<dyn std::error::Error + Send + Sync>::from(error);
        assert_eq!(boxed.source().unwrap().to_string(), "invalid digit found in string");
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum DivisionError {
    ByZero { dividend: i64 },
    Inexact(i64),
}

#[loky::task]
fn divide(dividend: i64, divisor: i64) -> Result<i64, DivisionError> {
    match (divisor, dividend % divisor.max(1)) {
        (0, _) => Err(DivisionError::ByZero { dividend }),
        (_, 0) => Ok(dividend / divisor),
        (_, rest) => Err(DivisionError::Inexact(rest)),
    }
}

#[test]
fn a_typed_error_comes_back_as_it_is() {
    isolated(|| {
        let executor = executor(1);
        for args in [(6, 3), (1, 0), (7, 2)] {
            let result = executor.submit(divide, args).result().unwrap();
            assert_eq!(result, divide(args.0, args.1), "{args:?}");
        }
    });
}

fn not_registered(x: u64) -> u64 {
    x
}

#[test]
fn what_is_no_task_is_an_outcome() {
    isolated(|| {
        let executor = executor(1);
        for future in [executor.submit(not_registered, 1), executor.submit(|x: u64| x, 1)] {
            assert!(future.is_done());
            let error = future.result().unwrap_err();
            assert!(error.is_not_a_task() && error.to_string().contains("#[loky::task]"));
        }
        assert_eq!(children_of(std::process::id()), [], "nothing was started for it");
    });
}

#[test]
fn test_thread_safety() {
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

#[test]
fn test_submit_from_callback() {
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

#[test]
fn test_no_stale_references() {
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

#[test]
fn test_child_env_executor() {
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
        // Those that come later have it as well.
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
fn large_data_goes_both_ways() {
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

#[test]
fn test_no_failure_on_large_data_send() {
    isolated(|| {
        if std::env::var("LOKY_TEST_HIGH_MEMORY").is_ok_and(|value| value == "1") {
            let bytes = 2_200_000_000;
            let future = executor(1).submit(length, "x".repeat(bytes));
            assert_eq!(future.result().unwrap(), bytes);
        }
    });
}
