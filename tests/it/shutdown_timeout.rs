//! `shutdown_timeout`: calls that end in time, calls that do not, several threads at once, and threads that must not wait.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use loky::{ErrorKind, ProcessPoolExecutor, Shutdown};
use loky_tests::held::Held;
use loky_tests::isolated;
use loky_tests::pools::{executor, until_childless};
use loky_tests::tasks::{block, exit, pid};
use loky_tests::time::LONG;

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn call_that_ends_in_time_is_not_killed() {
    isolated(|| {
        let executor = executor(2);
        let held = Held::new(&executor, 1);
        let queued = executor.submit(pid, ());
        let handle = executor.clone();
        let ending = thread::spawn(move || handle.shutdown_timeout(LONG));
        held.gate.set();
        assert!(ending.join().unwrap());
        assert!(queued.result().is_ok() && held.futures[0].result().is_ok());
        until_childless();
        assert!(executor.is_shutdown());
    });
}

#[test]
fn call_that_runs_on_is_killed_at_the_limit() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let queued = executor.submit(pid, ());
        let start = Instant::now();
        assert!(!executor.shutdown_timeout(SHORT));
        assert!(start.elapsed() >= SHORT && start.elapsed() < LONG, "{:?}", start.elapsed());
        for error in [held.futures[0].error(), queued.error()] {
            assert_eq!(error.unwrap().kind(), ErrorKind::ShutdownExecutor);
        }
        until_childless();
    });
}

#[test]
fn zero_limit_kills_at_once() {
    isolated(|| {
        let busy = executor(1);
        let held = Held::new(&busy, 1);
        assert!(!busy.shutdown_timeout(Duration::ZERO));
        assert!(held.futures[0].error().unwrap().is_shutdown_executor());

        let idle = executor(1);
        idle.submit(pid, ()).result().unwrap();
        assert!(!idle.shutdown_timeout(Duration::ZERO), "its worker was killed");
        until_childless();

        assert!(executor(1).shutdown_timeout(Duration::ZERO), "it never had a worker");
    });
}

#[test]
fn limit_beyond_the_clock_is_none() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let handle = executor.clone();
        let ending = thread::spawn(move || handle.shutdown_timeout(Duration::MAX));
        held.gate.set();
        assert!(ending.join().unwrap());
        assert!(held.futures[0].result().is_ok());
    });
}

#[test]
fn earliest_limit_counts_for_all_threads() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let start = Instant::now();
        let others: Vec<_> = [LONG * 100, Duration::MAX]
            .map(|limit| {
                let handle = executor.clone();
                thread::spawn(move || handle.shutdown_timeout(limit))
            })
            .into();
        let handle = executor.clone();
        let waiting = thread::spawn(move || handle.shutdown(Shutdown::Wait));
        assert!(!executor.shutdown_timeout(SHORT));
        for other in others {
            assert!(!other.join().unwrap());
        }
        waiting.join().unwrap();
        assert!(start.elapsed() < LONG);
        assert!(held.futures[0].error().unwrap().is_shutdown_executor());
    });
}

#[test]
fn kill_of_another_thread_is_told() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let handle = executor.clone();
        let ending = thread::spawn(move || handle.shutdown_timeout(Duration::MAX));
        executor.shutdown(Shutdown::Kill);
        assert!(!ending.join().unwrap());
        assert!(held.futures[0].error().unwrap().is_shutdown_executor());
    });
}

#[test]
fn second_shutdown_of_ended_executor_repeats_its_answer() {
    isolated(|| {
        let unhurt = executor(1);
        unhurt.submit(pid, ()).result().unwrap();
        unhurt.shutdown(Shutdown::Wait);
        assert!(unhurt.shutdown_timeout(Duration::ZERO));

        let killed = executor(1);
        let _held = Held::new(&killed, 1);
        killed.shutdown(Shutdown::Kill);
        assert!(!killed.shutdown_timeout(LONG));
    });
}

#[test]
fn callback_returns_at_once_and_limit_still_kills() {
    isolated(|| {
        let executor = executor(2);
        let blocked = executor.submit(block, ());
        let (sender, answer) = mpsc::channel();
        let handle = executor.clone();
        executor.submit(pid, ()).add_done_callback(move |_| {
            let start = Instant::now();
            let unhurt = handle.shutdown_timeout(Duration::from_millis(500));
            sender.send((unhurt, start.elapsed())).unwrap();
        });
        let (unhurt, took) = answer.recv().unwrap();
        assert!(!unhurt && took < LONG, "{took:?}");
        assert!(blocked.error().unwrap().is_shutdown_executor());
        executor.shutdown(Shutdown::Wait);
        until_childless();
    });
}

#[test]
fn reusable_executor_is_forgotten() {
    isolated(|| {
        let first = loky::reusable_executor().max_workers(1).get().unwrap();
        first.submit(pid, ()).result().unwrap();
        assert!(first.shutdown_timeout(LONG));
        let second = loky::reusable_executor().max_workers(1).get().unwrap();
        assert_ne!(second.id(), first.id());
        second.shutdown(Shutdown::Kill);
    });
}

#[test]
fn broken_executor_has_nothing_to_kill() {
    isolated(|| {
        let executor: ProcessPoolExecutor = ProcessPoolExecutor::builder()
            .max_workers(1)
            .on_worker_crash(loky::CrashPolicy::BreakPool)
            .build()
            .unwrap();
        assert!(executor.submit(exit, 1).error().is_some());
        assert!(executor.shutdown_timeout(LONG));
        until_childless();
    });
}
