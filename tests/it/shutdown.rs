//! The end of an executor: after crashes and encode errors, with nested executors, and while calls run.
//!
//! The forms of `shutdown` and their combinations are in `shutdown_forms.rs`.

use std::panic::resume_unwind;
use std::thread;

use loky::{ErrorKind, Execution, Future, ProcessPoolExecutor, Shutdown};
use loky_tests::held::Held;
use loky_tests::pools::{executor, until_childless};
use loky_tests::signal::send_signal;
use loky_tests::tasks::{hold, pid, square};
use loky_tests::time::LONG;
use loky_tests::{Event, children_of, is_alive, isolated, until};
use serde::{Deserialize, Serialize, Serializer};

const WAYS: [Shutdown; 4] =
    [Shutdown::Wait, Shutdown::NoWait, Shutdown::CancelPending, Shutdown::Kill];

fn children() -> Vec<u32> {
    children_of(std::process::id()).into_iter().map(|child| child.pid).collect()
}

/// Python loky's `test_run_after_shutdown`.
#[test]
fn submit_after_shutdown_is_error() {
    isolated(|| {
        for (how, is_used) in WAYS.into_iter().flat_map(|how| [(how, false), (how, true)]) {
            let executor = executor(1);
            if is_used {
                executor.submit(pid, ()).result().unwrap();
            }
            assert!(!executor.is_shutdown());
            executor.shutdown(how);
            assert!(executor.is_shutdown() && !executor.is_broken());
            for error in [
                executor.submit(square, 2).result().unwrap_err(),
                executor.spawn(square::call(2)).result().unwrap_err(),
                executor.map(square, [2]).next().unwrap().unwrap_err(),
                executor.prewarm().unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::ShutdownExecutor, "{how:?} {is_used}");
                assert_eq!(error.to_string(), "cannot schedule new futures after shutdown");
                assert_eq!(error.execution(), Execution::NotStarted);
            }
        }
    });
}

/// An argument that fails to be encoded: with an error, or else by panicking.
#[derive(Clone, Copy, Deserialize)]
struct Unfit {
    panics: bool,
}

impl Serialize for Unfit {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        if self.panics {
            resume_unwind(Box::new("no way")); // Past the panic hook, which would print.
        }
        Err(serde::ser::Error::custom("no way"))
    }
}

#[loky::task]
fn take(_unfit: Unfit) {}

#[track_caller]
fn check_unfit(panics: bool, shutdown: Option<Shutdown>) {
    for _ in 0..5 {
        let executor = executor(4);
        let future = executor.submit(take, Unfit { panics });
        let good = executor.submit(square, 3);
        let unfit = executor.submit(take, Unfit { panics });
        if let Some(how) = shutdown {
            executor.shutdown(how);
        }
        drop(executor);
        assert_eq!(children(), []);
        for future in [future, unfit] {
            let error = future.result().unwrap_err();
            assert!(error.is_encode_args() && error.to_string().contains("no way"), "{error}");
        }
        assert_eq!(good.result().unwrap(), 9);
    }
}

/// Python loky's `test_shutdown_with_pickle_error`.
#[test]
fn shutdown_after_encode_error_ends() {
    isolated(|| check_unfit(false, None));
}

/// Python loky's `test_shutdown_with_sys_exit_at_pickle`.
#[test]
fn shutdown_after_encode_panic_ends() {
    isolated(|| check_unfit(true, None));
}

/// Python loky's `test_shutdown_deadlock_pickle`.
#[test]
fn no_wait_shutdown_after_encode_error_ends() {
    isolated(|| check_unfit(false, Some(Shutdown::NoWait)));
}

/// Python loky's `test_hang_issue12364`.
#[test]
fn shutdown_waits_for_all_calls() {
    isolated(|| {
        let executor = executor(4);
        let futures: Vec<_> = (0..50).map(|x| executor.submit(square, x)).collect();
        executor.shutdown(Shutdown::Wait);
        assert!(futures.iter().all(Future::is_done), "all, when it returns");
        let results = futures.iter().map(|future| future.result().unwrap());
        assert_eq!(results.collect::<Vec<_>>(), Vec::from_iter((0..50).map(square)));
    });
}

/// Python loky's `test_processes_terminate`.
#[test]
fn shutdown_reaps_workers() {
    isolated(|| {
        for how in WAYS {
            let executor = executor(3);
            executor.prewarm().unwrap();
            let pids = executor.worker_pids();
            assert_eq!(children().len(), 3);
            executor.shutdown(how);
            if how == Shutdown::NoWait {
                until_childless();
            }
            assert_eq!(children(), [], "{how:?}: dead and reaped");
            assert!(!pids.into_iter().any(is_alive));
        }
    });
}

