//! Callables that are no tasks: each has an error that says what to do.

use loky::{ErrorKind, Execution, ProcessPoolExecutor};
use loky_tests::isolated;

fn plain(x: u64) -> u64 {
    x
}

#[track_caller]
fn check(error: &loky::Error, texts: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::NotATask);
    assert_eq!(error.execution(), Execution::NotStarted);
    let text = error.to_string();
    for expected in texts {
        assert!(text.contains(expected), "{expected:?} in {text:?}");
    }
}

#[test]
fn closure_is_named_and_told_apart() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let factor = 3;
        let texts =
            ["the closure `it::not_a_task::closure_is_named", "{{closure}}", "#[loky::task]"];
        check(&executor.submit(|x: u64| x, 1).result().unwrap_err(), &texts);
        check(&executor.submit(move |x: u64| x * factor, 1).result().unwrap_err(), &texts);
        check(&executor.map(move |x: u64| x * factor, [1]).next().unwrap().unwrap_err(), &texts);
        let error = ProcessPoolExecutor::builder().initializer(|| (), ()).build().unwrap_err();
        check(&error, &texts);
        assert!(executor.worker_pids().is_empty(), "no worker was started for them");
    });
}

#[test]
fn function_without_attribute_is_told_to_add_it() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let error = executor.submit(plain, 1).result().unwrap_err();
        check(&error, &["`it::not_a_task::plain` is not a task", "put `#[loky::task]`"]);
    });
}

#[test]
fn function_pointer_is_told_to_pass_the_function() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let pointer: fn(u64) -> u64 = plain;
        let error = executor.submit(pointer, 1).result().unwrap_err();
        check(&error, &["function pointer `fn(u64) -> u64`", "pass the function itself"]);
    });
}
