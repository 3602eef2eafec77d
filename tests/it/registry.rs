//! The table of tasks: its entries, their names, and functions without an entry.

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use loky::{ProcessPoolExecutor, assert_registered, registry};
use loky_tests::{isolated, isolated_with_stderr, program, run, tasks};

const LINE_ABOVE: u32 = line!();
#[loky::task]
fn plain(text: String, number: Option<u32>) -> Vec<String> {
    vec![text; number.unwrap_or(1) as usize]
}

#[loky::task(name = "loky-tests.named: as one likes, äöü")]
fn named() -> u32 {
    1
}

#[loky::task]
fn r#try(r#in: u32) -> u32 {
    r#in + 1
}

mod r#async {
    #[loky::task]
    pub(super) fn r#fn() -> u32 {
        7
    }
}

mod left {
    #[loky::task]
    pub(super) fn side() -> String {
        "left".to_owned()
    }
}

mod right {
    #[loky::task]
    pub(super) fn side() -> String {
        "right".to_owned()
    }
}

fn no_task(x: u64) -> u64 {
    x
}

fn executor() -> ProcessPoolExecutor {
    ProcessPoolExecutor::builder().max_workers(1).build().unwrap()
}

fn in_one_body(executor: &ProcessPoolExecutor) -> (&'static str, u32) {
    #[loky::task]
    fn inner() -> u32 {
        1
    }
    (inner::TASK.name(), executor.submit(inner, ()).result().unwrap())
}

fn in_another_body(executor: &ProcessPoolExecutor) -> (&'static str, u32) {
    #[loky::task]
    fn inner() -> u32 {
        2
    }
    (inner::TASK.name(), executor.submit(inner, ()).result().unwrap())
}

#[test]
fn entry_has_place_and_signature_of_task() {
    let info = registry().get("it::registry::plain").unwrap();
    assert_eq!(info.name(), "it::registry::plain");
    assert_eq!(info.signature(), "(String, Option<u32>) -> Vec<String>");
    assert!(info.file().ends_with("it/registry.rs"), "{}", info.file());
    assert_eq!(info.line(), LINE_ABOVE + 2);
    let debug = format!("{info:?}");
    assert!(debug.contains("it::registry::plain") && debug.contains("Vec<String>"), "{debug}");
    assert_eq!(plain::TASK.name(), "it::registry::plain");
}

#[test]
fn task_name_is_path_or_given_name() {
    isolated(|| {
        let executor = executor();
        assert_eq!(named::TASK.name(), "loky-tests.named: as one likes, äöü");
        assert_eq!(executor.submit(named, ()).result().unwrap(), 1);
        assert_eq!(r#try::TASK.name(), "it::registry::try");
        assert_eq!(executor.submit(r#try, 1).result().unwrap(), 2);
        assert_eq!(r#async::r#fn::TASK.name(), "it::registry::async::fn");
        assert_eq!(executor.submit(r#async::r#fn, ()).result().unwrap(), 7);
        for task in [left::side::TASK.name(), right::side::TASK.name(), "loky_tests::tasks::add"] {
            assert_eq!(registry().get(task).unwrap().name(), task);
        }
        assert!(registry().get("it::registry::r#try").is_none());
        assert!(registry().get("it::registry::named").is_none());
        assert!(registry().get("").is_none());
    });
}

#[test]
fn tasks_of_one_name_in_different_modules_are_distinct() {
    isolated(|| {
        let executor = executor();
        assert_eq!(in_one_body(&executor), ("it::registry::in_one_body::inner", 1));
        assert_eq!(in_another_body(&executor), ("it::registry::in_another_body::inner", 2));
        assert_eq!(left::side::TASK.name(), "it::registry::left::side");
        assert_eq!(right::side::TASK.name(), "it::registry::right::side");
        let sides = [executor.submit(left::side, ()), executor.submit(right::side, ())];
        assert_eq!(sides.map(|side| side.result().unwrap()), ["left", "right"]);
    });
}

#[test]
fn task_of_dependency_is_registered() {
    isolated(|| {
        let executor = executor();
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
        assert_eq!(executor.spawn(tasks::add::call(3, 4)).result().unwrap(), 7);
        assert_eq!(executor.submit(tasks::add::TASK, (5, 6)).result().unwrap(), 11);
        let info = registry().get("loky_tests::tasks::add").unwrap();
        assert!(info.file().ends_with("src/tasks.rs"), "{}", info.file());
    });
}

#[test]
fn registry_lists_each_task_once_in_order() {
    let names: Vec<_> = registry().iter().map(|task| task.name()).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert_eq!(registry().into_iter().len(), names.len());
    assert_eq!(registry().iter().len(), names.len());
    for name in ["it::registry::plain", "loky_tests::tasks::add", "loky.ping"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(names.iter().all(|name| !name.contains("no_task")));
    assert!(format!("{:?}", registry()).contains("it::registry::plain"));
}

#[test]
fn assert_registered_names_missing_tasks() {
    isolated_with_stderr(|| {
        assert_registered(&[]);
        assert_registered(&["it::registry::plain", "loky_tests::tasks::add"]);
        let names = ["it::registry::plain", "it.missing", "it.absent"];
        let panic = catch_unwind(|| assert_registered(&names)).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("it.missing") && message.contains("it.absent"), "{message}");
        assert!(!message.contains("it::registry::plain"), "{message}");
        assert!(message.contains("use that_crate as _;"), "{message}");
    });
}

#[test]
fn function_without_task_is_error() {
    isolated(|| {
        let executor = executor();
        let factor = 3;
        let check = |error: loky::Error, text: &str| {
            assert!(error.is_not_a_task(), "{error}");
            assert!(error.to_string().contains(text), "{error}");
            assert_eq!(error.execution(), loky::Execution::NotStarted);
        };
        check(executor.submit(no_task, 1).error().unwrap(), "`it::registry::no_task`");
        check(executor.submit(|x: u64| x, 1).error().unwrap(), "{{closure}}");
        check(executor.submit(move |x: u64| x * factor, 1).error().unwrap(), "{{closure}}");
        check(executor.submit(|| (), ()).error().unwrap(), "{{closure}}");
        // A function pointer may point at any function.
        let pointer: fn(u32) -> u32 = r#try;
        check(executor.submit(pointer, 1).error().unwrap(), "fn(u32) -> u32");
        check(executor.map(no_task, 0..3).next().unwrap().unwrap_err(), "no_task");
        assert_eq!(executor.worker_pids(), [], "workers for nothing");
        assert_eq!(executor.submit(r#try, 1).result().unwrap(), 2);
    });
}

#[test]
fn duplicate_task_name_is_error() {
    isolated(|| {
        let finished = run(&mut program("duplicate"));
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let lines: Vec<_> = finished.stdout.lines().collect();
        assert_eq!(lines.len(), 2, "{finished:?}");
        for line in lines {
            assert!(line.starts_with("DuplicateTask Some(\"loky-tests.twice\"): "), "{line}");
            for place in ["src/bin/duplicate.rs:5", "src/bin/duplicate.rs:9"] {
                assert!(line.contains(place), "no {place} in: {line}");
            }
        }
    });
}