/// Python loky's `test_processes_terminate_on_executor_gc`.
#[test]
fn drop_of_executor_reaps_workers() {
    isolated(|| {
        let executor = executor(2);
        let held = Held::new(&executor, 2);
        let futures: Vec<_> = (0..10).map(|x| executor.submit(square, x)).collect();
        let dropping = thread::spawn(move || drop(executor));
        assert!(futures.iter().all(|future| !future.is_done()));
        held.release();
        for (x, future) in (0..).zip(&futures) {
            assert_eq!(future.result().unwrap(), square(x));
        }
        dropping.join().unwrap();
        assert_eq!(children(), []);
    });
}

/// Dies of an invalid memory access, as far as anybody can tell.
#[loky::task]
fn segfault(gate: Event) -> u64 {
    gate.wait();
    loop {
        // The first one goes to the handler of Rust's runtime, which then steps aside.
        send_signal(std::process::id(), libc::SIGSEGV);
    }
}

/// Python loky's `test_processes_crash_handling_after_executor_gc`.
#[test]
fn crash_during_drop_of_executor_fails_its_call_only() {
    isolated(|| {
        let executor = executor(2);
        let gate = Event::new();
        let fine: Vec<_> = (0..5).map(|x| executor.submit(square, x)).collect();
        let crash = executor.submit(segfault, gate.clone());
        let behind: Vec<_> = (5..10).map(|x| executor.submit(square, x)).collect();
        let dropping = thread::spawn(move || drop(executor));
        for (x, future) in (0..).zip(fine.iter().chain(&behind)) {
            assert_eq!(future.result().unwrap(), square(x));
        }
        gate.set();
        let error = crash.result().unwrap_err();
        assert!(error.is_terminated_worker() && error.to_string().contains("SIGSEGV(-11)"));
        dropping.join().unwrap();
        assert_eq!(children(), []);
    });
}

#[test]
fn calls_behind_crash_finish_without_handles() {
    isolated(|| {
        let executor = executor(1);
        let gate = Event::new();
        let crashes = [(); 3].map(|()| executor.submit(segfault, gate.clone()));
        let behind: Vec<_> = (0..5).map(|x| executor.submit(square, x)).collect();
        gate.set_for(3);
        drop(executor);
        assert!(crashes.iter().all(|crash| crash.error().unwrap().is_terminated_worker()));
        for (x, future) in (0..).zip(&behind) {
            assert_eq!(future.result().unwrap(), square(x));
        }
    });
}

/// Python loky's `test_context_manager_shutdown`.
#[test]
fn end_of_scope_shuts_down() {
    isolated(|| {
        let (pids, squares) = {
            let executor = executor(5);
            let squares: Vec<_> = executor.map(square, 0..10).map(Result::unwrap).collect();
            (executor.worker_pids(), squares)
        };
        assert_eq!(squares, Vec::from_iter((0..10).map(square)));
        assert!(!pids.is_empty() && !pids.into_iter().any(is_alive));
        assert_eq!(children(), []);
    });
}

/// Python loky's `test_del_shutdown`.
#[test]
fn drop_shuts_down() {
    isolated(|| {
        let executor = executor(2);
        let clone = executor.clone();
        let worker = executor.submit(pid, ()).result().unwrap();
        drop(executor);
        assert!(!clone.is_shutdown(), "one handle is left");
        assert!(children().contains(&worker));
        drop(clone);
        assert_eq!(children(), []);
        // An executor that was never used has nothing to wait for.
        drop(self::executor(2));
    });
}

/// Python loky's `test_shutdown_no_wait`.
#[test]
fn no_wait_shutdown_finishes_calls() {
    isolated(|| {
        let executor = executor(2);
        let held = Held::new(&executor, 2);
        let behind = [(); 8].map(|()| held.another(&executor));
        let pids = executor.worker_pids();
        executor.shutdown(Shutdown::NoWait);
        assert!(executor.submit(pid, ()).error().unwrap().is_shutdown_executor());
        assert!(held.futures.iter().all(Future::is_running));
        assert!(behind.iter().all(|future| !future.is_done() && !future.is_running()));
        held.gate.set_for(10);
        for future in held.futures.iter().chain(&behind) {
            assert!(pids.contains(&future.result().unwrap()));
        }
        until_childless();
    });
}

