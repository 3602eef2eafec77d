//! Tasks of a dependency: of `it`, and of the helper programs.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use loky::ProcessPoolExecutor;

use crate::Event;

/// Returns the sum.
#[loky::task]
pub fn add(a: u64, b: u64) -> u64 {
    a + b
}

/// Returns the square of a number.
#[loky::task]
pub fn square(x: u64) -> u64 {
    x * x
}

/// Returns twice a number.
#[loky::task]
pub fn double(x: u64) -> u64 {
    2 * x
}

/// Returns how many calls of this task ran in this worker, with this one.
#[loky::task]
pub fn count() -> usize {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

/// Panics with a message.
#[loky::task]
pub fn fail(message: String) -> u64 {
    panic!("{message}")
}

/// Exits with a code in the middle of the call.
#[loky::task]
pub fn exit(code: i32) {
    std::process::exit(code)
}

/// Sets an event when it begins, blocks until it may go on, and returns the pid of its worker.
#[loky::task]
pub fn hold(began: Event, gate: Event) -> u32 {
    began.set();
    gate.wait();
    std::process::id()
}

/// The worker's number.
#[loky::task]
pub fn pid() -> u32 {
    std::process::id()
}

/// The worker's `argv`.
#[loky::task]
pub fn arguments() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// A variable of the worker's environment.
#[loky::task]
pub fn variable(name: String) -> Option<OsString> {
    std::env::var_os(name)
}

/// The folder that the worker is in.
#[loky::task]
pub fn folder() -> PathBuf {
    std::env::current_dir().expect("a folder")
}

/// Everything that is on the worker's stdin.
#[loky::task]
pub fn read_stdin() -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).expect("a valid stdin");
    bytes
}

/// Prints, without ending the lines.
#[loky::task]
pub fn print(out: String, err: String) {
    // Not by `print!`, which would be a fault of the harness in the eyes of the lints.
    let _ = std::io::stdout().write_all(out.as_bytes());
    let _ = std::io::stderr().write_all(err.as_bytes());
}

/// Ends the worker in the middle of the call, with something on its stderr.
#[loky::task]
pub fn die(last_words: String) {
    let _ = std::io::stderr().write_all(last_words.as_bytes());
    std::process::exit(3);
}

/// Runs a program with this worker's stdin as its own: its exit code, and what it printed.
#[loky::task]
pub fn run_program(program: PathBuf, args: Vec<String>) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    let output = command.args(args).stdin(Stdio::inherit()).output().expect("a program");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The worker's descriptors, with what they refer to.
#[loky::task]
pub fn descriptors() -> Vec<(u32, String)> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("/proc");
    let numbers: Vec<_> = entries.map(|entry| entry.expect("/proc").file_name()).collect();
    let described = numbers.into_iter().filter_map(|number| {
        // The one that read the folder is gone by now.
        let target = std::fs::read_link(format!("/proc/self/fd/{}", number.display())).ok()?;
        Some((number.to_str()?.parse().ok()?, target.display().to_string()))
    });
    described.collect()
}

/// Blocks until it may go on.
#[loky::task]
pub fn wait(gate: Event) {
    gate.wait();
}

/// Says so on stdout, then never ends.
#[loky::task]
pub fn block() {
    writeln!(std::io::stdout(), "blocked").expect("a reader");
    loop {
        thread::park();
    }
}

/// As [`block`], with children: one in this process group, one in its own, one in a session of its own.
#[loky::task]
pub fn block_with_children() {
    let sleep = |program: &str, args: &[&str], group| {
        let mut command = Command::new(program);
        if group {
            command.process_group(0);
        }
        command.args(args).spawn().expect("a program")
    };
    let _children: [Child; 3] = [
        sleep("sleep", &["1000"], false),
        sleep("sleep", &["1000"], true),
        sleep("setsid", &["sleep", "1000"], false),
    ];
    block();
}

/// Has as many workers below one another as it says; how many there were.
#[loky::task]
pub fn nested(levels: u32) -> u32 {
    if levels == 0 {
        return 0;
    }
    let executor = ProcessPoolExecutor::builder().max_workers(1).build().expect("a pool");
    1 + executor.submit(nested, levels - 1).result().expect("a result")
}

/// As [`block_with_children`], a number of levels of workers below this one, with an idle timeout.
#[loky::task]
pub fn block_below(levels: u32, timeout: Option<Duration>) {
    if levels == 0 {
        return block_with_children();
    }
    let builder = ProcessPoolExecutor::builder().max_workers(1).idle_timeout(timeout);
    let executor = builder.build().expect("a pool");
    executor.submit(block_below, (levels - 1, timeout)).result().expect("never");
}
