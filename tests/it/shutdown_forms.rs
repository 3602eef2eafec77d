//! The four forms of `shutdown`, handles that are dropped, and several of these at once.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use loky::{ErrorKind, Execution, Future, ProcessPoolExecutor, Shutdown};
use loky_tests::held::Held;
use loky_tests::pools::{executor, until_childless};
use loky_tests::tasks::{count, square};
use loky_tests::time::LONG;
use loky_tests::{children_of, isolated, until};

const WAYS: [Shutdown; 4] =
    [Shutdown::Wait, Shutdown::NoWait, Shutdown::CancelPending, Shutdown::Kill];

/// The ends of a call that ran, and of a call that had not started.
type Ends = [Option<(ErrorKind, Execution)>; 2];

const FINISHED: Ends = [None, None];
const CANCELLED: Ends = [None, Some((ErrorKind::Cancelled, Execution::NotStarted))];
const KILLED: Ends = [
    Some((ErrorKind::ShutdownExecutor, Execution::Started)),
    Some((ErrorKind::ShutdownExecutor, Execution::NotStarted)),
];

/// A call that runs, and one behind it.
struct Calls {
    held: Held,
    queued: Future<usize>,
}

impl Calls {
    /// Shuts down in the given way, and if that waits for the call that runs, lets it go as soon as the shutdown is heard.
    fn shut_down(&self, executor: &ProcessPoolExecutor, how: Shutdown) {
        if matches!(how, Shutdown::Kill | Shutdown::NoWait) {
            return executor.shutdown(how);
        }
        let clone = executor.clone();
        let thread = thread::spawn(move || clone.shutdown(how));
        until("it is heard", LONG, || {
            executor.is_shutdown() && (how == Shutdown::Wait || self.queued.is_done())
        });
        assert!(self.held.futures[0].is_done() || !thread.is_finished(), "it waits");
        self.held.release();
        thread.join().unwrap();
        assert!(children_of(std::process::id()).is_empty() && self.held.futures[0].is_done());
    }
}

/// Checks the ends of the two calls when `end` ends the executor, or begins to.
#[track_caller]
fn check_ends(what: &str, end: impl FnOnce(ProcessPoolExecutor, &Calls), expected: Ends) {
    let executor = executor(1);
    let held = Held::new(&executor, 1);
    let calls = Calls { queued: executor.submit(count, ()), held };
    end(executor, &calls);
    let end = |error: Option<loky::Error>| error.map(|error| (error.kind(), error.execution()));
    let Calls { held, queued } = calls;
    let ends = [end(held.futures[0].error()), end(queued.error())];
    assert_eq!(ends, expected, "{what}");
    until_childless();
    assert_eq!(queued.worker_pid().is_some(), expected[1].is_none(), "{what}");
    assert_eq!(queued.result().ok(), expected[1].is_none().then_some(1), "futures outlive it");
}

fn ends_of(how: Shutdown) -> Ends {
    match how {
        Shutdown::Wait | Shutdown::NoWait => FINISHED,
        Shutdown::CancelPending => CANCELLED,
        Shutdown::Kill => KILLED,
        other => panic!("{other:?} has no expectation"),
    }
}

#[test]
fn shutdown_ways_treat_calls_as_documented() {
    isolated(|| {
        for how in WAYS {
            let end = |executor: ProcessPoolExecutor, calls: &Calls| {
                calls.shut_down(&executor, how);
                assert_eq!(calls.held.futures[0].is_done(), how != Shutdown::NoWait);
                calls.held.release();
            };
            check_ends(&format!("{how:?}"), end, ends_of(how));
        }
    });
}

#[test]
fn second_shutdown_may_be_harsher_but_not_milder() {
    isolated(|| {
        for (first, second) in WAYS.into_iter().flat_map(|first| WAYS.map(|second| (first, second)))
        {
            let end = |executor: ProcessPoolExecutor, calls: &Calls| {
                let clone = executor.clone();
                let waiting = thread::spawn(move || clone.shutdown(first));
                until("the first is heard", LONG, || {
                    executor.is_shutdown()
                        && (ends_of(first)[1].is_none() || calls.queued.is_done())
                });
                calls.shut_down(&executor, second);
                calls.held.release();
                waiting.join().unwrap();
            };
            // The running call dies of either form, the queued one of the first that ends it.
            let [first_ends, second_ends] = [ends_of(first), ends_of(second)];
            let expected = [first_ends[0].or(second_ends[0]), first_ends[1].or(second_ends[1])];
            check_ends(&format!("{first:?}, {second:?}"), end, expected);
        }
    });
}

