//! Running one test in a process of its own.

use std::io::Read;
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
        .spawn()
        .expect("starting this binary again");
    let (sender, receiver) = mpsc::channel();
    let mut stdout = child.stdout.take().expect("piped");
    let mut stderr = child.stderr.take().expect("piped");
    thread::scope(|scope| {
        scope.spawn(move || {
            // The child's descendants hold the pipes too: the end of both is the end of everything that the test started.
            let mut texts = [Vec::new(), Vec::new()];
            let [out, err] = &mut texts;
            thread::scope(|scope| {
                scope.spawn(|| stdout.read_to_end(out));
                scope.spawn(|| stderr.read_to_end(err));
            });
            let _ = sender.send(texts.map(|text| String::from_utf8_lossy(&text).into_owned()));
        });
        let finished = receiver.recv_timeout(DEADLINE);
        if finished.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().expect("our child");
        let [stdout, stderr] = finished.ok()?;
        Some((status.success(), stdout, stderr))
    })
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
