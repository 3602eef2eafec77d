//! The reusable executor of the process: get, resize, end. Replacement is in `replaced.rs`.
//!
//! The executor lies in a static: each test shuts it down, or the census finds its workers.

use std::collections::BTreeSet;
use std::time::Duration;

use loky::{CrashPolicy, ErrorKind, Execution, ProcessPoolExecutor, Reuse, Shutdown};
use loky_tests::forked::{check_fork_during, in_forked_child};
use loky_tests::held::Held;
use loky_tests::pools::{assert_serves, reusable, until_childless};
use loky_tests::signal::send_signal;
use loky_tests::tasks::{hold, pid, square};
use loky_tests::time::LONG;
use loky_tests::{Event, children_of, is_alive, isolated, process, until};

/// The workers, all of which are up.
#[track_caller]
fn pids(executor: &ProcessPoolExecutor) -> BTreeSet<u32> {
    executor.prewarm().unwrap();
    executor.worker_pids().into_iter().collect()
}

/// Python loky's `test_reusable_executor_resize`.
#[test]
fn get_with_other_size_resizes_executor() {
    isolated(|| {
        let executor = reusable(2).get().unwrap();
        let before = pids(&executor);
        assert_eq!(before.len(), 2);
        let held = Held::new(&executor, 1);
        let smaller = reusable(1).get().unwrap();
        assert!(!held.futures[0].is_done(), "the resize has not waited for it");
        assert_eq!((smaller.id(), executor.max_workers()), (executor.id(), 1));
        held.release();
        let worker = held.futures[0].result().unwrap();
        assert!(before.contains(&worker));
        until("the other one has left", LONG, || executor.worker_pids() == [worker]);

        let same = reusable(1).get().unwrap();
        assert_eq!((same.id(), same.worker_pids()), (executor.id(), vec![worker]));

        let larger = reusable(2).get().unwrap();
        assert_eq!((larger.id(), larger.max_workers()), (executor.id(), 2));
        let after = pids(&larger);
        assert!(after.len() == 2 && after.contains(&worker), "{after:?} {worker}");
        executor.shutdown(Shutdown::Wait);
    });
}

#[test]
fn shrink_of_busy_pool_retires_one_worker_after_its_call() {
    isolated(|| {
        let executor = reusable(2).get().unwrap();
        let before = pids(&executor);
        let held = Held::new(&executor, 2);
        let behind = executor.submit(pid, ());
        reusable(1).get().unwrap();
        held.release();
        let workers = held.futures.iter().map(|future| future.result().unwrap());
        assert_eq!(workers.collect::<BTreeSet<_>>(), before);
        assert!(before.contains(&behind.result().unwrap()));
        until("one has left", LONG, || executor.worker_pids().len() == 1);
        assert!(before.contains(&executor.submit(pid, ()).result().unwrap()));
        executor.shutdown(Shutdown::Wait);
    });
}

#[track_caller]
fn check_resize_many_times(kill_workers: bool, reuse: Reuse) {
    let get = |size| reusable(size).kill_workers(kill_workers).reuse(reuse).get().unwrap();
    let first = get(12);
    let mut calls = Vec::new();
    let mut held: Vec<Held> = Vec::new();
    for size in [12, 2, 1, 12, 6, 1, 8, 5] {
        let executor = get(size);
        assert_eq!((executor.id(), executor.max_workers()), (first.id(), size));
        calls.extend((0..50).map(|x| (x, executor.submit(square, x))));
        // The one that was running at this change may have been all that runs.
        held.drain(..).for_each(|held| held.release());
        held.push(Held::new(&executor, 1));
    }
    held.drain(..).for_each(|held| held.release());
    for (x, call) in calls {
        assert_eq!(call.result().unwrap(), square(x), "{kill_workers} {reuse:?}");
    }
    until("no more than there are to be", LONG, || first.worker_pids().len() <= 5);
    first.shutdown(Shutdown::Wait);
}

