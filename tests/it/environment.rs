//! The surroundings of a worker: the variables of its environment, its index, and its depth of nesting.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use loky::{Builder, ProcessPoolExecutor, Shutdown};
use loky_tests::deed::{Deed, perform};
use loky_tests::ledger::Log;
use loky_tests::pools::until_asleep;
use loky_tests::tasks::{nested, variable};
use loky_tests::time::millis;
use loky_tests::{Event as Gate, isolated, program, run};

fn builder(max_workers: usize) -> Builder {
    ProcessPoolExecutor::builder().max_workers(max_workers)
}

/// A variable of the one worker of an executor.
#[track_caller]
fn variable_in(executor: &ProcessPoolExecutor, name: &str) -> Option<OsString> {
    executor.submit(variable, name.to_owned()).result().unwrap()
}

/// Python loky's `test_child_env_executor`.
#[test]
fn env_reaches_workers_of_executor_only() {
    isolated(|| {
        let with = builder(1).env("LOKY_TESTS_A", "a").build().unwrap();
        assert_eq!(variable_in(&with, "LOKY_TESTS_A"), Some("a".into()));
        let without = builder(1).build().unwrap();
        assert_eq!(variable_in(&without, "LOKY_TESTS_A"), None);
        assert_eq!(std::env::var_os("LOKY_TESTS_A"), None, "nothing is set here");
        // A variable of this process is there, unless it is set otherwise.
        let inherited = std::env::var_os("PATH").expect("a path");
        assert_eq!(variable_in(&without, "PATH"), Some(inherited));
        let other = builder(1).env("PATH", "/nowhere").build().unwrap();
        assert_eq!(variable_in(&other, "PATH"), Some("/nowhere".into()));
    });
}

#[test]
fn env_values_without_nul_arrive() {
    isolated(|| {
        let bytes = OsString::from_vec((1..=255).collect());
        let large = OsString::from("x".repeat(100_000));
        let executor = builder(1)
            .env("LOKY_TESTS_EMPTY", "")
            .env("LOKY_TESTS_BYTES", &bytes)
            .env("LOKY_TESTS_LARGE", &large)
            .env("LOKY_TESTS_EQUALS", "a=b=c")
            .env("a name with spaces", "1")
            .build()
            .unwrap();
        for (name, value) in [
            ("LOKY_TESTS_EMPTY", OsString::new()),
            ("LOKY_TESTS_BYTES", bytes),
            ("LOKY_TESTS_LARGE", large),
            ("LOKY_TESTS_EQUALS", "a=b=c".into()),
            ("a name with spaces", "1".into()),
        ] {
            assert_eq!(variable_in(&executor, name), Some(value), "{name}");
        }
    });
}

#[test]
fn env_set_twice_keeps_last_value() {
    isolated(|| {
        let variables = BTreeMap::from([("LOKY_TESTS_A", "1"), ("LOKY_TESTS_B", "2")]);
        let builder = builder(1).env("LOKY_TESTS_A", "0").envs(variables);
        let executor = builder.env("LOKY_TESTS_B", "3").build().unwrap();
        assert_eq!(variable_in(&executor, "LOKY_TESTS_A"), Some("1".into()));
        assert_eq!(variable_in(&executor, "LOKY_TESTS_B"), Some("3".into()));
    });
}

