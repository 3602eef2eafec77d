//! A program that forks while it has pools: its handles return errors in the child, and go on working in the parent.
//!
//! The child may have its own pool as far as it may have threads. If another thread of the parent starts or ends at the moment of
//! the fork, a lock inside of std stays taken in the child, and no thread can start there. So the parent of that test is at rest.

use std::os::unix::process::parent_id;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use loky::{Error, Future, ReturnWhen, Shutdown};
use loky_tests::forked::{Forked, check_fork_during, in_forked_child};
use loky_tests::pools::builder;
use loky_tests::time::LONG;
use loky_tests::{Event, children_of, isolated, tasks};

#[loky::task]
fn wait_for(event: Event) -> u32 {
    event.wait();
    std::process::id()
}

/// A raw identifier, whose name the library makes anew.
#[loky::task]
fn r#loop(x: u64) -> u64 {
    x
}

#[track_caller]
fn assert_refused(error: &Error, owner: u32) {
    assert!(error.is_invalid_config(), "{error}");
    assert!(error.to_string().contains(&format!("`{owner}`")), "{error}");
}

#[test]
fn handles_in_forked_child_return_errors() {
    isolated(|| {
        let owner = std::process::id();
        let event = Event::new();
        let executor = builder(1).build().unwrap();
        let running = executor.submit(wait_for, event.clone());
        let queued = executor.submit(tasks::add, (1, 2));
        loky_tests::until("a call that runs", LONG, || running.is_running());
        in_forked_child(|| {
            assert_refused(&executor.submit(tasks::add, (1, 2)).error().unwrap(), owner);
            assert_refused(&executor.spawn(tasks::add::call(1, 2)).error().unwrap(), owner);
            let item = executor.map(tasks::add, [(1, 2)]).next().unwrap();
            assert_refused(&item.unwrap_err(), owner);
            assert_refused(&executor.prewarm().unwrap_err(), owner);
            for future in [&queued, &executor.submit(tasks::add, (1, 2))] {
                assert_refused(&future.result().unwrap_err(), owner);
                let limited = future.result_timeout(Duration::from_secs(1000));
                assert_refused(&limited.unwrap_err(), owner);
                assert!(!future.cancel());
            }
            assert_eq!(executor.worker_pids(), []);
            for how in [Shutdown::Wait, Shutdown::NoWait, Shutdown::CancelPending, Shutdown::Kill] {
                executor.shutdown(how);
            }
            assert!(!executor.is_shutdown() && !executor.is_broken());
            let _ = (format!("{executor:?}{running:?}"), executor.id(), executor.max_workers());
            drop((queued.clone(), executor.clone()));
        });
        event.set();
        assert!(executor.worker_pids().contains(&running.result().unwrap()));
        assert_eq!(queued.result().unwrap(), 3);
        assert_eq!(executor.submit(tasks::add, (2, 3)).result().unwrap(), 5);
    });
}

#[test]
fn wait_in_forked_child_ends() {
    isolated(|| {
        let event = Event::new();
        let executor = builder(1).build().unwrap();
        let running = executor.submit(wait_for, event.clone());
        let futures = vec![running.clone(), executor.submit(wait_for, event.clone())];
        loky_tests::until("a call that runs", LONG, || running.is_running());
        in_forked_child(|| {
            let waited = loky::wait(&futures, ReturnWhen::AllCompleted, None);
            assert_eq!((waited.done.len(), waited.not_done.len()), (0, 2));
            assert_eq!(loky::as_completed(futures.clone()).count(), 0);
        });
        event.set_for(2);
        assert!(futures.iter().all(|future| future.result().is_ok()));
    });
}

#[test]
fn wait_in_forked_child_for_futures_of_both_processes_ends() {
    isolated(|| {
        let event = Event::new();
        let executor = builder(1).build().unwrap();
        let running = executor.submit(wait_for, event.clone());
        loky_tests::until("a call that runs", LONG, || running.is_running());
        in_forked_child(|| {
            // This one was made here: it is done, since it was refused.
            let refused = executor.submit(wait_for, event.clone());
            let futures = [refused, running.clone()];
            let waited = loky::wait(&futures, ReturnWhen::AllCompleted, None);
            assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
        });
        event.set();
        running.result().unwrap();
    });
}