/// Python loky's `test_reusable_executor_resize_many_times`.
#[test]
fn repeated_resizes_lose_no_call() {
    isolated(|| {
        for kill_workers in [false, true] {
            for reuse in [Reuse::Auto, Reuse::Yes] {
                check_resize_many_times(kill_workers, reuse);
            }
        }
    });
}

/// Python loky's `test_kill_after_resize_call`.
#[test]
fn kill_after_resize_fails_its_call_only() {
    isolated(|| {
        for (from, to) in [(2, 1), (1, 2)] {
            let executor = reusable(from).get().unwrap();
            pids(&executor);
            let held = Held::new(&executor, 1);
            reusable(to).get().unwrap();
            let worker = held.futures[0].worker_pid().unwrap();
            send_signal(worker, libc::SIGKILL);
            let error = held.futures[0].result().unwrap_err();
            assert!(error.is_terminated_worker(), "{error}");
            assert_eq!(error.worker_exit().unwrap().signal(), Some(libc::SIGKILL));
            let after = reusable(to).get().unwrap();
            assert_eq!(after.id(), executor.id());
            assert_serves(&after);
            executor.shutdown(Shutdown::Wait);
        }
    });
}

#[test]
fn kill_of_idle_workers_during_resize_loses_no_call() {
    isolated(|| {
        for (from, to) in [(4, 1), (1, 4)] {
            let executor = reusable(from).get().unwrap();
            pids(&executor);
            let resized = reusable(to).get().unwrap();
            for pid in executor.worker_pids() {
                // It may have left, or be about to.
                loky_tests::signal::kill(pid, libc::SIGKILL);
            }
            assert_serves(&resized);
            assert!(!executor.is_broken());
            executor.shutdown(Shutdown::Wait);
        }
    });
}

/// Python loky's `test_resize_after_timeout`.
#[test]
fn resize_after_idle_exit_brings_workers_back() {
    isolated(|| {
        let get = |size| {
            let builder = loky::reusable_executor().idle_timeout(Duration::from_millis(1));
            builder.max_workers(size).get().unwrap()
        };
        let first = get(2);
        for size in [2, 8, 2, 8, 2] {
            let executor = get(size);
            assert_eq!(executor.id(), first.id());
            assert_serves(&executor);
            until("all have left", LONG, || executor.worker_pids().is_empty());
        }
        first.shutdown(Shutdown::Wait);
    });
}

/// Python loky's `test_invalid_process_number`.
#[test]
fn invalid_size_is_error() {
    isolated(|| {
        let executor = reusable(1).get().unwrap();
        for (number, text) in [(0, "must be greater than 0"), (usize::MAX, "must be at most")] {
            for reuse in [Reuse::Auto, Reuse::Yes, Reuse::No] {
                let error = reusable(number).reuse(reuse).get().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidConfig);
                assert!(error.to_string().contains(text), "{error}");
            }
            assert!(executor.resize(number).unwrap_err().is_invalid_config());
        }
        let same = reusable(1).get().unwrap();
        assert_eq!((same.id(), same.max_workers()), (executor.id(), 1));
        executor.shutdown(Shutdown::Wait);
    });
}

/// Python loky's `test_reused_flag`.
#[test]
fn shut_down_executor_is_not_reused() {
    isolated(|| {
        let first = reusable(2).get().unwrap();
        assert_eq!(reusable(2).get().unwrap().id(), first.id());
        first.shutdown(Shutdown::Kill);
        let second = reusable(2).get().unwrap();
        assert_ne!(second.id(), first.id());
        assert_eq!(reusable(2).get().unwrap().id(), second.id());
        second.shutdown(Shutdown::Kill);
    });
}

