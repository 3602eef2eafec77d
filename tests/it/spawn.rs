//! The start of workers: a failed start is an error with its cause, and workers that die at once break the pool.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use loky::{Builder, ErrorKind, Shutdown, Stdio};
use loky_tests::marked::Marked;
use loky_tests::pools::builder;
use loky_tests::scratch::Scratch;
use loky_tests::{children_of, is_alive, isolated, tasks};

/// Checks that each use of a pool that cannot start workers fails at once, with the cause.
#[track_caller]
fn check_fails(builder: Builder, kind: ErrorKind, texts: &[&str]) {
    let start = Instant::now();
    let has_texts = |error: &loky::Error| {
        assert_eq!(error.kind(), kind, "{error}");
        for text in texts {
            assert!(format!("{error:?}").contains(text), "no {text:?} in: {error:?}");
        }
    };
    for prewarms_first in [true, false] {
        let executor = builder.clone().build().unwrap();
        if prewarms_first {
            has_texts(&executor.prewarm().unwrap_err());
        }
        for _ in 0..2 {
            let error = executor.submit(tasks::add, (1, 2)).result().unwrap_err();
            has_texts(&error);
            assert_eq!(error.execution(), loky::Execution::NotStarted);
            assert_eq!(error.task(), Some("loky_tests::tasks::add"));
        }
        assert!(executor.is_broken());
        has_texts(&executor.prewarm().unwrap_err());
        drop(executor);
        assert_eq!(children_of(std::process::id()), []);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
}

#[test]
fn missing_worker_exe_is_named_in_error() {
    isolated(|| {
        let exe = builder(2).worker_exe("/nonexistent/worker");
        check_fails(exe, ErrorKind::Spawn, &["`/nonexistent/worker`", "No such file"]);
    });
}

#[test]
fn worker_exe_that_is_no_program_is_named_in_error() {
    isolated(|| {
        let scratch = Scratch::new();
        let folder = scratch.path();
        let text = format!("`{}`", folder.display());
        check_fails(builder(2).worker_exe(folder), ErrorKind::Spawn, &[&text, "Permission denied"]);

        let file = scratch.executable("plain", "");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let text = format!("`{}`", file.display());
        check_fails(builder(2).worker_exe(&file), ErrorKind::Spawn, &[&text, "Permission denied"]);

        let empty = scratch.executable("empty", "");
        let text = format!("`{}`", empty.display());
        check_fails(builder(2).worker_exe(&empty), ErrorKind::Spawn, &[&text, "Exec format"]);
    });
}

#[test]
fn missing_current_dir_is_named_in_error() {
    isolated(|| {
        let missing = builder(2).current_dir("/nonexistent/folder");
        let texts = ["`current_dir`", "/nonexistent/folder", "No such file"];
        check_fails(missing, ErrorKind::Spawn, &texts);
        let file = builder(2).current_dir("/dev/null");
        check_fails(file, ErrorKind::Spawn, &["/dev/null", "Not a directory"]);
    });
}

#[test]
fn stream_that_cannot_be_opened_is_named_in_error() {
    isolated(|| {
        let file = || Stdio::File("/nonexistent/folder/file".into());
        check_fails(builder(2).stdout(file()), ErrorKind::Spawn, &["`stdout`", "No such file"]);
        check_fails(builder(2).stderr(file()), ErrorKind::Spawn, &["`stderr`", "No such file"]);
    });
}

#[test]
fn prewarm_starts_all_workers() {
    isolated(|| {
        let executor = builder(5).build().unwrap();
        assert_eq!(executor.worker_pids(), []);
        assert_eq!(children_of(std::process::id()), []);
        executor.prewarm().unwrap();
        let pids = executor.worker_pids();
        assert_eq!(pids.len(), 5);
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        executor.prewarm().unwrap();
        assert_eq!(executor.worker_pids(), pids);
        assert!(pids.contains(&executor.submit(tasks::pid, ()).result().unwrap()));
        executor.shutdown(Shutdown::Wait);
        assert!(executor.prewarm().unwrap_err().is_shutdown_executor());
        assert_eq!(executor.worker_pids(), []);
    });
}

#[test]
fn prewarm_on_several_threads_starts_workers_once() {
    isolated(|| {
        let executor = builder(3).build().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| executor.prewarm().unwrap());
            }
        });
        assert_eq!(executor.worker_pids().len(), 3);
    });
}

