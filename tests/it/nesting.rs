//! Executors in tasks: their errors, their calls that no task waits for, and their processes.

use loky::{ProcessPoolExecutor, Shutdown, TaskResult};
use loky_tests::pools::until_childless;
use loky_tests::tasks::hold;
use loky_tests::time::LONG;
use loky_tests::{Event, Record, is_alive, isolated, tasks, until};

#[loky::task]
fn divide(a: i64, b: i64) -> TaskResult<i64> {
    a.checked_div(b).ok_or_else(|| loky::RemoteError::msg(format!("{a} by {b}")))
}

#[loky::task]
fn divide_or_panic(a: i64, b: i64) -> i64 {
    a / b
}

/// Has the worker's own executor do it.
#[loky::task]
fn divide_all(by: Vec<i64>, panics: bool) -> TaskResult<Vec<i64>> {
    let executor = loky::reusable_executor().max_workers(2).get()?;
    let items = by.into_iter().map(|by| (100, by));
    if panics {
        return Ok(executor.map(divide_or_panic, items).collect::<Result<_, _>>()?);
    }
    executor.map(divide, items).map(|result| result?).collect()
}

/// Python's test checks nothing: its script does not compile. Here the harness checks that nothing is printed.
///
/// Python loky's `test_error_in_nested_call_keeps_resource_tracker_silent`.
#[test]
fn error_in_nested_call_prints_nothing() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(2).build().unwrap();
        for panics in [false, true] {
            let items = [vec![1, 2], vec![5, 0, 1], vec![50]].map(|by| (by, panics));
            let results: Vec<_> = executor.map(divide_all, items).map(Result::unwrap).collect();
            assert_eq!(results[0].as_ref().unwrap(), &[100, 50]);
            assert_eq!(results[2].as_ref().unwrap(), &[2]);
            let error = results[1].as_ref().unwrap_err().to_string();
            let text = if panics { "attempt to divide by zero" } else { "100 by 0" };
            assert!(error.contains(text), "{error}");
        }
    });
}

/// A process that a task runs finds a stdin that is there, and empty.
///
/// Python loky's `test_no_crash_on_stdin_access_in_child_subprocess_run`.
#[test]
fn subprocess_of_task_may_read_stdin() {
    isolated(|| {
        let executor = loky::reusable_executor().max_workers(1).get().unwrap();
        let read = ("cat".into(), vec!["-".to_owned()]);
        let cat = executor.submit(tasks::run_program, read).result().unwrap();
        assert_eq!(cat, (Some(0), String::new()));
        executor.shutdown(Shutdown::Wait);
    });
}

#[loky::task]
fn note(record: Record, number: u64) {
    record.note(number);
}

/// Submits and does not wait.
#[loky::task]
fn leave_behind(record: Record, numbers: Vec<u64>) -> u32 {
    let executor = loky::reusable_executor().max_workers(1).get().expect("an executor");
    for number in numbers {
        drop(executor.submit(note, (record.clone(), number)));
    }
    std::process::id()
}

#[test]
fn nested_calls_finish_when_worker_leaves() {
    isolated(|| {
        let builder = ProcessPoolExecutor::builder().max_workers(2).max_tasks_per_worker(1);
        let executor = builder.build().unwrap();
        let record = Record::new();
        let calls: Vec<_> = (0..5)
            .map(|call| Vec::from_iter(20 * call..20 * (call + 1)))
            .map(|numbers| executor.submit(leave_behind, (record.clone(), numbers)))
            .collect();
        let mut pids: Vec<_> = calls.iter().map(|call| call.result().unwrap()).collect();
        pids.dedup();
        assert_eq!(pids.len(), 5);
        executor.shutdown(Shutdown::Wait);
        assert_eq!(record.counts(100), [1; 100]);
    });
}

/// Holds a call on each of `levels` nested executors, each the reusable one of its process.
#[loky::task]
fn hold_below(levels: u32, began: Event, gate: Event) -> Vec<u32> {
    let executor = loky::reusable_executor().max_workers(1).get().expect("an executor");
    let mut pids = match levels {
        0 => vec![executor.submit(hold, (began, gate)).result().expect("a pid")],
        _ => executor.submit(hold_below, (levels - 1, began, gate)).result().expect("pids"),
    };
    pids.push(std::process::id());
    pids
}

#[test]
fn tree_of_reusable_executors_goes_with_outermost() {
    isolated(|| {
        for is_killed in [false, true] {
            let executor = loky::reusable_executor().max_workers(1).get().unwrap();
            let (began, gate) = (Event::new(), Event::new());
            let call = executor.submit(hold_below, (2, began.clone(), gate.clone()));
            began.wait();
            if is_killed {
                executor.shutdown(Shutdown::Kill);
                assert!(call.error().unwrap().is_shutdown_executor());
            } else {
                gate.set();
                let pids = call.result().unwrap();
                assert_eq!(pids.len(), 4);
                executor.shutdown(Shutdown::Wait);
                assert!(!is_alive(pids[3]), "the worker");
                until("those below it", LONG, || !pids.iter().any(|pid| is_alive(*pid)));
            }
            until_childless();
        }
    });
}