#[test]
fn shutdown_on_many_threads_returns_on_each() {
    isolated(|| {
        for ways in [&[Shutdown::Wait; 8][..], &WAYS, &[Shutdown::Kill; 8], &WAYS.repeat(3)] {
            let executor = executor(2);
            let held = Held::new(&executor, 2);
            let futures: Vec<_> = (0..20).map(|x| executor.submit(square, x)).collect();
            let threads: Vec<_> = ways
                .iter()
                .map(|how| (executor.clone(), *how))
                .map(|(executor, how)| thread::spawn(move || executor.shutdown(how)))
                .collect();
            until("one is heard", LONG, || executor.is_shutdown());
            held.release();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(futures.iter().all(Future::is_done), "{ways:?}");
            assert_eq!(children_of(std::process::id()), [], "{ways:?}");
            let is_mild = ways.iter().all(|how| *how == Shutdown::Wait);
            assert!(!is_mild || futures.iter().all(|future| future.error().is_none()));
        }
    });
}

#[test]
fn shutdown_while_workers_start_ends() {
    isolated(|| {
        for how in WAYS.repeat(3) {
            let executor = executor(3);
            let future = executor.submit(square, 4);
            executor.shutdown(how);
            match future.result() {
                Ok(result) => assert_eq!(result, 16),
                Err(error) => assert!(error.is_cancelled() || error.is_shutdown_executor()),
            }
            drop(executor);
            assert_eq!(children_of(std::process::id()), [], "{how:?}");
        }
    });
}

#[test]
fn shutdown_ends_prewarm() {
    isolated(|| {
        for how in WAYS {
            let executor = executor(4);
            let clone = executor.clone();
            let warming = thread::spawn(move || clone.prewarm());
            executor.shutdown(how);
            // Either they were up before, or they never will be.
            let result = warming.join().unwrap();
            assert!(result.is_ok() || result.unwrap_err().is_shutdown_executor());
            executor.shutdown(Shutdown::Wait);
            assert_eq!(children_of(std::process::id()), []);
        }
    });
}

#[test]
fn drop_waits_for_calls() {
    isolated(|| {
        let end = |executor: ProcessPoolExecutor, calls: &Calls| {
            let thread = thread::spawn(move || drop(executor));
            calls.held.release();
            thread.join().unwrap();
            assert_eq!(children_of(std::process::id()), []);
        };
        check_ends("drop", end, FINISHED);
    });
}

#[test]
fn drop_after_no_wait_waits_for_calls() {
    isolated(|| {
        let end = |executor: ProcessPoolExecutor, calls: &Calls| {
            executor.shutdown(Shutdown::NoWait);
            calls.held.release();
            drop(executor);
            assert_eq!(children_of(std::process::id()), []);
        };
        check_ends("drop", end, FINISHED);
    });
}

#[test]
fn drop_while_panicking_kills_workers() {
    isolated(|| {
        let end = |executor: ProcessPoolExecutor, _: &Calls| {
            let unwound = catch_unwind(AssertUnwindSafe(move || {
                let _executor = executor;
                resume_unwind(Box::new("thrown"));
            }));
            assert!(unwound.is_err());
            assert_eq!(children_of(std::process::id()), []);
        };
        check_ends("panicking", end, KILLED);
        // Another handle is not concerned.
        let executor = executor(1);
        let clone = executor.clone();
        assert!(
            catch_unwind(AssertUnwindSafe(move || {
                let _clone = clone;
                resume_unwind(Box::new("thrown"));
            }))
            .is_err()
        );
        assert_eq!(executor.submit(square, 5).result().unwrap(), 25);
    });
}

#[test]
fn futures_outlive_executor() {
    isolated(|| {
        let executor = executor(2);
        let futures: Vec<_> = (0..10).map(|x| executor.submit(square, x)).collect();
        let failed = executor.submit(loky_tests::tasks::fail, "boom".into());
        drop(executor);
        for (x, future) in (0..).zip(&futures) {
            assert!(future.is_done() && !future.cancel() && future.worker_pid().is_some());
            assert_eq!(future.result().unwrap(), square(x));
        }
        assert_eq!(failed.error().unwrap().panic().unwrap().message(), "boom");
        assert_eq!(loky::as_completed(futures).count(), 10);
    });
}

#[test]
fn cancel_during_shutdown_takes_effect() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let [kept, taken] = [(); 2].map(|()| executor.submit(count, ()));
        executor.shutdown(Shutdown::NoWait);
        assert!(taken.cancel() && !held.futures[0].cancel());
        held.release();
        assert_eq!(kept.result().unwrap(), 1);
        until_childless();
        // Cancelled calls alone start no worker.
        let executor = self::executor(1);
        let held = Held::new(&executor, 1);
        let all: Vec<_> = (0..5).map(|_| executor.submit(count, ())).collect();
        executor.shutdown(Shutdown::NoWait);
        assert!(all.iter().all(Future::cancel));
        held.release();
        until_childless();
    });
}

#[test]
fn executors_that_come_and_go_leave_nothing() {
    isolated(|| {
        for round in 0..20 {
            let executor = executor(2);
            assert_eq!(executor.submit(square, round).result().unwrap(), round * round);
        }
    });
}