/// Holds calls on `levels` nested executors, then here.
#[loky::task]
fn nest(depth: usize, began: Event, gate: Event) -> u32 {
    if depth == 0 {
        return hold(began, gate);
    }
    let executor = ProcessPoolExecutor::builder().max_workers(2).build().unwrap();
    let futures = [(); 2].map(|()| executor.submit(nest, (depth - 1, began.clone(), gate.clone())));
    futures.iter().map(|future| future.result().unwrap()).sum()
}

fn descendants() -> Vec<u32> {
    let mut found = children();
    let mut next = 0;
    while next < found.len() {
        found.extend(children_of(found[next]).into_iter().map(|child| child.pid));
        next += 1;
    }
    found
}

/// Python loky's `test_shutdown_and_kill_workers`.
#[test]
fn kill_ends_nested_workers() {
    isolated(|| {
        let executor = executor(2);
        let (began, gate) = (Event::new(), Event::new());
        let future = executor.submit(nest, (2, began.clone(), gate.clone()));
        (0..4).for_each(|_| began.wait());
        let all = descendants();
        assert!(all.len() >= 7, "workers, theirs, and theirs: {all:?}");
        executor.shutdown(Shutdown::Kill);
        let error = future.result().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ShutdownExecutor);
        assert!(error.to_string().contains("Shutdown::Kill"), "{error}");
        assert_eq!(error.execution(), Execution::Started);
        assert_eq!(children(), []);
        until("the whole tree is gone", LONG, || !all.iter().any(|pid| is_alive(*pid)));
    });
}

#[test]
fn nested_executor_ends_with_its_task() {
    isolated(|| {
        let executor = executor(1);
        let (began, gate) = (Event::new(), Event::new());
        gate.set_for(2);
        let future = executor.submit(nest, (1, began.clone(), gate.clone()));
        assert!(future.result().is_ok());
        let worker = children();
        assert_eq!(worker.len(), 1);
        assert_eq!(children_of(worker[0]), []);
    });
}

/// Python loky's `test_shutdown_race_issue12456`.
#[test]
fn shutdown_during_map_gives_each_item_an_outcome() {
    isolated(|| {
        for how in WAYS {
            let executor = executor(4);
            let mut map = executor.map(square, 0..5);
            let first = map.next().unwrap();
            executor.shutdown(how);
            assert_eq!(first.unwrap(), 0);
            assert_eq!(map.count(), 4, "each has an outcome");
        }
    });
}

/// Python loky's `test_shutdown_kill`.
#[test]
fn kill_fails_running_and_queued_calls() {
    isolated(|| {
        let executor = executor(2);
        let fast: Vec<_> = (0..100).map(|x| executor.submit(square, x)).collect();
        assert!(fast.iter().all(|future| future.result().is_ok()));
        let held = Held::new(&executor, 2);
        let slow: Vec<_> = (0..98).map(|_| held.another(&executor)).collect();
        executor.shutdown(Shutdown::Kill);
        for (execution, futures) in
            [(Execution::Started, &held.futures), (Execution::NotStarted, &slow)]
        {
            for future in futures {
                let error = future.result().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ShutdownExecutor);
                assert_eq!(error.execution(), execution);
            }
        }
        assert_eq!(fast[7].result().unwrap(), 49, "what was there stays");
    });
}

#[loky::task]
fn kill_friend(friend: u32) -> bool {
    send_signal(friend, libc::SIGKILL);
    is_alive(std::process::id())
}

/// Python loky's `test_shutdown_deadlock`.
#[test]
fn shutdown_while_worker_is_killed_does_not_hang() {
    isolated(|| {
        for how in WAYS {
            let executor = executor(2);
            executor.prewarm().unwrap();
            let held = Held::new(&executor, 1);
            let friend = held.futures[0].worker_pid().unwrap();
            let killer = executor.submit(kill_friend, friend);
            until("it has begun", LONG, || killer.is_running() || killer.is_done());
            executor.shutdown(how);
            let error = held.futures[0].result().unwrap_err();
            if how == Shutdown::Kill {
                // Whichever came first.
                assert!(error.is_shutdown_executor() || error.is_terminated_worker(), "{error}");
            } else {
                assert!(error.is_terminated_worker() && error.to_string().contains("SIGKILL"));
                assert!(killer.result().unwrap());
            }
            assert!(killer.is_done() && !is_alive(friend));
        }
    });
}
