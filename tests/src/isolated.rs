//! Runs one test in its own process.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Census;

/// Names the one test that a child is to run.
const CHILD_ENV: &str = "LOKY_TESTS_CHILD";

/// How long one test may take; past that it hangs. Generous, for a machine with other work.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs `body` in a process of its own, which must be as empty afterwards as it was before, and must print nothing on its
/// stderr. To be called by a `#[test]` function as its one statement.
#[track_caller]
pub fn isolated<F: FnOnce()>(body: F) {
    run_isolated(body, true);
}

/// As [`isolated`], for tests in which the program itself has something to print: panics of its own code.
#[track_caller]
pub fn isolated_with_stderr<F: FnOnce()>(body: F) {
    run_isolated(body, false);
}

#[track_caller]
fn run_isolated<F: FnOnce()>(body: F, is_silent: bool) {
    let name = test_name::<F>();
    if std::env::var(CHILD_ENV).is_ok_and(|child| child == name) {
        let before = Census::take();
        body();
        before.assert_unchanged();
        return;
    }
    let outcome = run_child(&name);
    let problem = match outcome {
        Some((true, _, stderr)) if is_silent && !stderr.is_empty() => {
            format!("it printed:\n{stderr}")
        }
        Some((true, stdout, _)) if !stdout.contains("1 passed") => {
            format!("the child ran no test:\n{stdout}")
        }
        Some((true, ..)) => return,
        Some((false, stdout, stderr)) => format!("it failed:\n{stdout}\n{stderr}"),
        None => format!("it hung for {DEADLINE:?}"),
    };
    panic!("test `{name}`: {problem}");
}

/// The name of the test in whose body the closure `F` stands, as libtest knows it.
fn test_name<F>() -> String {
    let path = std::any::type_name::<F>();
    let path = path.strip_suffix("::{{closure}}").expect("a closure in a test");
    path.split_once("::").expect("a path in a crate").1.to_owned()
}

/// Success, stdout and stderr of the child; `None` if it had to be killed.
fn run_child(name: &str) -> Option<(bool, String, String)> {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_ENV, name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("starting this binary again");
    let stdout = read_to_end(child.stdout.take().expect("piped"));
    let stderr = read_to_end(child.stderr.take().expect("piped"));
    let deadline = Instant::now() + DEADLINE;
    // The child's descendants hold the pipes too: the end of both is the end of everything that the test started.
    let texts = [stdout, stderr]
        .map(|text| text.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok());
    if texts.iter().any(Option::is_none) {
        kill_group(child.id());
    }
    let status = child.wait().expect("our child");
    let [stdout, stderr] = texts;
    Some((status.success(), stdout?, stderr?))
}

/// Reads in a thread of its own, which is left behind if the pipe stays open.
fn read_to_end(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = pipe.read_to_end(&mut text);
        let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
    });
    receiver
}

/// Kills a test that hangs, and what it started that has not moved away.
fn kill_group(pid: u32) {
    #[expect(unsafe_code, reason = "std kills single processes only")]
    // SAFETY: plain numbers; the leader of the group is our child, not waited for yet.
    unsafe {
        libc::kill(-pid.cast_signed(), libc::SIGKILL)
    };
}

/// Waits until `condition` holds. For what happens in another process and announces itself in no way one could wait for.
///
/// # Panics
/// If it does not within `limit`.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(1));
    }
}
