//! Counting: the subject runs under callgrind with some number of calls and with twice as many. The difference is the cost of
//! those calls, without the start and the end of processes.
//!
//! Everything runs on one CPU, so that caller and worker alternate; valgrind runs one thread of a process at a time anyway. With the
//! policy `SCHED_BATCH` (sched(7)) a woken thread does not preempt the thread that woke it. Otherwise the load of the machine would
//! decide whether the caller finds an answer or has to sleep. The number of wake-ups of the pool thread still varies. They only add
//! instructions, so the least of several runs counts.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use loky_benches::{Placement, Result};

use crate::subject::Subject;

/// The number of calls of the smaller run. The larger one makes twice as many.
const N_CALLS: u64 = 10_000;

/// The number of runs, of which the least counts.
const N_RUNS: usize = 5;

/// The time limit of one run: more than ten times the usual duration.
const DEADLINE: Duration = Duration::from_secs(120);

/// The exit code of chrt if the program does not exist.
const NO_PROGRAM: i32 = 127;

/// The instructions of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) caller: u64,
    pub(crate) worker: u64,
}

/// Counts the instructions of one call.
pub(crate) fn count(subject: Subject) -> Result<Counts> {
    let _place = Placement::SameCore.enter()?;
    let (few, many) = (least(subject, N_CALLS)?, least(subject, 2 * N_CALLS)?);
    let per_call = |few: u64, many: u64| many.saturating_sub(few) / N_CALLS;
    Ok(Counts {
        caller: per_call(few.caller, many.caller),
        worker: per_call(few.worker, many.worker),
    })
}

/// Returns the least counts of several runs with `n_calls` calls.
fn least(subject: Subject, n_calls: u64) -> Result<Counts> {
    let mut least = Counts { caller: u64::MAX, worker: u64::MAX };
    for _ in 0..N_RUNS {
        let counts = run(subject, n_calls)?;
        least.caller = least.caller.min(counts.caller);
        least.worker = least.worker.min(counts.worker);
    }
    Ok(least)
}

/// Runs the subject once, and counts all instructions of its processes.
fn run(subject: Subject, n_calls: u64) -> Result<Counts> {
    let folder = Folder::new()?;
    let out_files = format!("--callgrind-out-file={}", folder.0.join("out.%p").display());
    let log_files = format!("--log-file={}", folder.0.join("log.%p").display());
    let mut command = Command::new("chrt");
    command.args(["--batch", "0", "valgrind"]);
    command.args(["--tool=callgrind", "--trace-children=yes", "--separate-threads=yes"]);
    command.args([&out_files, &log_files]).arg(env::current_exe()?);
    command.args(["--run", subject.name(), &n_calls.to_string()]);
    let mut child = command.stdin(Stdio::null()).spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "`chrt` not found: install util-linux".to_owned(),
        _ => format!("`chrt` cannot be started: {error}"),
    })?;
    // chrt execs valgrind, which execs the program, so the pid stays.
    let caller = child.id();
    let status = wait(&mut child)?;
    if status.code() == Some(NO_PROGRAM) {
        return Err("`valgrind` not found: install it".into());
    }
    if !status.success() {
        let log = fs::read_to_string(folder.0.join(format!("log.{caller}"))).unwrap_or_default();
        return Err(format!("the subject under valgrind: {status}\n{log}").into());
    }
    read(&folder.0, caller, subject.counts_all_threads())
}

/// Waits for the exit of the child, and kills it at the deadline. Its worker exits with it.
fn wait(child: &mut Child) -> Result<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > DEADLINE {
            child.kill()?;
            child.wait()?;
            return Err(
                format!("the subject under valgrind did not finish within {DEADLINE:?}").into()
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Adds up the files of callgrind: `out.PID-THREAD` for each thread.
fn read(folder: &Path, caller: u32, counts_all_threads: bool) -> Result<Counts> {
    let mut counts = Counts { caller: 0, worker: 0 };
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        let Some((pid, thread)) = name.strip_prefix("out.").and_then(|it| it.split_once('-'))
        else {
            continue;
        };
        let instructions = total(&fs::read_to_string(folder.join(&name))?)
            .ok_or_else(|| format!("{name}: no total from callgrind"))?;
        if pid.parse::<u32>()? != caller {
            counts.worker += instructions;
        } else if counts_all_threads || thread.parse::<u32>()? == 1 {
            counts.caller += instructions;
        }
    }
    if counts.caller == 0 || counts.worker == 0 {
        return Err("no output of callgrind for one of the two processes".into());
    }
    Ok(counts)
}

/// Returns the total number of instructions in a file of callgrind.
fn total(text: &str) -> Option<u64> {
    let is_total = |line: &&str| line.starts_with("summary:") || line.starts_with("totals:");
    text.lines().find(is_total)?.split_whitespace().nth(1)?.parse().ok()
}

/// A folder for the files of one run, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let folder = env::temp_dir().join(format!("loky-counts-{}", process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_separated_by_process_and_thread() {
        let folder = Folder::new().expect("a folder");
        for (name, text) in [
            ("out.7", "events: Ir\n"),
            ("out.7-01", "events: Ir\nsummary: 100\n\ntotals: 100\n"),
            ("out.7-02", "totals: 20\n"),
            ("out.9-01", "totals: 3\n"),
            ("log.7", "totals: 1000\n"),
        ] {
            fs::write(folder.0.join(name), text).expect("a file");
        }
        let counts = |counts_all| read(&folder.0, 7, counts_all).expect("two processes");
        assert_eq!(counts(true), Counts { caller: 120, worker: 3 });
        assert_eq!(counts(false), Counts { caller: 100, worker: 3 });
        assert!(read(&folder.0, 8, true).is_err(), "no file of the caller");
    }
}
