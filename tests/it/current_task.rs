//! The name of the task that a thread runs.

use std::thread;

use loky::{ProcessPoolExecutor, current_task};
use loky_tests::isolated;

fn name() -> Option<String> {
    current_task().map(str::to_owned)
}

#[loky::task(name = "tests.inner")]
fn inner() -> Option<String> {
    name()
}

/// The name here, in a task that is called as a function, and in a thread.
#[loky::task(name = "tests.outer")]
fn outer(then_panics: bool) -> [Option<String>; 3] {
    let in_thread = thread::spawn(name).join().unwrap();
    assert!(!then_panics);
    [name(), inner(), in_thread]
}

#[loky::task]
fn with_default_name(_: u64) -> Option<String> {
    name()
}

#[loky::task(name = "tests.through_executor")]
fn through_executor() -> [Option<String>; 2] {
    let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
    let inner = executor.submit(inner, ()).result().unwrap();
    [name(), inner]
}

#[loky::task(name = "tests.prepare")]
fn prepare() -> Result<(), String> {
    Err(name().unwrap_or_default())
}

fn one_worker() -> ProcessPoolExecutor {
    ProcessPoolExecutor::builder().max_workers(1).build().unwrap()
}

#[test]
fn submitted_task_is_named_in_its_own_thread_only() {
    isolated(|| {
        let executor = one_worker();
        let expected = [Some("tests.outer".to_owned()), Some("tests.outer".to_owned()), None];
        assert_eq!(executor.submit(outer, false).result().unwrap(), expected);
        assert_eq!(executor.submit(inner, ()).result().unwrap(), Some("tests.inner".to_owned()));
    });
}

#[test]
fn calls_of_a_batch_are_named() {
    isolated(|| {
        let executor = one_worker();
        let default = with_default_name::TASK.name().to_owned();
        for name in executor.map(with_default_name, 0..1000).chunksize(100) {
            assert_eq!(name.unwrap().as_ref(), Some(&default));
        }
    });
}

#[test]
fn panic_of_a_task_leaves_no_name_behind() {
    isolated(|| {
        let executor = one_worker();
        assert!(executor.submit(outer, true).error().unwrap().is_panicked());
        assert_eq!(executor.submit(inner, ()).result().unwrap(), Some("tests.inner".to_owned()));
    });
}

#[test]
fn task_of_nested_executor_has_its_own_name() {
    isolated(|| {
        let names = one_worker().submit(through_executor, ()).result().unwrap();
        let expected = ["tests.through_executor", "tests.inner"];
        assert_eq!(names, expected.map(|name| Some(name.to_owned())));
    });
}

#[test]
fn initializer_is_named() {
    isolated(|| {
        let executor =
            ProcessPoolExecutor::builder().max_workers(1).initializer(prepare, ()).build().unwrap();
        let error = executor.prewarm().unwrap_err();
        assert!(error.to_string().ends_with("failed: tests.prepare"), "{error}");
    });
}

#[test]
fn no_task_is_named_in_the_submitting_process() {
    isolated(|| {
        assert_eq!(inner(), None);
        let executor = one_worker();
        let (sender, answer) = std::sync::mpsc::channel();
        executor.submit(inner, ()).add_done_callback(move |_| sender.send(name()).unwrap());
        assert_eq!(answer.recv().unwrap(), None);
    });
}