#[test]
fn invalid_env_is_named_in_error() {
    isolated(|| {
        for (builder, text) in [
            (builder(1).env("", "1"), "`env`: `` cannot be the name"),
            (builder(1).env("A=B", "1"), "`env`: `A=B` cannot be the name"),
            (builder(1).env("A\0B", "1"), "`env`: `A\\0B` cannot be the name"),
            (builder(1).env("A", "1\0"), "`env`: the value of `A` contains a zero byte"),
            (builder(1).envs([("A", "1"), ("=", "2")]), "`env`: `=` cannot be the name"),
            (builder(1).worker_env("", ["1"]), "`worker_env`: `` cannot be the name"),
            (builder(1).worker_env("A", ["1", "2\0"]), "`worker_env`: the value of `A`"),
            (builder(1).worker_env("A", [""; 0]), "`worker_env`: no values are given for `A`"),
        ] {
            let error = builder.build().unwrap_err();
            assert!(error.is_invalid_config(), "{error:?}");
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(builder(1).worker_env("A", [""]).build().is_ok(), "an empty value is a value");
    });
}

/// The index of this worker, and what a variable is there. Blocks until it may go on.
#[loky::task]
fn place(name: String, began: Gate, gate: Gate) -> (u32, Option<usize>, Option<OsString>) {
    began.set();
    gate.wait();
    (std::process::id(), loky::worker_index(), std::env::var_os(name))
}

/// Returns the places of all workers, `count` of them, and insists that their indices are complete.
#[track_caller]
fn places(executor: &ProcessPoolExecutor, name: &str, n_workers: usize) -> Vec<OsString> {
    let (began, gate) = (Gate::new(), Gate::new());
    let call = || executor.submit(place, (name.to_owned(), began.clone(), gate.clone()));
    let calls: Vec<_> = (0..n_workers).map(|_| call()).collect();
    calls.iter().for_each(|_| began.wait());
    gate.set_for(n_workers);
    let mut values = BTreeMap::new();
    let mut pids = BTreeSet::new();
    for call in calls {
        let (pid, index, value) = call.result().unwrap();
        pids.insert(pid);
        values.insert(index.expect("it is a worker"), value.expect("it is set"));
    }
    assert_eq!(pids.len(), n_workers);
    assert!(values.keys().copied().eq(0..n_workers), "{values:?}");
    values.into_values().collect()
}

#[test]
fn worker_env_gives_each_worker_own_value() {
    isolated(|| {
        let name = "LOKY_TESTS_GPU";
        let builder = builder(5).worker_env(name, ["0", "1", "2"]).env(name, "all");
        let (executor, log) = Log::of(builder);
        let by_turns = ["0", "1", "2", "0", "1"];
        assert_eq!(places(&executor, name, 5), by_turns);
        // Replacements get the values of their predecessors.
        for _ in 0..5 {
            let error = executor.submit(perform, Deed::ExitAtOnce(1)).error().unwrap();
            assert!(error.is_terminated_worker(), "{error:?}");
            assert_eq!(places(&executor, name, 5), by_turns);
        }
        executor.resize(2).unwrap();
        assert_eq!(places(&executor, name, 2), by_turns[..2]);
        executor.resize(4).unwrap();
        assert_eq!(places(&executor, name, 4), by_turns[..4]);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn returning_workers_get_first_indices() {
    isolated(|| {
        let name = "LOKY_TESTS_GPU";
        let builder = builder(3).worker_env(name, ["a", "b", "c", "d"]).idle_timeout(millis(1));
        let (executor, log) = Log::of(builder);
        for n_workers in [3, 1, 2, 3] {
            assert_eq!(places(&executor, name, n_workers), ["a", "b", "c"][..n_workers]);
            until_asleep(&executor);
        }
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

const THREAD_COUNTS: [&str; 8] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

#[test]
fn inner_threads_sets_variables_of_native_libraries() {
    isolated(|| {
        // In whatever order they are set.
        let builder = builder(1).env("MKL_NUM_THREADS", "7").inner_threads(3);
        let builder = builder.worker_env("RAYON_NUM_THREADS", ["9"]);
        let executor = builder.build().unwrap();
        for name in THREAD_COUNTS {
            let expected = match name {
                "MKL_NUM_THREADS" => "7",
                "RAYON_NUM_THREADS" => "9",
                _ => "3",
            };
            assert_eq!(variable_in(&executor, name), Some(expected.into()), "{name}");
        }
        let untold = self::builder(1).build().unwrap();
        for name in THREAD_COUNTS {
            assert_eq!(variable_in(&untold, name), std::env::var_os(name), "{name}");
        }
    });
}

/// A change of this process's environment after the executor was made, but before its workers start, is seen there.
#[test]
fn environment_is_read_at_start_of_worker() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        #[expect(unsafe_code, reason = "the environment of a process is shared by its threads")]
        // SAFETY: no other thread of this process looks at it: the pool has none yet, and the harness waits.
        unsafe {
            std::env::set_var("LOKY_TESTS_LATE", "1");
        }
        assert_eq!(variable_in(&executor, "LOKY_TESTS_LATE"), Some("1".into()));
    });
}

/// Where a process is: its depth, whether it is a worker, its index.
type Standing = (u32, bool, Option<usize>);

/// Returns the answers of each level, from here down.
#[loky::task]
fn standings(levels: u32) -> Vec<Standing> {
    let here = (loky::depth(), loky::is_worker(), loky::worker_index());
    let below = (levels > 0).then(|| {
        let executor = builder(1).build().expect("an executor");
        executor.submit(standings, levels - 1).result().expect("its result")
    });
    [here].into_iter().chain(below.into_iter().flatten()).collect()
}

#[test]
fn depth_counts_from_users_process() {
    isolated(|| {
        let worker = |depth| (depth, true, Some(0));
        let expected = [(0, false, None), worker(1), worker(2), worker(3)];
        assert_eq!(standings(3), expected);
        assert_eq!((loky::depth(), loky::is_worker(), loky::worker_index()), (0, false, None));
        let executor = builder(1).build().unwrap();
        assert_eq!(executor.submit(nested, 2).result().unwrap(), 2);
    });
}

/// A program that a task runs is no worker.
#[loky::task]
fn depth_of_a_program() -> String {
    run(program("nested").arg("0")).stdout
}

#[test]
fn program_run_by_task_has_depth_zero() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        assert_eq!(executor.submit(depth_of_a_program, ()).result().unwrap(), "0\n");
    });
}

/// Returns the output of the helper program that nests to this depth, under this limit.
#[track_caller]
fn nest(limit: Option<&str>, levels: u32, manner: &[&str]) -> String {
    let mut program = program("nested");
    program.arg(levels.to_string()).args(manner).env_remove("LOKY_MAX_DEPTH");
    if let Some(limit) = limit {
        program.env("LOKY_MAX_DEPTH", limit);
    }
    let finished = run(&mut program);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    finished.stdout.trim_end().to_owned()
}

const MANNERS: [&[&str]; 4] = [&[], &["kill"], &["reusable"], &["reusable", "kill"]];

/// Python loky's `test_max_depth`.
#[test]
fn max_depth_ends_nesting() {
    isolated(|| {
        for manner in MANNERS {
            assert_eq!(nest(Some("3"), 3, manner), "3");
            let error = nest(Some("3"), 4, manner);
            assert!(error.starts_with("Recursion at depth 3: "), "{manner:?}: {error}");
            assert!(error.contains("deeper than 3 levels"), "{manner:?}: {error}");
            assert!(error.contains("`LOKY_MAX_DEPTH`"), "{manner:?}: {error}");
        }
    });
}

#[test]
fn max_depth_is_ten_by_default() {
    isolated(|| {
        assert_eq!(nest(None, 10, &[]), "10");
        assert!(nest(None, 11, &[]).starts_with("Recursion at depth 10: "));
    });
}

#[test]
fn max_depth_of_zero_is_no_limit() {
    isolated(|| {
        for limit in ["0", "-1"] {
            assert_eq!(nest(Some(limit), 12, &[]), "12");
        }
    });
}

#[test]
fn max_depth_that_is_no_number_is_named_in_error() {
    isolated(|| {
        for limit in ["many", "", "3.5"] {
            let error = nest(Some(limit), 1, &[]);
            let expected = format!("`LOKY_MAX_DEPTH` must be a number, not `{limit}`");
            assert_eq!(error, format!("InvalidConfig at depth 0: {expected}"));
        }
        assert_eq!(nest(Some(" 1 "), 1, &[]), "1");
    });
}

/// The limit is the one of the process that builds: so a program can set it for what lies below.
#[test]
fn max_depth_may_be_set_for_workers_only() {
    isolated(|| {
        let executor = builder(1).env("LOKY_MAX_DEPTH", "1").build().unwrap();
        let error = executor.submit(nested, 1).error().unwrap();
        assert!(error.is_panicked() && error.to_string().contains("LOKY_MAX_DEPTH"), "{error}");
        assert_eq!(executor.submit(nested, 0).result().unwrap(), 0);
    });
}
