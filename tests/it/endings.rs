//! The end of an executor whose workers have calls in their queues: each way of shutting down has an exact meaning for these
//! calls, and the last handle may be dropped anywhere.

use std::iter::once;
use std::sync::mpsc;
use std::thread;

use loky::{Execution, Future, ProcessPoolExecutor, Shutdown};
use loky_tests::pools::until_childless;
use loky_tests::step::{Step, burst, check_returned, passes, starts_of, until_running, warm};
use loky_tests::time::LONG;
use loky_tests::{Census, Event, Record, isolated, until};

/// How many calls are submitted behind the one that blocks.
const BEHIND: usize = 60;

/// Where another one blocks, after quick ones.
const MIDDLE: usize = 20;

/// A call that blocks, with quick ones behind it, in a pool of one worker.
struct Kept {
    executor: ProcessPoolExecutor,
    gate: Event,
    record: Record,
    calls: Vec<Future<u64>>,
}

impl Kept {
    /// Returns when the first one runs.
    #[track_caller]
    fn new() -> Self {
        let (executor, gate, record) = (warm(1), Event::new(), Record::new());
        let steps = once(Step::Wait(gate.clone())).chain(passes(BEHIND));
        let calls = burst(&executor, &record, steps);
        until_running(&calls[0]);
        // It has begun for the library before it has begun to note that.
        until("the first call notes that it runs", LONG, || record.numbers() == [0]);
        Self { executor, gate, record, calls }
    }

    /// Insists that none of those behind has begun, ever.
    #[track_caller]
    fn check_not_started(&self) {
        for call in &self.calls[1..] {
            let error = call.result_timeout(LONG).unwrap_err();
            assert_eq!(error.execution(), Execution::NotStarted, "{error:?}");
            assert_eq!(call.worker_pid(), None);
        }
        assert_eq!(self.record.numbers(), [0]);
    }
}

#[test]
fn cancel_pending_revokes_calls_behind_running_one() {
    isolated(|| {
        for _ in 0..10 {
            let kept = Kept::new();
            thread::scope(|scope| {
                scope.spawn(|| kept.executor.shutdown(Shutdown::CancelPending));
                let behind = &kept.calls[1..];
                until("they are cancelled", LONG, || behind.iter().all(Future::is_cancelled));
                assert!(kept.calls[0].is_running());
                kept.gate.set();
            });
            assert_eq!(kept.calls[0].result().unwrap(), 0);
            kept.check_not_started();
        }
    });
}

#[test]
fn kill_reports_running_call_as_started() {
    isolated(|| {
        for _ in 0..10 {
            let kept = Kept::new();
            kept.executor.shutdown(Shutdown::Kill);
            for call in &kept.calls {
                assert!(call.error().unwrap().is_shutdown_executor());
            }
            assert_eq!(kept.calls[0].error().unwrap().execution(), Execution::Started);
            kept.check_not_started();
        }
    });
}

/// Ends an executor that is busy with quick calls; what they say of themselves is what the record says.
#[track_caller]
fn check_at_full_speed(how: Shutdown) {
    for max_workers in [1, 2].repeat(5) {
        let (executor, record) = (warm(max_workers), Record::new());
        let calls = burst(&executor, &record, passes(1000));
        executor.shutdown(how);
        let starts = starts_of(&calls, &record);
        for (number, call) in calls.iter().enumerate() {
            let Err(error) = call.result() else {
                check_returned(number, call, &starts);
                continue;
            };
            let is_started = error.execution() != Execution::NotStarted;
            assert!(starts[number] <= usize::from(is_started), "call {number}: {error:?}");
            let is_killed = how == Shutdown::Kill && error.is_shutdown_executor();
            assert!(is_killed || error.is_cancelled() && !is_started, "call {number}: {error:?}");
        }
    }
}

#[test]
fn cancel_pending_at_full_speed_tells_truth() {
    isolated(|| check_at_full_speed(Shutdown::CancelPending));
}

#[test]
fn kill_at_full_speed_tells_truth() {
    isolated(|| check_at_full_speed(Shutdown::Kill));
}

#[test]
fn wait_runs_all_queued_calls() {
    isolated(|| {
        for how in [Shutdown::Wait, Shutdown::NoWait] {
            let kept = Kept::new();
            let clone = kept.executor.clone();
            let ending = thread::spawn(move || clone.shutdown(how));
            until("it is heard", LONG, || kept.executor.is_shutdown());
            kept.gate.set();
            ending.join().unwrap();
            let starts = starts_of(&kept.calls, &kept.record);
            for (number, call) in kept.calls.iter().enumerate() {
                check_returned(number, call, &starts);
            }
            until_childless();
        }
    });
}

/// The last handle is dropped by the callback of the call at `place`, when the calls behind it are still to come. The first
/// one blocks until the callback is there, the one in the middle until the handle is the last.
#[track_caller]
fn check_last_handle(place: usize) {
    let before = Census::take();
    let (executor, gate, record) = (warm(1), Event::new(), Record::new());
    let blocks = || once(Step::Wait(gate.clone()));
    let steps = blocks().chain(passes(MIDDLE - 1)).chain(blocks()).chain(passes(BEHIND));
    let calls = burst(&executor, &record, steps);
    let (sender, receiver) = mpsc::channel();
    let handle = executor.clone();
    calls[place].add_done_callback(move |_| {
        receiver.recv().expect("it is announced");
        drop(handle);
    });
    gate.set();
    // There is another one, so this does not wait.
    drop(executor);
    sender.send(()).unwrap();
    gate.set();
    let starts = starts_of(&calls, &record);
    for (number, call) in calls.iter().enumerate() {
        check_returned(number, call, &starts);
    }
    drop((calls, gate, record));
    until("nothing is left", LONG, || Census::take() == before);
}

#[test]
fn callback_may_drop_last_handle_while_calls_are_queued() {
    isolated(|| {
        for place in [0, 1, MIDDLE - 1, MIDDLE, MIDDLE + 1, MIDDLE + BEHIND] {
            for _ in 0..3 {
                check_last_handle(place);
            }
        }
    });
}

/// A waiting thread may be the reader of the worker when the executor ends.
#[test]
fn last_handle_may_go_while_threads_wait() {
    isolated(|| {
        for _ in 0..10 {
            let Kept { executor, gate, record, calls } = Kept::new();
            thread::scope(|scope| {
                let waits = |number: usize| {
                    let calls = &calls;
                    move || assert_eq!(calls[number].result().unwrap(), number as u64)
                };
                for number in [0, 1, BEHIND] {
                    scope.spawn(waits(number));
                }
                scope.spawn(move || drop(executor));
                gate.set();
            });
            assert_eq!(starts_of(&calls, &record), [1; BEHIND + 1]);
            until_childless();
        }
    });
}
