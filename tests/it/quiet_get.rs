//! To ask for the reusable executor costs no system call when nothing has changed. The program `quiet_get` asks where every
//! system call is deadly.

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
fn one_without_workers_is_got_quietly() {
    isolated(|| {
        check("none", "plain");
        check("none", "settings");
    });
}

#[test]
fn one_with_workers_is_got_quietly() {
    isolated(|| {
        check("workers", "plain");
        check("workers", "settings");
    });
}

#[test]
fn a_system_call_would_be_deadly() {
    isolated(|| {
        let status = program("quiet_get").args(["none", "loud"]).status().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{status}");
    });
}
