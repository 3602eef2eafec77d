//! The end of `loky::main!`: accepted calls finish, whatever holds the executor. After a panic they are killed. Nothing is left.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};
use std::time::{Duration, Instant};

use loky_tests::marked::Marked;
use loky_tests::scratch::Scratch;
use loky_tests::time::LONG;
use loky_tests::{isolated, program, until};

/// How long the remains of a program may live.
const LIMIT: Duration = Duration::from_secs(2);

const END: &str = "the end of main\n";

/// The program `ends` in one of its ways, or another of its kind, with a folder of its own.
struct Ending {
    child: Child,
    stdout: BufReader<ChildStdout>,
    marked: Marked,
    folder: Scratch,
}

/// The end of the program.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    /// The files that its calls have left, in order.
    files: Vec<String>,
}

impl Ending {
    fn start(name: &str, way: &str) -> Self {
        let (marked, folder) = (Marked::new(name), Scratch::new());
        let (variable, value) = marked.variable();
        let mut command = program(name);
        command.arg(way).arg(folder.path()).env(variable, value);
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, marked, folder }
    }

    /// Waits until its `main` is through.
    #[track_caller]
    fn expect_end_of_main(&mut self) {
        let mut text = String::new();
        while !text.ends_with(END) {
            assert_ne!(self.stdout.read_line(&mut text).unwrap(), 0, "{text}");
        }
    }

    /// Lets its calls go on.
    fn go(&self) {
        fs::write(self.folder.path().join("go"), "").unwrap();
    }

    /// Its end, after which nothing of it is left.
    #[track_caller]
    fn finish(mut self) -> Ended {
        let [mut stdout, mut stderr] = [String::new(), String::new()];
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code();
        self.marked.assert_gone_within(LIMIT);
        let names = fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<_> = names.filter(|name| name != "go").collect();
        files.sort();
        Ended { code, stdout, stderr, files }
    }
}

/// A way in which `main` comes to its end before its eight calls do: all of them are finished.
#[track_caller]
fn check_finishes(way: &str, code: i32, stderr: &str) {
    let mut ending = Ending::start("ends", way);
    ending.expect_end_of_main();
    assert!(ending.child.try_wait().unwrap().is_none(), "it waits");
    ending.go();
    let ended = ending.finish();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{}", ended.stderr);
    assert_eq!(ended.stderr, stderr);
    assert_eq!(ended.files, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

/// Python loky's `test_interpreter_shutdown`.
#[test]
fn end_of_main_finishes_accepted_calls() {
    isolated(|| check_finishes("return", 0, ""));
}

#[test]
fn error_of_main_finishes_accepted_calls() {
    isolated(|| check_finishes("error", 1, "Error: \"an error of the program\"\n"));
}

#[test]
fn executor_in_static_finishes_accepted_calls() {
    isolated(|| check_finishes("static", 0, ""));
}

#[test]
fn replaced_executor_finishes_accepted_calls() {
    isolated(|| check_finishes("replaced", 0, ""));
}

/// When the observer goes, on the pool's own thread, the last handle goes with it.
#[test]
fn executor_held_by_its_observer_ends() {
    isolated(|| check_finishes("observed", 0, ""));
}

#[test]
fn executor_held_by_its_thread_ends() {
    isolated(|| check_finishes("kept", 0, ""));
}

#[test]
fn nested_calls_without_waiting_are_finished() {
    isolated(|| check_finishes("below", 0, ""));
}

/// Longer than a worker may take to leave when it has nothing to do.
#[test]
fn nested_calls_may_take_long() {
    isolated(|| {
        let mut ending = Ending::start("ends", "below");
        ending.expect_end_of_main();
        let start = Instant::now();
        until("time has passed", LONG, || {
            let is_there = ending.child.try_wait().unwrap().is_none();
            assert!(is_there, "after {:?} it is gone", start.elapsed());
            start.elapsed() > Duration::from_secs(7)
        });
        ending.go();
        assert_eq!(ending.finish().files.len(), 8);
    });
}

/// As Python refuses it: or a program that goes on submitting would never end.
#[test]
fn submit_in_callback_after_end_is_error() {
    isolated(|| check_finishes("callback", 0, ""));
}

/// As they do in a program without executors.
#[test]
fn threads_that_use_executor_do_not_keep_program() {
    isolated(|| {
        let mut ending = Ending::start("ends", "threads");
        ending.expect_end_of_main();
        let start = Instant::now();
        let ended = ending.finish();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        assert!(start.elapsed() < Duration::from_secs(5), "after {:?}", start.elapsed());
    });
}

#[track_caller]
fn check_apple(way: &str) {
    let mut ending = Ending::start("ends", way);
    ending.expect_end_of_main();
    ending.go();
    let Ended { code, stdout, stderr, .. } = ending.finish();
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "apple\n", ""));
}

/// Python loky's `test_hang_issue39205`.
#[test]
fn end_of_main_after_no_wait_shutdown_finishes_calls() {
    isolated(|| ["no wait", "own no wait"].into_iter().for_each(check_apple));
}

/// A way to end at which calls that never end are not waited for.
#[track_caller]
fn check_kills(name: &str, way: &str, code: i32, stderr: &str) {
    let start = Instant::now();
    let ended = Ending::start(name, way).finish();
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert!(ended.stderr.contains(stderr), "{}", ended.stderr);
    assert_eq!(ended.stderr.is_empty(), stderr.is_empty(), "{}", ended.stderr);
    assert_eq!(ended.stdout.matches("blocked\n").count(), 2, "{}", ended.stdout);
    assert!(start.elapsed() < Duration::from_secs(60), "it waited for what never ends");
}

#[test]
fn panic_of_main_kills_accepted_calls() {
    isolated(|| check_kills("ends", "panic", 101, "the program ends in a panic"));
}

/// All are killed at once, since the end of one may wait for another.
#[test]
fn panic_of_main_kills_executors_that_wait_for_each_other() {
    isolated(|| {
        let start = Instant::now();
        let ended = Ending::start("ends", "tangled").finish();
        assert_eq!(ended.code, Some(101), "{}", ended.stderr);
        assert!(start.elapsed() < Duration::from_secs(60), "it waited for what never ends");
    });
}

#[test]
fn exit_in_main_waits_for_no_call() {
    isolated(|| check_kills("ends", "exit", 5, ""));
}

#[test]
fn main_with_init_by_hand_waits_for_no_call() {
    isolated(|| check_kills("ends_by_hand", "", 0, ""));
}