#[test]
fn iterators_in_forked_child_end() {
    isolated(|| {
        let owner = std::process::id();
        let event = Event::new();
        let executor = builder(1).build().unwrap();
        let mut ordered = executor.map(tasks::add, (0..6).zip(0..6));
        assert_eq!(ordered.next().unwrap().unwrap(), 0);
        let items = || (0..6).map(|_| event.clone());
        event.set();
        let mut unordered = executor.map(wait_for, items()).unordered();
        unordered.next().unwrap().1.unwrap();
        let mut completed = loky::as_completed(items().map(|item| executor.submit(wait_for, item)));
        in_forked_child(|| {
            let refused = |error: Option<Error>| assert_refused(&error.unwrap(), owner);
            assert_eq!(ordered.by_ref().map(|result| refused(result.err())).count(), 5);
            let results = unordered.by_ref();
            assert_eq!(results.map(|(_, result)| refused(result.err())).count(), 5);
            assert_eq!(completed.by_ref().count(), 0);
        });
        event.set_for(11);
        assert_eq!(ordered.filter(Result::is_ok).count(), 5);
        assert_eq!(unordered.filter(|(_, result)| result.is_ok()).count(), 5);
        assert_eq!(completed.count(), 6);
    });
}

#[test]
fn drop_of_last_handle_in_forked_child_does_nothing() {
    isolated(|| {
        let executor = builder(2).build().unwrap();
        executor.prewarm().unwrap();
        let pids = executor.worker_pids();
        let future = executor.submit(tasks::add, (1, 2));
        let mut handles = Some((executor, future));
        in_forked_child(|| drop(handles.take()));
        let (executor, future) = handles.unwrap();
        assert_eq!(future.result().unwrap(), 3);
        assert_eq!(executor.worker_pids(), pids);
        assert_eq!(children_of(std::process::id()).len(), 2);
        assert_eq!(executor.submit(tasks::add, (2, 3)).result().unwrap(), 5);
    });
}

#[test]
fn forked_child_with_handles_may_panic_and_exit() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        executor.prewarm().unwrap();
        let pids = executor.worker_pids();
        in_forked_child(|| {
            let handle = executor.clone();
            // `resume_unwind` runs no hook, and so prints nothing.
            let panic = catch_unwind(AssertUnwindSafe(move || {
                let _handle = handle;
                std::panic::resume_unwind(Box::new("a panic"));
            }));
            assert!(panic.is_err());
            std::process::exit(0);
        });
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
        assert_eq!(executor.worker_pids(), pids);
    });
}

#[test]
fn forked_child_may_have_own_pools() {
    isolated(|| {
        let executor = builder(2).build().unwrap();
        executor.prewarm().unwrap();
        in_forked_child(|| {
            let own = builder(2).build().unwrap();
            own.prewarm().unwrap();
            let worker = own.submit(tasks::pid, ()).result().unwrap();
            let process = loky_tests::process(worker).unwrap();
            assert_eq!(process.parent, std::process::id());
            assert_refused(&executor.prewarm().unwrap_err(), parent_id());
            own.shutdown(Shutdown::Wait);
            assert_eq!(children_of(std::process::id()), []);
        });
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
    });
}

#[test]
fn grandchild_is_told_apart_from_both_ancestors() {
    isolated(|| {
        let owner = std::process::id();
        let executor = builder(1).build().unwrap();
        executor.prewarm().unwrap();
        in_forked_child(|| {
            let own = builder(1).build().unwrap();
            own.prewarm().unwrap();
            let middle = std::process::id();
            in_forked_child(|| {
                assert_refused(&executor.prewarm().unwrap_err(), owner);
                assert_refused(&own.submit(tasks::add, (1, 2)).error().unwrap(), middle);
            });
            assert_eq!(own.submit(tasks::add, (1, 2)).result().unwrap(), 3);
            own.shutdown(Shutdown::Wait);
        });
    });
}

