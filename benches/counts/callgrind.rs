//! Counting: the subject is run under callgrind with some number of calls and with twice as many, and the difference is what
//! those calls took. So the start and the end of processes are not in it.
//!
//! Everything is on one CPU, so that caller and worker take turns as they do where the answer is waited for. valgrind runs one
//! thread of a process at a time anyway. Who is woken does not go before who wakes, which is what the policy `SCHED_BATCH` is for
//! (`man 7 sched`): otherwise that goes by what else the machine does, and whether the caller finds an answer or has to sleep
//! with it. What still varies is how often the pool's own thread wakes up meanwhile, which only ever adds: so the least of some
//! runs counts.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use loky_benches::{Placement, Result};

use crate::subject::Subject;

/// How many calls the smaller run makes. The larger makes twice as many.
const N_CALLS: u64 = 10_000;

/// Of how many runs the least counts.
const N_RUNS: usize = 5;

/// How long one run may take: ten times and more what it does.
const DEADLINE: Duration = Duration::from_secs(120);

/// What chrt ends with if there is no program of this name.
const NO_PROGRAM: i32 = 127;

/// The instructions of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) caller: u64,
    pub(crate) worker: u64,
}

/// Counts the instructions that one call takes.
pub(crate) fn count(subject: Subject) -> Result<Counts> {
    let _place = Placement::SameCore.enter()?;
    let (few, many) = (least(subject, N_CALLS)?, least(subject, 2 * N_CALLS)?);
    let a_call = |few: u64, many: u64| many.saturating_sub(few) / N_CALLS;
    Ok(Counts { caller: a_call(few.caller, many.caller), worker: a_call(few.worker, many.worker) })
}

/// The least that so many calls took.
fn least(subject: Subject, n_calls: u64) -> Result<Counts> {
    let mut least = Counts { caller: u64::MAX, worker: u64::MAX };
    for _ in 0..N_RUNS {
        let counts = run(subject, n_calls)?;
        least.caller = least.caller.min(counts.caller);
        least.worker = least.worker.min(counts.worker);
    }
    Ok(least)
}

/// One run: the instructions of all its calls, and of what is around them.
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
        io::ErrorKind::NotFound => "there is no `chrt`: install util-linux".to_owned(),
        _ => format!("`chrt` cannot be started: {error}"),
    })?;
    // chrt becomes valgrind, and that the program: so the number stays.
    let caller = child.id();
    let status = wait(&mut child)?;
    if status.code() == Some(NO_PROGRAM) {
        return Err("there is no `valgrind`: install it".into());
    }
    if !status.success() {
        let log = fs::read_to_string(folder.0.join(format!("log.{caller}"))).unwrap_or_default();
        return Err(format!("the subject under valgrind: {status}\n{log}").into());
    }
    read(&folder.0, caller, subject.counts_all_threads())
}

/// Waits for its end, and makes one if it takes too long. What it started ends with it.
fn wait(child: &mut Child) -> Result<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > DEADLINE {
            child.kill()?;
            child.wait()?;
            return Err(format!("the subject under valgrind was not done in {DEADLINE:?}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Adds up what callgrind wrote: a file `out.PID-THREAD` for each thread.
fn read(folder: &Path, caller: u32, counts_all_threads: bool) -> Result<Counts> {
    let mut counts = Counts { caller: 0, worker: 0 };
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        let Some((pid, thread)) = name.strip_prefix("out.").and_then(|it| it.split_once('-'))
        else {
            continue;
        };
        let instructions = total(&fs::read_to_string(folder.join(&name))?)
            .ok_or_else(|| format!("{name}: callgrind has not written a total"))?;
        if pid.parse::<u32>()? != caller {
            counts.worker += instructions;
        } else if counts_all_threads || thread.parse::<u32>()? == 1 {
            counts.caller += instructions;
        }
    }
    if counts.caller == 0 || counts.worker == 0 {
        return Err("callgrind has written nothing of one of the two processes".into());
    }
    Ok(counts)
}

/// The number of instructions that a file of callgrind is about.
fn total(text: &str) -> Option<u64> {
    let is_total = |line: &&str| line.starts_with("summary:") || line.starts_with("totals:");
    text.lines().find(is_total)?.split_whitespace().nth(1)?.parse().ok()
}

/// A folder for the files of one run, which goes with it.
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
    fn threads_and_processes_are_told_apart() {
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
        assert!(read(&folder.0, 8, true).is_err(), "nothing of the caller");
    }
}