/// Python loky's `test_reusable_executor_reuse_true`.
#[test]
fn reuse_yes_ignores_other_settings() {
    isolated(|| {
        let timeout = Duration::from_millis(1);
        let first = loky::reusable_executor().max_workers(3).idle_timeout(timeout).get().unwrap();
        let reuse = || loky::reusable_executor().reuse(Reuse::Yes);
        let same = reuse().get().unwrap();
        assert_eq!((same.id(), same.max_workers()), (first.id(), 3));
        // Other settings are not looked at, but for the size.
        let same = reuse().env("LOKY_TESTS_WORD", "other").max_workers(4).get().unwrap();
        assert_eq!((same.id(), same.max_workers()), (first.id(), 4));
        assert_serves(&same);
        let limit = Duration::from_secs(8); // The default is 10.
        until("its own timeout holds", limit, || same.worker_pids().is_empty());

        let default = loky::get_reusable_executor().unwrap();
        assert_ne!(default.id(), first.id());
        assert_eq!(default.max_workers(), loky::cpu_count());
        assert_eq!(loky::get_reusable_executor().unwrap().id(), default.id());
        assert_eq!(reuse().get().unwrap().id(), default.id());
        // The size is no setting, but where none is given it is the default.
        reuse().max_workers(7).get().unwrap();
        assert_eq!(default.max_workers(), 7);
        assert_eq!(loky::get_reusable_executor().unwrap().id(), default.id());
        assert_eq!(default.max_workers(), loky::cpu_count());
        let timeout = Duration::from_secs(10);
        let equal = loky::reusable_executor().idle_timeout(timeout).get().unwrap();
        assert_eq!(equal.id(), default.id(), "this is the default");
        default.shutdown(Shutdown::Wait);
    });
}

/// Python loky's `test_reusable_executor_queue_size`.
#[test]
fn all_workers_run_calls_together() {
    isolated(|| {
        for n_cpus in [1, 2, 4] {
            let n_workers = 2 * n_cpus + 2;
            let executor = reusable(n_workers).get().unwrap();
            // All have begun before one may go on.
            let held = Held::new(&executor, n_workers);
            held.release();
            let workers = held.futures.iter().map(|future| future.result().unwrap());
            assert_eq!(workers.collect::<BTreeSet<_>>().len(), n_workers);
        }
        reusable(1).get().unwrap().shutdown(Shutdown::Wait);
    });
}

/// Python loky's `test_shutdown_kill`.
#[test]
fn kill_fails_running_and_queued_calls() {
    isolated(|| {
        let executor = reusable(2).get().unwrap();
        let fast: Vec<_> = (0..100).map(|x| executor.submit(square, x)).collect();
        assert!(fast.iter().all(|future| future.result().is_ok()));
        let held = Held::new(&executor, 2);
        let behind: Vec<_> = (0..98).map(|_| held.another(&executor)).collect();
        executor.shutdown(Shutdown::Kill);
        for (futures, execution) in
            [(&held.futures, Execution::Started), (&behind, Execution::NotStarted)]
        {
            for future in futures {
                let error = future.result().unwrap_err();
                let found = (error.kind(), error.execution());
                assert_eq!(found, (ErrorKind::ShutdownExecutor, execution));
            }
        }
        assert_eq!(children_of(std::process::id()), []);
        assert_eq!(fast[7].result().unwrap(), 49, "what was there stays");
        let other = reusable(2).get().unwrap();
        assert_ne!(other.id(), executor.id());
        assert_serves(&other);
        other.shutdown(Shutdown::Kill);
    });
}

