//! The death of a worker under [`CrashPolicy::Heal`] and [`CrashPolicy::BreakPool`]: which workers the pool replaces, keeps and
//! kills.
//!
//! The crash matrix checks what the policies mean for a call.

use std::collections::BTreeSet;
use std::sync::mpsc;

use loky::{CrashPolicy, Error, Execution, Future, ProcessPoolExecutor, Shutdown};
use loky_tests::deed::{Deed, perform};
use loky_tests::held::busy;
use loky_tests::signal::kill;
use loky_tests::tasks::{double, hold};
use loky_tests::time::LONG;
use loky_tests::{children_of, is_alive, isolated, process, until};

fn executor(max_workers: usize, policy: CrashPolicy) -> ProcessPoolExecutor {
    let builder = ProcessPoolExecutor::builder().max_workers(max_workers).on_worker_crash(policy);
    let executor = builder.build().unwrap();
    executor.prewarm().unwrap();
    executor
}

/// Kills a worker, and waits until it is dead; its pool may or may not know it by then.
#[track_caller]
fn kill_and_wait(pid: u32) {
    assert!(kill(pid, libc::SIGKILL));
    until("it is dead", LONG, || !is_alive(pid));
}

#[track_caller]
fn is_broken_by(error: &Error, exit: &str, pid: u32, execution: Execution) {
    assert!(error.is_broken_process_pool(), "{error:?}");
    assert_eq!(error.execution(), execution, "{error:?}");
    let death = error.worker_exit().expect("the cause");
    assert_eq!((death.to_string().as_str(), death.pid()), (exit, pid));
    assert!(error.to_string().contains(exit), "{error}");
}

#[test]
fn heal_is_the_default() {
    isolated(|| {
        assert_eq!(CrashPolicy::default(), CrashPolicy::Heal);
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        assert!(executor.submit(perform, Deed::Abort).error().unwrap().is_terminated_worker());
        assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
    });
}

#[test]
fn heal_replaces_idle_worker_and_keeps_others() {
    isolated(|| {
        let executor = executor(3, CrashPolicy::Heal);
        let before = executor.worker_pids();
        kill_and_wait(before[1]);
        until("it is replaced", LONG, || {
            let pids = executor.worker_pids();
            pids.len() == 3 && !pids.contains(&before[1])
        });
        executor.prewarm().unwrap();
        let after = executor.worker_pids();
        assert_eq!(
            (after[0], after[2]),
            (before[0], before[2]),
            "pids are in the order of indices"
        );
        assert!(!executor.is_broken());
        assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
    });
}

#[test]
fn heal_gives_replacement_name_of_dead_worker() {
    isolated(|| {
        let executor = executor(2, CrashPolicy::Heal);
        let name = |pid| process(pid).unwrap().name;
        let before = executor.worker_pids();
        let names = [name(before[0]), name(before[1])];
        kill_and_wait(before[0]);
        executor.submit(double, 1).result().unwrap();
        until("it is replaced", LONG, || {
            let pids = executor.worker_pids();
            pids.len() == 2 && pids[0] != before[0] && name(pids[0]) == names[0]
        });
        assert_ne!(names[0], names[1]);
    });
}

/// A call that was given to a worker which is already dead has not begun, and runs elsewhere.
#[test]
fn heal_loses_no_call_to_worker_that_dies_idle() {
    isolated(|| {
        let executor = executor(1, CrashPolicy::Heal);
        for i in 0..50 {
            // Half of the calls come before the pool can know, most of the others after.
            let pid = executor.worker_pids().pop();
            if let Some(pid) = pid.filter(|pid| is_alive(*pid)) {
                assert!(kill(pid, libc::SIGKILL));
                if i % 2 == 0 {
                    until("it is dead", LONG, || !is_alive(pid));
                }
            }
            assert_eq!(executor.submit(double, i).result().unwrap(), 2 * i);
        }
        assert!(!executor.is_broken());
    });
}

