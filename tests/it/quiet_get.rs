//! Getting the reusable executor makes no system call while nothing has changed. The program `quiet_get` runs under a filter that
//! kills it for any system call.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use loky_tests::marked::Marked;
use loky_tests::{isolated, program, run};

#[track_caller]
fn check(workers: &str, settings: &str) {
    let marked = Marked::new("quiet-get");
    let (name, value) = marked.variable();
    let finished = run(program("quiet_get").args([workers, settings]).env(name, value));
    // Without a code: it was killed by SIGSYS.
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "quiet"), "{finished:?}");
    assert_eq!(finished.stderr, "");
    marked.assert_gone_within(Duration::from_secs(2));
}

#[test]
fn get_without_workers_makes_no_system_call() {
    isolated(|| {
        check("none", "plain");
        check("none", "settings");
    });
}

#[test]
fn get_with_workers_makes_no_system_call() {
    isolated(|| {
        check("workers", "plain");
        check("workers", "settings");
    });
}

#[test]
fn system_call_under_filter_kills_program() {
    isolated(|| {
        let status = program("quiet_get").args(["none", "loud"]).status().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{status}");
    });
}
