//! `wait` over real calls. A cancelled call is done, and its cancellation is no exception. An `Err` of a task is its result.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use loky::{Future, ProcessPoolExecutor, ReturnWhen, Waited, wait};
use loky_tests::held::Held;
use loky_tests::pools::executor;
use loky_tests::tasks::{exit, fail, pid};
use loky_tests::time::LONG;
use loky_tests::{Event, isolated};

/// Blocks until it may go on, then divides: by zero it panics.
#[loky::task]
fn divide_later(gate: Event, dividend: u32, divisor: u32) -> u32 {
    gate.wait();
    dividend / divisor
}

#[loky::task]
fn refuse() -> Result<u32, String> {
    Err("refused".to_owned())
}

fn all_but_first<R: Clone>(futures: &[R]) -> Vec<R> {
    futures[1..].to_vec()
}

/// A call that is done, with a panic or a result.
fn finished(executor: &ProcessPoolExecutor, divisor: u32) -> Future<u32> {
    let gate = Event::new();
    let future = executor.submit(divide_later, (gate.clone(), 21, divisor));
    gate.set();
    assert_eq!(future.error().is_some(), divisor == 0);
    future
}

/// A call that never ran.
fn cancelled(executor: &ProcessPoolExecutor) -> Future<u32> {
    let future = executor.submit(pid, ());
    assert!(future.cancel(), "all workers are held");
    future
}

/// Insists on these being done and these not, by their place in `futures`.
#[track_caller]
fn check<R: Debug + 'static>(waited: &Waited<R>, futures: &[Future<R>], done: &[usize]) {
    assert_eq!(waited.done.len(), done.len(), "{waited:?}");
    assert_eq!(waited.done.len() + waited.not_done.len(), futures.len(), "{waited:?}");
    for (place, future) in futures.iter().enumerate() {
        assert_eq!(future.is_done(), done.contains(&place), "future {place}: {future:?}");
    }
    assert!(
        waited.done.iter().all(Future::is_done) && !waited.not_done.iter().any(Future::is_done)
    );
}

/// Python loky's `test_first_completed`.
#[test]
fn first_completed_returns_with_first_result() {
    isolated(|| {
        let executor = executor(2);
        let slow = Held::new(&executor, 1);
        let gate = Event::new();
        let quick = executor.submit(divide_later, (gate.clone(), 1, 1));
        let futures = [slow.futures[0].clone(), quick];
        let waited = wait(&futures, ReturnWhen::FirstCompleted, Some(Duration::from_millis(20)));
        check(&waited, &futures, &[]);
        gate.set();
        let waited = wait(&futures, ReturnWhen::FirstCompleted, Some(LONG));
        check(&waited, &futures, &[1]);
        slow.release();
    });
}

/// Python loky's `test_first_completed_some_already_completed`.
#[test]
fn first_completed_returns_at_once_if_some_are_done() {
    isolated(|| {
        let executor = executor(2);
        let slow = Held::new(&executor, 1);
        let ready = finished(&executor, 1);
        let held = Held::new(&executor, 1);
        for first in [ready, cancelled(&executor)] {
            let futures = [slow.futures[0].clone(), first];
            let waited = wait(&futures, ReturnWhen::FirstCompleted, None);
            check(&waited, &futures, &[1]);
        }
        slow.release();
        held.release();
    });
}

/// Python loky's `test_first_exception`.
#[test]
fn first_exception_returns_with_first_failure() {
    isolated(|| {
        let executor = executor(2);
        let slow = Held::new(&executor, 1);
        // An executor each: either call may begin first.
        let gates = [Event::new(), Event::new()];
        let futures = [
            executor.submit(divide_later, (gates[0].clone(), 1, 1)),
            executor.submit(divide_later, (gates[1].clone(), 1, 0)),
            slow.futures[0].clone(),
        ];
        gates[0].set();
        futures[0].result().unwrap();
        let waited = wait(&futures, ReturnWhen::FirstException, Some(Duration::from_millis(20)));
        check(&waited, &futures, &[0]);
        gates[1].set();
        let waited = wait(&futures, ReturnWhen::FirstException, Some(LONG));
        check(&waited, &futures, &[0, 1]);
        slow.release();
    });
}