#[test]
fn heal_runs_calls_queued_behind_dead_worker() {
    isolated(|| {
        let executor = executor(1, CrashPolicy::Heal);
        let calls: Vec<(Future<()>, Future<u64>)> = (0..40)
            .map(|i| (executor.submit(perform, Deed::Exit(7)), executor.submit(double, i)))
            .collect();
        // More than the deaths at start that a pool puts up with: these workers have worked.
        let mut pids = BTreeSet::new();
        for ((bad, good), i) in calls.into_iter().zip(0..) {
            let error = bad.error().unwrap();
            assert_eq!(error.worker_exit().unwrap().to_string(), "EXIT(7)");
            assert_eq!(error.execution(), Execution::Started);
            assert!(pids.insert(error.worker_exit().unwrap().pid()));
            assert_eq!(good.result().unwrap(), 2 * i);
        }
        assert!(!executor.is_broken());
    });
}

#[test]
fn heal_survives_any_number_of_crashes() {
    isolated(|| {
        let executor = executor(2, CrashPolicy::Heal);
        let calls: Vec<_> =
            (0..60).map(|_| executor.submit(perform, Deed::ExitAtOnce(1))).collect();
        assert!(calls.iter().all(|call| call.error().unwrap().is_terminated_worker()));
        assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
    });
}

/// Two workers die at one moment. Each call is judged by its own worker.
#[test]
fn heal_tells_simultaneous_deaths_apart() {
    isolated(|| {
        let executor = executor(2, CrashPolicy::Heal);
        let ((one, _go_on_one), (other, _go_on_other)) = (busy(&executor), busy(&executor));
        let calls = [one, other];
        let pids = [0, 1].map(|i: usize| calls[i].worker_pid().unwrap());
        kill(pids[0], libc::SIGKILL);
        kill(pids[1], libc::SIGTERM);
        for ((call, pid), text) in calls.iter().zip(pids).zip(["SIGKILL(-9)", "SIGTERM(-15)"]) {
            let error = call.error().unwrap();
            assert!(error.is_terminated_worker(), "{error:?}");
            let exit = error.worker_exit().unwrap();
            assert_eq!((exit.pid(), exit.to_string().as_str()), (pid, text));
        }
        assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
    });
}

#[test]
fn heal_goes_on_during_shutdown() {
    isolated(|| {
        let executor = executor(1, CrashPolicy::Heal);
        let (held, _go_on) = busy(&executor);
        let queued: Vec<_> = (0..5).map(|i| executor.submit(double, i)).collect();
        executor.shutdown(Shutdown::NoWait);
        kill_and_wait(executor.worker_pids()[0]);
        assert!(held.error().unwrap().is_terminated_worker());
        for (call, i) in queued.iter().zip(0..) {
            assert_eq!(call.result().unwrap(), 2 * i);
        }
    });
}

#[test]
fn death_of_idle_worker_breaks_pool() {
    isolated(|| {
        let executor = executor(3, CrashPolicy::BreakPool);
        let pids = executor.worker_pids();
        kill_and_wait(pids[1]);
        until("it is noticed", LONG, || executor.is_broken());
        assert!(!executor.is_shutdown());
        let call = executor.submit(double, 1);
        assert!(call.is_done(), "it fails at once");
        is_broken_by(&call.error().unwrap(), "SIGKILL(-9)", pids[1], Execution::NotStarted);
        let prewarm = executor.prewarm().unwrap_err();
        is_broken_by(&prewarm, "SIGKILL(-9)", pids[1], Execution::NotStarted);
        until("the others are killed", LONG, || !pids.iter().any(|pid| is_alive(*pid)));
        until("and gone", LONG, || executor.worker_pids().is_empty());
        assert!(children_of(std::process::id()).is_empty());
    });
}

#[test]
fn break_pool_tells_started_calls_from_others() {
    isolated(|| {
        let executor = executor(2, CrashPolicy::BreakPool);
        let ((one, _go_on_one), (other, _go_on_other)) = (busy(&executor), busy(&executor));
        let running = [one, other];
        let queued: Vec<_> = (0..10).map(|i| executor.submit(double, i)).collect();
        assert!(queued[9].cancel());
        let victim = running[1].worker_pid().unwrap();
        kill(victim, libc::SIGTERM);

        let error = running[1].error().unwrap();
        assert!(error.is_terminated_worker() && error.execution() == Execution::Started);
        assert_eq!(error.worker_exit().unwrap().task(), Some(hold::TASK.name()));
        is_broken_by(&running[0].error().unwrap(), "SIGTERM(-15)", victim, Execution::Started);
        for call in &queued[..9] {
            let error = call.error().unwrap();
            is_broken_by(&error, "SIGTERM(-15)", victim, Execution::NotStarted);
            assert_eq!(error.task(), Some(double::TASK.name()));
        }
        assert!(queued[9].is_cancelled());
    });
}

