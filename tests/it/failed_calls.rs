//! Calls that fail: by the death of their worker, by a panic, by an error of the task, and for want of a task.

use std::fmt;

use loky::{CrashPolicy, Execution, Future, ProcessPoolExecutor, TaskResult};
use loky_tests::held::Held;
use loky_tests::pools::{POLICIES, executor, until_childless};
use loky_tests::signal::send_signal;
use loky_tests::tasks::pid;
use loky_tests::time::LONG;
use loky_tests::{children_of, is_alive, isolated, until};
use serde::{Deserialize, Serialize};

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
                    assert!(error.to_string().contains(words), "an equal cause: {error}");
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

/// Python loky's `test_killed_child`.
#[test]
fn killed_worker_fails_its_call() {
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

/// Python loky's `test_exited_child`.
#[test]
fn exited_worker_fails_its_call() {
    isolated(|| {
        for (code, words) in [(42, "EXIT(42)"), (0, "EXIT(0)")] {
            check_death(|executor| (executor.submit(exit_instead, code), ()), words);
        }
    });
}

#[test]
fn death_of_idle_worker_is_healed_or_breaks_pool() {
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

/// Python loky's `test_traceback`.
#[test]
fn panic_report_has_message_location_and_backtrace() {
    isolated(|| {
        // The environment of the test may have switched backtraces off.
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
        assert!(location.contains(&format!("failed_calls.rs:{PANIC_LINE}:")), "{location}");
        assert!(report.backtrace().unwrap().contains("fail_by_hand"));
        assert_eq!(report.worker_pid(), worker);
        assert_eq!(executor.submit(pid, ()).result().unwrap(), worker, "it lives on");
        assert_eq!(future.error().unwrap().panic(), Some(report), "asked again");
    });
}

#[test]
fn disabled_backtrace_is_left_out() {
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
fn panics_of_all_kinds_have_message() {
    isolated(|| {
        let executor = executor(1);
        let error = executor.submit(throw_a_number, ()).result().unwrap_err();
        let report = error.panic().unwrap();
        assert_eq!(report.message(), "a payload that is no text");
        assert!(report.location().unwrap().contains("failed_calls.rs"));

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

/// Python loky's `test_exception_cause`.
#[test]
fn error_of_task_keeps_its_chain() {
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
fn typed_error_comes_back_unchanged() {
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
fn submit_of_no_task_is_error() {
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