/// Python loky's `test_first_exception_some_already_complete`.
#[test]
fn first_exception_ignores_results_and_cancels() {
    isolated(|| {
        let executor = executor(1);
        let failed = finished(&executor, 0);
        let slow = Held::new(&executor, 1);
        let futures = [failed, cancelled(&executor), slow.futures[0].clone()];
        let waited = wait(&futures, ReturnWhen::FirstException, None);
        check(&waited, &futures, &[0, 1]);
        // Without the one that failed there is nothing to return for.
        let futures = all_but_first(&futures);
        let limit = Duration::from_millis(50);
        let start = Instant::now();
        let waited = wait(&futures, ReturnWhen::FirstException, Some(limit));
        check(&waited, &futures, &[0]);
        assert!(start.elapsed() >= limit);
        slow.release();
    });
}

/// Python loky's `test_first_exception_one_already_failed`.
#[test]
fn first_exception_returns_at_once_if_one_has_failed() {
    isolated(|| {
        let executor = executor(2);
        let slow = Held::new(&executor, 1);
        let futures = [slow.futures[0].clone(), finished(&executor, 0)];
        let waited = wait(&futures, ReturnWhen::FirstException, None);
        check(&waited, &futures, &[1]);
        slow.release();
    });
}

#[test]
fn err_of_task_is_no_exception() {
    isolated(|| {
        let executor = executor(1);
        let futures = [(); 3].map(|()| executor.submit(refuse, ()));
        let waited = wait(&futures, ReturnWhen::FirstException, None);
        check(&waited, &futures, &[0, 1, 2]);
    });
}

/// Python loky's `test_all_completed`.
#[test]
fn all_completed_waits_for_all() {
    isolated(|| {
        let executor = executor(2);
        let gate = Event::new();
        let futures: Vec<_> =
            [1, 0, 2].map(|by| executor.submit(divide_later, (gate.clone(), 2, by))).into();
        let waited = wait(&futures, ReturnWhen::AllCompleted, Some(Duration::ZERO));
        check(&waited, &futures, &[]);
        gate.set_for(3);
        let waited = wait(&futures, ReturnWhen::AllCompleted, None);
        check(&waited, &futures, &[0, 1, 2]);
        let results: Vec<_> = waited.done.iter().map(|future| future.result().ok()).collect();
        assert_eq!(results, [Some(2), None, Some(1)], "in the order given");
    });
}

#[test]
fn death_of_worker_ends_wait() {
    isolated(|| {
        let executor = executor(1);
        let dead = executor.submit(exit, 3);
        let alive = executor.submit(exit, 3);
        for return_when in [ReturnWhen::FirstException, ReturnWhen::AllCompleted] {
            let waited = wait(&[dead.clone(), alive.clone()], return_when, None);
            assert!(waited.done.iter().all(|future| future.error().is_some()), "{waited:?}");
        }
        assert!(alive.error().unwrap().is_terminated_worker());
    });
}

/// Python loky's `test_timeout`.
#[test]
fn timeout_ends_wait() {
    isolated(|| {
        let executor = executor(2);
        let ready = finished(&executor, 1);
        let slow = Held::new(&executor, 1);
        let futures = [ready, slow.futures[0].clone()];
        let limit = Duration::from_millis(100);
        let start = Instant::now();
        let waited = wait(&futures, ReturnWhen::AllCompleted, Some(limit));
        assert!(start.elapsed() >= limit && start.elapsed() < LONG);
        check(&waited, &futures, &[0]);
        slow.release();
        check(&wait(&futures, ReturnWhen::AllCompleted, None), &futures, &[0, 1]);
    });
}

#[test]
fn several_threads_wait_for_one_future() {
    isolated(|| {
        let executor = executor(1);
        let gate = Event::new();
        let futures: Vec<_> =
            (0..8).map(|_| executor.submit(divide_later, (gate.clone(), 1, 1))).collect();
        let waiting = || {
            let futures = futures.clone();
            move || wait(&futures, ReturnWhen::AllCompleted, Some(LONG)).done.len()
        };
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(waiting())).collect();
        gate.set_for(futures.len());
        for thread in threads {
            assert_eq!(thread.join().unwrap(), futures.len());
        }
    });
}

#[test]
fn kill_ends_wait() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let mut futures = vec![held.futures[0].clone()];
        futures.extend((0..3).map(|_| executor.submit(pid, ())));
        let waiting = futures.clone();
        let thread =
            std::thread::spawn(move || wait(&waiting, ReturnWhen::AllCompleted, Some(LONG)));
        executor.shutdown(loky::Shutdown::Kill);
        check(&thread.join().unwrap(), &futures, &[0, 1, 2, 3]);
        let failed = executor.submit(fail, "not run".into());
        let waited = wait(&[failed], ReturnWhen::AllCompleted, None);
        assert!(waited.done[0].error().unwrap().is_shutdown_executor());
    });
}