#[test]
fn forked_child_that_lives_on_does_not_hold_workers() {
    isolated(|| {
        let event = Event::new();
        let executor = builder(2).build().unwrap();
        executor.prewarm().unwrap();
        let pids = executor.worker_pids();
        // It has copies of all descriptors of the pool.
        let forked = Forked::start(|| event.wait());
        executor.shutdown(Shutdown::Wait);
        assert!(pids.iter().all(|pid| !loky_tests::is_alive(*pid)));
        event.set();
        forked.finish();
    });
}

#[test]
fn pool_that_never_started_survives_fork() {
    isolated(|| {
        let owner = std::process::id();
        let executor = builder(1).build().unwrap();
        in_forked_child(|| {
            assert_refused(&executor.submit(tasks::add, (1, 2)).error().unwrap(), owner);
            executor.shutdown(Shutdown::Wait);
        });
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
    });
}

/// Uses a pool with all its might.
fn hammer(executor: &loky::ProcessPoolExecutor) {
    let futures: Vec<Future<u64>> = (0..50).map(|x| executor.submit(r#loop, x)).collect();
    for (x, future) in (0..50).zip(&futures) {
        assert!(future.cancel() || future.result().unwrap() == x);
    }
}

#[test]
fn fork_while_threads_ask_for_names_does_not_hang_child() {
    isolated(|| {
        let owner = std::process::id();
        let executor = builder(1).build().unwrap();
        let ask = || assert!(r#loop::TASK.name().ends_with("::loop"));
        check_fork_during(ask, || {
            ask();
            assert_refused(&executor.submit(r#loop, 1).error().unwrap(), owner);
        });
    });
}

#[test]
fn fork_while_threads_use_future_does_not_hang_child() {
    isolated(|| {
        let event = Event::new();
        let executor = builder(1).build().unwrap();
        let future = executor.submit(wait_for, event.clone());
        loky_tests::until("a call that runs", LONG, || future.is_running());
        let ask = || {
            assert!(!future.is_done() && !future.is_cancelled());
            let _ = (future.worker_pid(), format!("{future:?}"));
        };
        check_fork_during(ask, || {
            let _ =
                (future.is_done(), future.is_running(), future.is_cancelled(), future.worker_pid());
            let _ = format!("{future:?}");
            let futures = [future.clone()];
            let _ = loky::wait(&futures, ReturnWhen::AllCompleted, None);
            let _ = loky::as_completed(futures).count();
            assert!(!future.cancel());
        });
        event.set();
        future.result().unwrap();
    });
}

#[test]
fn fork_while_threads_submit_does_not_hang_child() {
    isolated(|| {
        let owner = std::process::id();
        let executor = builder(2).build().unwrap();
        executor.prewarm().unwrap();
        let futures: Vec<_> = (0..20).map(|x| executor.submit(tasks::add, (x, 1))).collect();
        check_fork_during(
            || hammer(&executor),
            || {
                for future in &futures {
                    assert_refused(&future.result().unwrap_err(), owner);
                    assert!(!future.cancel());
                }
                assert_refused(&executor.submit(tasks::add, (1, 2)).error().unwrap(), owner);
                assert_refused(&executor.prewarm().unwrap_err(), owner);
                assert_eq!(executor.worker_pids(), []);
                executor.shutdown(Shutdown::Kill);
                drop((futures.clone(), executor.clone()));
            },
        );
        assert!(futures.iter().all(|future| future.result().is_ok()));
    });
}

#[test]
fn fork_while_threads_submit_does_not_hurt_pool_of_child() {
    isolated(|| {
        // It is there before: what the C library promises to a child ends where other threads start threads at the fork.
        let executor = builder(2).build().unwrap();
        executor.prewarm().unwrap();
        check_fork_during(
            || hammer(&executor),
            || {
                let own = builder(1).build().unwrap();
                assert_eq!(own.submit(tasks::add, (1, 2)).result().unwrap(), 3);
                drop(own);
                assert_eq!(children_of(std::process::id()), []);
            },
        );
    });
}