#[track_caller]
fn check_deadlock_kill(policy: CrashPolicy) {
    let get = || reusable(2).on_worker_crash(policy).get().unwrap();
    let executor = reusable(1).on_worker_crash(policy).get().unwrap();
    let held = Held::new(&executor, 1);
    let resized = get();
    assert_eq!(resized.id(), executor.id());
    send_signal(held.futures[0].worker_pid().unwrap(), libc::SIGKILL);
    let error = held.futures[0].result().unwrap_err();
    assert!(error.is_terminated_worker(), "{error}");
    assert_eq!(error.worker_exit().unwrap().signal(), Some(libc::SIGKILL));
    let breaks = policy == CrashPolicy::BreakPool;
    assert_eq!(resized.is_broken(), breaks);
    let next = resized.submit(square, 3).result();
    match next {
        Ok(nine) => assert!(nine == 9 && !breaks),
        Err(error) => assert!(error.is_broken_process_pool() && breaks, "{error}"),
    }
    let after = get();
    assert_eq!(after.id() != executor.id(), breaks);
    assert_serves(&after);
    executor.shutdown(Shutdown::Wait);
    after.shutdown(Shutdown::Wait);
}

/// Python loky's `test_deadlock_kill`.
#[test]
fn kill_during_resize_heals_pool() {
    isolated(|| check_deadlock_kill(CrashPolicy::Heal));
}

/// Python loky's `test_deadlock_kill_breaks_the_pool`.
#[test]
fn kill_during_resize_breaks_pool() {
    isolated(|| check_deadlock_kill(CrashPolicy::BreakPool));
}

/// Has the reusable executor of this worker work: the worker, that executor, and its worker.
#[loky::task]
fn nest(x: u64) -> (u32, u64, u32) {
    let executor = reusable(1).get().unwrap();
    assert_eq!(executor.submit(square, x).result().unwrap(), square(x));
    (std::process::id(), executor.id(), executor.submit(pid, ()).result().unwrap())
}

/// Python loky's `test_no_deadlock_on_nested_reusable_exector`.
#[test]
fn nested_reusable_executors_do_not_deadlock() {
    isolated(|| {
        let executor = reusable(2).get().unwrap();
        let workers = pids(&executor);
        let calls: Vec<_> = (0..20).map(|x| executor.submit(nest, x)).collect();
        let found: BTreeSet<_> = calls.iter().map(|call| call.result().unwrap()).collect();
        let outer: BTreeSet<_> = found.iter().map(|(outer, ..)| *outer).collect();
        assert!(outer.is_subset(&workers));
        // Each worker has one executor, which stayed, with its own worker.
        assert_eq!(found.len(), outer.len(), "{found:?}");
        for (outer, _, inner) in &found {
            assert_eq!(process(*inner).unwrap().parent, *outer);
        }
        executor.shutdown(Shutdown::Wait);
        assert!(
            !found.iter().any(|(_, _, inner)| is_alive(*inner)),
            "they went with their parents"
        );
    });
}

#[loky::task]
fn get_below() -> Option<String> {
    reusable(1).get().err().map(|error| format!("{:?}: {error}", error.kind()))
}

#[test]
fn reusable_executor_nested_too_deep_is_error() {
    isolated(|| {
        let executor = reusable(1).env("LOKY_MAX_DEPTH", "1").get().unwrap();
        let error = executor.submit(get_below, ()).result().unwrap().unwrap();
        assert!(error.starts_with("Recursion: ") && error.contains("`LOKY_MAX_DEPTH`"), "{error}");
        executor.shutdown(Shutdown::Wait);
    });
}

#[loky::task]
fn hold_below(began: Event, gate: Event) -> u32 {
    let _held = reusable(1).get().unwrap().submit(hold, (began, gate));
    std::process::id()
}

/// Also while their worker is leaving and waits for them.
#[test]
fn kill_reaches_nested_calls_of_tasks() {
    isolated(|| {
        for is_leaving in [false, true] {
            let executor = reusable(1).get().unwrap();
            let (began, gate) = (Event::new(), Event::new());
            let worker = executor.submit(hold_below, (began.clone(), gate)).result().unwrap();
            began.wait();
            let below = children_of(worker);
            assert_eq!(below.len(), 1);
            if is_leaving {
                executor.shutdown(Shutdown::NoWait);
                assert!(is_alive(worker));
            }
            executor.shutdown(Shutdown::Kill);
            assert_eq!(children_of(std::process::id()), []);
            until("what was below is gone too", LONG, || !is_alive(below[0].pid));
        }
    });
}

