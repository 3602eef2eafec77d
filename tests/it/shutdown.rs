//! The ways to end an executor: CONFORMANCE.md, section 2.3, by the same names as far as they need no program of their own,
//! then the four forms of `shutdown`, handles that are dropped, and several of these at once.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use loky::{ErrorKind, Execution, Future, ProcessPoolExecutor, Shutdown};
use loky_tests::held::Held;
use loky_tests::pools::{executor, until_childless};
use loky_tests::signal::send_signal;
use loky_tests::tasks::{count, hold, pid, square};
use loky_tests::time::LONG;
use loky_tests::{Event, children_of, is_alive, isolated, until};
use serde::{Deserialize, Serialize, Serializer};

const WAYS: [Shutdown; 4] =
    [Shutdown::Wait, Shutdown::NoWait, Shutdown::CancelPending, Shutdown::Kill];

fn children() -> Vec<u32> {
    children_of(std::process::id()).into_iter().map(|child| child.pid).collect()
}

#[test]
fn test_run_after_shutdown() {
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

#[test]
fn test_shutdown_with_pickle_error() {
    isolated(|| check_unfit(false, None));
}

#[test]
fn test_shutdown_with_sys_exit_at_pickle() {
    isolated(|| check_unfit(true, None));
}

#[test]
fn test_shutdown_deadlock_pickle() {
    isolated(|| check_unfit(false, Some(Shutdown::NoWait)));
}

#[test]
fn test_hang_issue12364() {
    isolated(|| {
        let executor = executor(4);
        let futures: Vec<_> = (0..50).map(|x| executor.submit(square, x)).collect();
        executor.shutdown(Shutdown::Wait);
        assert!(futures.iter().all(Future::is_done), "all, when it returns");
        let results = futures.iter().map(|future| future.result().unwrap());
        assert_eq!(results.collect::<Vec<_>>(), Vec::from_iter((0..50).map(square)));
    });
}

#[test]
fn test_processes_terminate() {
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

#[test]
fn test_processes_terminate_on_executor_gc() {
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

#[test]
fn test_processes_crash_handling_after_executor_gc() {
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
fn calls_behind_a_crash_are_finished_although_nobody_holds_the_executor() {
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

#[test]
fn test_context_manager_shutdown() {
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

#[test]
fn test_del_shutdown() {
    isolated(|| {
        let executor = executor(2);
        let clone = executor.clone();
        let worker = executor.submit(pid, ()).result().unwrap();
        drop(executor);
        assert!(!clone.is_shutdown(), "one handle is left");
        assert!(children().contains(&worker));
        drop(clone);
        assert_eq!(children(), []);
        // One that was never used has nothing to wait for.
        drop(self::executor(2));
    });
}

#[test]
fn test_shutdown_no_wait() {
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

/// Holds below so many executors of its own, then here.
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

#[test]
fn test_shutdown_and_kill_workers() {
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
fn nested_executors_end_with_their_task() {
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

#[test]
fn test_shutdown_race_issue12456() {
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

#[test]
fn test_shutdown_kill() {
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

#[test]
fn test_shutdown_deadlock() {
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

/// What became of a call that ran and of one that had not started.
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
        assert!(children().is_empty() && self.held.futures[0].is_done());
    }
}

/// What becomes of the two calls when `end` ends the executor, or begins to.
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
fn each_way_does_what_it_says() {
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
fn a_second_shutdown_may_be_harsher_but_not_milder() {
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
            // What ran dies of either, what had not started of the first that ends it.
            let [first_ends, second_ends] = [ends_of(first), ends_of(second)];
            let expected = [first_ends[0].or(second_ends[0]), first_ends[1].or(second_ends[1])];
            check_ends(&format!("{first:?}, {second:?}"), end, expected);
        }
    });
}

#[test]
fn many_threads_shut_down_at_once() {
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
            assert_eq!(children(), [], "{ways:?}");
            let is_mild = ways.iter().all(|how| *how == Shutdown::Wait);
            assert!(!is_mild || futures.iter().all(|future| future.error().is_none()));
        }
    });
}

#[test]
fn it_may_come_while_workers_start() {
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
            assert_eq!(children(), [], "{how:?}");
        }
    });
}

#[test]
fn it_ends_a_prewarm() {
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
            assert_eq!(children(), []);
        }
    });
}

#[test]
fn dropping_waits_and_finishes() {
    isolated(|| {
        let end = |executor: ProcessPoolExecutor, calls: &Calls| {
            let thread = thread::spawn(move || drop(executor));
            calls.held.release();
            thread.join().unwrap();
            assert_eq!(children(), []);
        };
        check_ends("drop", end, FINISHED);
    });
}

#[test]
fn dropping_after_no_wait_waits() {
    isolated(|| {
        let end = |executor: ProcessPoolExecutor, calls: &Calls| {
            executor.shutdown(Shutdown::NoWait);
            calls.held.release();
            drop(executor);
            assert_eq!(children(), []);
        };
        check_ends("drop", end, FINISHED);
    });
}

#[test]
fn dropping_while_panicking_kills() {
    isolated(|| {
        let end = |executor: ProcessPoolExecutor, _: &Calls| {
            let unwound = catch_unwind(AssertUnwindSafe(move || {
                let _executor = executor;
                resume_unwind(Box::new("thrown"));
            }));
            assert!(unwound.is_err());
            assert_eq!(children(), []);
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
fn futures_outlive_the_executor() {
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
fn calls_can_be_cancelled_while_it_drains() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let [kept, taken] = [(); 2].map(|()| executor.submit(count, ()));
        executor.shutdown(Shutdown::NoWait);
        assert!(taken.cancel() && !held.futures[0].cancel());
        held.release();
        assert_eq!(kept.result().unwrap(), 1);
        until_childless();
        // With nothing left but cancelled ones, nobody starts for them.
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
fn executors_come_and_go() {
    isolated(|| {
        for round in 0..20 {
            let executor = executor(2);
            assert_eq!(executor.submit(square, round).result().unwrap(), round * round);
        }
    });
}
