//! Nothing outlives the program, however it ends: no worker, no process of a task, no file.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use loky_tests::marked::Marked;
use loky_tests::scratch::Scratch;
use loky_tests::signal::kill;
use loky_tests::{isolated, process, program, run, shared_files, until};

/// How long the remains of a program may live.
const LIMIT: Duration = Duration::from_secs(2);

/// The program `orphans` in one of its modes, with a temporary folder of its own.
struct Orphans {
    child: Child,
    stdout: BufReader<ChildStdout>,
    marked: Marked,
    temp: Scratch,
    shared_before: BTreeSet<String>,
}

impl Orphans {
    fn start(mode: &str) -> Self {
        Self::start_with(mode, false)
    }

    fn start_with(mode: &str, has_timeout: bool) -> Self {
        let (marked, temp) = (Marked::new(mode), Scratch::new());
        let (name, value) = marked.variable();
        let mut command = program("orphans");
        command.arg(mode).env(name, value).env("TMPDIR", temp.path());
        command.args(has_timeout.then_some("timeout"));
        let shared_before = shared_files();
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, marked, temp, shared_before }
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn expect_lines(&mut self, lines: &[&str]) {
        for expected in lines {
            assert_eq!(self.read_line(), *expected);
        }
    }

    /// Waits until `number` processes are there, the program included.
    #[track_caller]
    fn expect_processes(&self, number: usize) {
        let what = format!("{number} processes");
        until(&what, Duration::from_secs(60), || self.marked.pids().len() == number);
    }

    /// Kills the program, and sees to it that nothing is left.
    #[track_caller]
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.assert_nothing_left();
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        self.marked.assert_gone_within(LIMIT);
        assert_eq!(fs::read_dir(self.temp.path()).unwrap().count(), 0, "temporary files");
        let new: Vec<_> = shared_files().difference(&self.shared_before).cloned().collect();
        assert!(new.is_empty(), "shared files: {new:?}");
    }
}

#[test]
fn killed_program_leaves_no_idle_workers() {
    isolated(|| {
        let mut orphans = Orphans::start("idle");
        orphans.expect_lines(&["ready"]);
        orphans.expect_processes(1 + 2);
        orphans.kill();
    });
}

#[test]
fn killed_program_leaves_no_running_calls() {
    isolated(|| {
        let mut orphans = Orphans::start("block");
        expect_blocked_and_ready(&mut orphans);
        orphans.expect_processes(1 + 2);
        orphans.kill();
    });
}

/// Reads until both calls have started all that they start, which may be after the program is ready.
fn expect_blocked_and_ready(orphans: &mut Orphans) {
    let mut lines: Vec<_> = (0..3).map(|_| orphans.read_line()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["blocked", "blocked", "ready"]);
}

#[test]
fn killed_program_leaves_no_processes_of_tasks() {
    isolated(|| {
        let mut orphans = Orphans::start("children");
        expect_blocked_and_ready(&mut orphans);
        orphans.expect_processes(1 + 2 * (1 + 3));
        orphans.kill();
    });
}

/// A program that is killed while calls run in workers that are `levels` deep.
#[track_caller]
fn check_depth(mode: &str, levels: usize, has_timeout: bool) {
    let mut orphans = Orphans::start_with(mode, has_timeout);
    expect_blocked_and_ready(&mut orphans);
    orphans.expect_processes(1 + 2 * (levels + 3));
    orphans.kill();
}

#[test]
fn killed_program_leaves_no_nested_workers() {
    isolated(|| {
        for has_timeout in [false, true] {
            check_depth("children", 1, has_timeout);
            check_depth("below", 2, has_timeout);
            check_depth("far below", 3, has_timeout);
        }
    });
}

/// In Python without a timeout the workers stay for ever, and with one for half a minute; the test there waits for that.
///
/// Python loky's `test_sigkill_shutdown_leaks_workers`.
#[test]
fn killed_program_with_idle_timeout_leaves_no_workers() {
    isolated(|| {
        for has_timeout in [false, true] {
            let mut orphans = Orphans::start_with("idle", has_timeout);
            orphans.expect_lines(&["ready"]);
            orphans.kill();
        }
    });
}

#[test]
fn killed_worker_leaves_no_nested_workers() {
    isolated(|| {
        let mut orphans = Orphans::start("below");
        expect_blocked_and_ready(&mut orphans);
        for worker in loky_tests::children_of(orphans.child.id()) {
            kill(worker.pid, libc::SIGKILL);
        }
        // The program is left, with two workers that replace the killed ones.
        let below = |pid: u32| process(pid).map(|process| process.parent);
        let program = orphans.child.id();
        until("the end of what was below the workers", LIMIT, || {
            let pids = orphans.marked.pids();
            pids.into_iter().all(|pid| pid == program || below(pid) == Some(program))
        });
        orphans.kill();
    });
}

#[test]
fn program_killed_while_workers_start_leaves_none() {
    isolated(|| {
        for number in 0..12 {
            let mut orphans = Orphans::start("start");
            orphans.expect_lines(&["ready"]);
            until("some workers", Duration::from_secs(60), || orphans.marked.pids().len() > number);
            orphans.kill();
        }
    });
}

/// Between any two steps of either side: so again and again, each time a little later.
#[test]
fn program_killed_at_full_speed_leaves_no_workers() {
    isolated(|| {
        for number in 0..20 {
            let mut orphans = Orphans::start("full speed");
            orphans.expect_lines(&["ready"]);
            orphans.expect_processes(1 + 2);
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(137) * number {
                std::hint::spin_loop();
            }
            orphans.kill();
        }
    });
}

/// A program that ends by itself while calls run.
#[track_caller]
fn check_end(mode: &str, code: i32, stderr: &str) {
    let marked = Marked::new(mode);
    let (name, value) = marked.variable();
    let finished = run(program("orphans").arg(mode).env(name, value));
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert!(finished.stderr.contains(stderr), "{finished:?}");
    marked.assert_gone_within(LIMIT);
}

#[test]
fn program_that_exits_leaves_no_running_calls() {
    isolated(|| check_end("exit", 5, ""));
}

#[test]
fn program_that_panics_leaves_no_running_calls() {
    isolated(|| {
        let start = Instant::now();
        check_end("panic", 101, "the program ends in a panic");
        assert!(start.elapsed() < Duration::from_secs(60), "it waited for calls that never end");
    });
}

/// A program that exits while it kills its workers.
#[track_caller]
fn check_exit_while_killing(mode: &str) {
    for _ in 0..20 {
        let marked = Marked::new(mode);
        let (name, value) = marked.variable();
        // Not with pipes, whose end would be that of what is left.
        let mut command = program("exits_while_killing");
        command.arg(mode).env(name, value).stdout(Stdio::null()).stderr(Stdio::null());
        assert_eq!(command.status().unwrap().code(), Some(0));
        marked.assert_gone_within(LIMIT);
    }
}

#[test]
fn program_that_ends_during_kill_leaves_nothing() {
    isolated(|| check_exit_while_killing("settled"));
}

#[test]
fn processes_started_while_program_ends_are_killed() {
    isolated(|| check_exit_while_killing("at once"));
}

#[test]
fn end_of_spawning_thread_ends_no_workers() {
    isolated(|| {
        let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let first = std::thread::scope(|scope| {
            scope.spawn(|| executor.submit(loky_tests::tasks::pid, ()).result()).join().unwrap()
        });
        let second = executor.submit(loky_tests::tasks::pid, ()).result();
        assert_eq!(first.unwrap(), second.unwrap());
    });
}