#[test]
fn drop_of_handle_waits_for_nothing_and_ends_nothing() {
    isolated(|| {
        let executor = reusable(2).get().unwrap();
        let (id, workers) = (executor.id(), pids(&executor));
        let held = Held::new(&executor, 2);
        let behind = executor.submit(square, 3);
        drop(executor);
        assert!(held.futures.iter().all(|future| !future.is_done()) && !behind.is_done());
        let again = reusable(2).get().unwrap();
        assert_eq!((again.id(), pids(&again)), (id, workers));
        held.release();
        assert_eq!(behind.result().unwrap(), 9);
        again.shutdown(Shutdown::Wait);
    });
}

#[test]
fn drop_of_handle_by_panic_ends_nothing() {
    isolated(|| {
        let executor = reusable(1).get().unwrap();
        let id = executor.id();
        let held = Held::new(&executor, 1);
        let panicked = std::thread::spawn(move || {
            let _executor = executor;
            std::panic::resume_unwind(Box::new("no hook runs")); // Which would print.
        });
        assert!(panicked.join().is_err());
        held.release();
        assert!(held.futures[0].result().is_ok());
        let again = reusable(1).get().unwrap();
        assert_eq!(again.id(), id);
        again.shutdown(Shutdown::Wait);
    });
}

#[test]
fn own_executor_is_not_reusable_one() {
    isolated(|| {
        let own = ProcessPoolExecutor::builder().max_workers(1).idle_timeout(None).build().unwrap();
        let shared = reusable(1).get().unwrap();
        assert_ne!(own.id(), shared.id());
        own.shutdown(Shutdown::Kill);
        assert_eq!(reusable(1).get().unwrap().id(), shared.id());
        assert_serves(&shared);
        shared.shutdown(Shutdown::Wait);
    });
}

#[test]
fn unused_executor_leaves_nothing() {
    isolated(|| {
        for how in [Shutdown::Wait, Shutdown::NoWait, Shutdown::CancelPending, Shutdown::Kill] {
            let executor = reusable(1).get().unwrap();
            reusable(3).get().unwrap();
            executor.shutdown(how);
            assert_eq!(children_of(std::process::id()), []);
        }
    });
}

#[test]
fn forked_child_has_own_reusable_executor() {
    isolated(|| {
        let executor = reusable(2).get().unwrap();
        let workers = pids(&executor);
        in_forked_child(|| {
            let own = reusable(2).get().unwrap();
            assert_ne!(own.id(), executor.id());
            let worker = own.submit(pid, ()).result().unwrap();
            assert_eq!(process(worker).unwrap().parent, std::process::id());
            assert_eq!(reusable(2).get().unwrap().id(), own.id());
            assert!(executor.submit(pid, ()).error().unwrap().is_invalid_config());
            executor.shutdown(Shutdown::Kill); // Which is nothing to the parent's, nor to this one's.
            assert_eq!(reusable(2).get().unwrap().id(), own.id());
            own.shutdown(Shutdown::Wait);
            until_childless();
        });
        let again = reusable(2).get().unwrap();
        assert_eq!((again.id(), pids(&again)), (executor.id(), workers));
        assert_serves(&again);
        executor.shutdown(Shutdown::Wait);
    });
}

#[test]
fn fork_while_threads_get_executor_does_not_hang_child() {
    isolated(|| {
        let executor = reusable(1).get().unwrap();
        executor.prewarm().unwrap();
        let ask = || assert_eq!(reusable(1).get().unwrap().id(), executor.id());
        check_fork_during(ask, || {
            let own = reusable(1).get().unwrap();
            assert_ne!(own.id(), executor.id());
            assert_eq!(own.submit(square, 3).result().unwrap(), 9);
            own.shutdown(Shutdown::Wait);
        });
        executor.shutdown(Shutdown::Wait);
    });
}