#[test]
fn kill_ends_prewarm_and_its_calls() {
    isolated(|| {
        let scratch = Scratch::new();
        // Never says a word, and stays.
        let exe = scratch.script("exec sleep 1000");
        let executor = builder(2).worker_exe(exe).build().unwrap();
        std::thread::scope(|scope| {
            let prewarm = scope.spawn(|| executor.prewarm());
            loky_tests::until("workers", Duration::from_secs(60), || {
                executor.worker_pids().len() == 2
            });
            let call = executor.submit(tasks::add, (1, 2));
            executor.shutdown(Shutdown::Kill);
            assert!(prewarm.join().unwrap().unwrap_err().is_shutdown_executor());
            assert!(call.error().unwrap().is_shutdown_executor());
        });
    });
}

#[test]
fn many_workers_start_and_answer() {
    isolated(|| {
        let executor = builder(64).build().unwrap();
        executor.prewarm().unwrap();
        let pids = executor.worker_pids();
        assert!(pids.len() == 64 && pids.iter().all(|pid| is_alive(*pid)));
        let sums: Vec<u64> =
            executor.map(tasks::add, (0..256).map(|x| (x, 1))).map(Result::unwrap).collect();
        assert_eq!(sums, (1..=256).collect::<Vec<_>>());
    });
}

/// Checks that a worker which dies at each start breaks the pool: the error has the cause, the count, and what may be missing.
#[track_caller]
fn check_gives_up(script: &str, texts: &[&str]) {
    let scratch = Scratch::new();
    let exe = scratch.script(script);
    let texts: Vec<_> = [texts, &["workers in a row died", "loky::main!"]].concat();
    check_fails(builder(2).worker_exe(&exe), ErrorKind::BrokenProcessPool, &texts);
    let executor = builder(1).worker_exe(&exe).build().unwrap();
    let error = executor.submit(tasks::add, (1, 2)).result().unwrap_err();
    assert!(error.to_string().starts_with("16 workers in a row died"), "{error}");
    assert!(error.worker_exit().is_some());
}

#[test]
fn workers_that_exit_at_once_break_pool() {
    isolated(|| check_gives_up("exit 3", &["EXIT(3)"]));
}

#[test]
fn workers_that_abort_at_once_break_pool() {
    isolated(|| check_gives_up("kill -ABRT $$", &["SIGABRT(-6)"]));
}

#[test]
fn workers_that_send_rubbish_break_pool() {
    isolated(|| {
        let rubbish = "exec 2>/dev/null; head -c 100 /dev/urandom >&0; exec sleep 1000";
        check_gives_up(rubbish, &["broke the protocol"]);
    });
}

#[test]
fn script_with_program_as_child_is_no_worker() {
    isolated(|| {
        let host = loky_tests::program_path("host");
        check_gives_up(&format!("{}\nexit 4", host.display()), &["EXIT(4)"]);
    });
}

#[test]
fn script_that_execs_program_is_worker() {
    isolated(|| {
        let scratch = Scratch::new();
        let exe = scratch.script(&format!("exec {}", loky_tests::program_path("host").display()));
        let executor = builder(2).worker_exe(exe).build().unwrap();
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
    });
}

#[test]
fn script_that_fails_once_is_healed() {
    isolated(|| {
        let scratch = Scratch::new();
        let host = loky_tests::program_path("host");
        let taken = scratch.path().join("taken");
        // The first of all that try makes the folder, and dies.
        let text =
            format!("mkdir {} 2>/dev/null && exit 3\nexec {}", taken.display(), host.display());
        let executor = builder(2).worker_exe(scratch.script(&text)).build().unwrap();
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
        executor.prewarm().unwrap();
        assert_eq!(executor.worker_pids().len(), 2);
    });
}

#[test]
fn program_that_waits_for_stdin_is_killed_by_shutdown() {
    isolated(|| {
        let marked = Marked::new("cat");
        let (name, value) = marked.variable();
        let cat = builder(2).worker_exe("/bin/cat").stdout(Stdio::Null).env(name, value);
        let executor = cat.build().unwrap();
        let call = executor.submit(tasks::add, (1, 2));
        loky_tests::until("two cats", Duration::from_secs(60), || marked.pids().len() == 2);
        executor.shutdown(Shutdown::Kill);
        assert!(call.error().unwrap().is_shutdown_executor());
        marked.assert_gone_within(Duration::ZERO);
    });
}