/// Python's `test_deadlock_kill`, without its resizing.
#[test]
fn kill_of_only_worker_breaks_pool_without_hang() {
    isolated(|| {
        let one = executor(1, CrashPolicy::BreakPool);
        let pid = one.worker_pids()[0];
        assert!(kill(pid, libc::SIGKILL));
        // Given to the dead worker, or rejected: the caller sees no difference.
        let error = one.submit(double, 1).error().unwrap();
        is_broken_by(&error, "SIGKILL(-9)", pid, Execution::NotStarted);
        let other = executor(1, CrashPolicy::BreakPool);
        assert_eq!(other.submit(double, 21).result().unwrap(), 42);
    });
}

#[test]
fn break_pool_keeps_finished_results() {
    isolated(|| {
        let executor = executor(1, CrashPolicy::BreakPool);
        let before = executor.submit(double, 21);
        let bad = executor.submit(perform, Deed::Exit(1));
        assert!(bad.error().unwrap().is_terminated_worker());
        assert_eq!(before.result().unwrap(), 42);
        assert_eq!(before.result().unwrap(), 42, "it may be asked again");
    });
}

#[test]
fn break_pool_fails_every_item_of_map() {
    isolated(|| {
        let executor = executor(2, CrashPolicy::BreakPool);
        for item in executor.map(perform, [Deed::ExitAtOnce(9); 20]) {
            assert_eq!(item.unwrap_err().worker_exit().unwrap().to_string(), "EXIT(9)");
        }
        let items: Vec<_> = executor.map(double, 0..20).collect();
        assert_eq!(items.len(), 20);
        assert!(items.into_iter().all(|item| item.unwrap_err().is_broken_process_pool()));
    });
}

/// A callback that hears of the breakdown may ask the executor, submit to it, and shut it down.
#[test]
fn break_pool_runs_callbacks() {
    isolated(|| {
        let executor = executor(1, CrashPolicy::BreakPool);
        let (held, _go_on) = busy(&executor);
        let queued = executor.submit(double, 1);
        let (sender, receiver) = mpsc::channel();
        for i in 0..2 {
            let (sender, handle) = (sender.clone(), executor.clone());
            let report = move |error: Error| {
                let next = handle.submit(double, 2).error().expect("the pool is broken");
                handle.shutdown(Shutdown::Wait);
                let is_broken = handle.is_broken();
                drop(handle);
                sender.send((error, next, is_broken)).expect("the test waits");
            };
            if i == 0 {
                held.add_done_callback(move |held| report(held.error().expect("a failure")));
            } else {
                queued.add_done_callback(move |queued| report(queued.error().expect("a failure")));
            }
        }
        let pid = executor.worker_pids()[0];
        kill(pid, libc::SIGKILL);
        let reports: Vec<_> = (0..2).map(|_| receiver.recv().unwrap()).collect();
        assert!(reports.iter().any(|(error, ..)| error.is_terminated_worker()));
        for (_, next, is_broken) in &reports {
            assert!(is_broken);
            is_broken_by(next, "SIGKILL(-9)", pid, Execution::NotStarted);
        }
    });
}

#[test]
fn broken_pool_can_be_shut_down_in_every_way() {
    isolated(|| {
        for how in [Shutdown::Wait, Shutdown::NoWait, Shutdown::CancelPending, Shutdown::Kill] {
            let executor = executor(2, CrashPolicy::BreakPool);
            let bad = executor.submit(perform, Deed::Abort);
            assert!(bad.error().unwrap().is_terminated_worker());
            executor.shutdown(how);
            assert!(executor.is_shutdown());
            let error = executor.submit(double, 1).error().unwrap();
            assert!(error.is_broken_process_pool(), "the cause is worth more: {error:?}");
            executor.shutdown(Shutdown::Wait);
            assert!(children_of(std::process::id()).is_empty());
        }
    });
}
