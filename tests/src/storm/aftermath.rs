//! The end of a storm: the fate of each call, which must be true.

use std::fs;
use std::sync::mpsc::Receiver;

use loky::{Error, Execution, ProcessPoolExecutor, Shutdown};

use crate::Record;

/// How much memory may come and go without a leak. A lost call takes hundreds of bytes, and there are hundreds of thousands.
const SLACK_BYTES: usize = 32 << 20;

/// How much the storm itself remembers of each call, with what its vectors hold in reserve.
const BYTES_PER_CALL: usize = 16;

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The thread dropped its future, or has not asked.
    Unknown,
    Returned,
    Panicked,
    Cancelled,
    /// Its worker died while it ran.
    Died,
    /// Its worker died, and so did others, before it began.
    DiedBeforeItBegan,
}

impl Fate {
    fn of(error: &Error) -> Self {
        let is_started = error.execution() != Execution::NotStarted;
        if error.is_cancelled() {
            assert!(!is_started, "{error:?}");
            return Self::Cancelled;
        }
        if error.is_panicked() {
            assert!(is_started, "{error:?}");
            return Self::Panicked;
        }
        assert!(error.is_terminated_worker(), "{error:?}");
        let exit = error.worker_exit().expect("a death").to_string();
        assert!(["SIGKILL(-9)", "EXIT(1)"].contains(&exit.as_str()), "{error:?}");
        if is_started {
            return Self::Died;
        }
        // The pool gives up a call after several deaths.
        assert!(error.to_string().starts_with("8 workers died before"), "{error:?}");
        Self::DiedBeforeItBegan
    }

    /// The least and the largest number of runs.
    fn runs(self) -> [u8; 2] {
        match self {
            Self::Returned | Self::Panicked => [1, 1],
            // A call that was killed may have begun without coming to its note.
            Self::Died | Self::Unknown => [0, 1],
            Self::Cancelled | Self::DiedBeforeItBegan => [0, 0],
        }
    }
}

/// The calls of one thread.
pub(super) struct ActorLog {
    thread: u64,
    fates: Vec<Fate>,
    /// The calls that a callback was added to, or whose result was told by a map.
    pub(super) callbacks: Vec<u64>,
    pub(super) kills: usize,
    memory_bytes: Option<usize>,
}

impl ActorLog {
    pub(super) fn new(thread: usize) -> Self {
        let (fates, callbacks) = (Vec::new(), Vec::new());
        Self { thread: thread as u64, fates, callbacks, kills: 0, memory_bytes: None }
    }

    /// Returns the number of a new call.
    pub(super) fn begin(&mut self) -> u64 {
        self.fates.push(Fate::Unknown);
        self.thread << 32 | (self.fates.len() as u64 - 1)
    }

    pub(super) fn set(&mut self, number: u64, fate: Fate) {
        self.fates[index(number)] = fate;
    }

    /// Notes the outcome of a call, which must agree with what is known of it.
    #[track_caller]
    pub(super) fn end(
        &mut self,
        number: u64,
        (bytes, times): (usize, usize),
        result: loky::Result<(u64, String)>,
    ) {
        let fate = match result {
            Ok((answer, text)) => {
                assert_eq!((answer, text.len()), (number, bytes * times), "another call's answer");
                Fate::Returned
            }
            Err(error) => Fate::of(&error),
        };
        let known = self.fates[index(number)];
        let is_new = known == Fate::Unknown && fate != Fate::Cancelled;
        assert!(is_new || known == fate, "call {number:x}: {known:?}, then {fate:?}");
        self.set(number, fate);
    }

    /// Measures the memory of this process, the first time.
    pub(super) fn measure_memory(&mut self) {
        self.memory_bytes.get_or_insert_with(resident_bytes);
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number & 0xffff_ffff).expect("32 bits")
}

/// How much memory this process has.
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    let kib = line.split_ascii_whitespace().nth(1).expect("a number");
    kib.parse::<usize>().expect("a number") << 10
}

/// How many calls had which fate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// All calls.
    pub calls: usize,
    /// Calls that returned.
    pub returned: usize,
    /// Calls that panicked.
    pub panicked: usize,
    /// Calls that were cancelled.
    pub cancelled: usize,
    /// Calls that died with their worker.
    pub died: usize,
    /// Calls that were given up after the deaths of several workers, and never began.
    pub never_began: usize,
    /// Workers that the storm killed.
    pub kills: usize,
}

/// The numbers that callbacks tell: those of the storm, and those of callbacks that run after it.
pub(super) struct Told {
    pub(super) numbers: Vec<u64>,
    pub(super) later: Receiver<Option<u64>>,
}

/// A storm that is over, on an executor that lives.
#[must_use = "the calls are checked by `check_end`"]
pub struct Aftermath {
    logs: Vec<ActorLog>,
    told: Told,
    kills: usize,
    record: Record,
}

impl std::fmt::Debug for Aftermath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aftermath").field("kills", &self.kills).finish_non_exhaustive()
    }
}

impl Aftermath {
    pub(super) fn new(logs: Vec<ActorLog>, told: Told, kills: usize, record: Record) -> Self {
        let kills = kills + logs.iter().map(|log| log.kills).sum::<usize>();
        Self { logs, told, kills, record }
    }

    /// Shuts the executor down, and insists that each call resolved once, truly, and never ran twice.
    #[track_caller]
    pub fn check_end(self, executor: &ProcessPoolExecutor) -> Totals {
        // A call that is left in a queue cannot run after that.
        executor.shutdown(Shutdown::Wait);
        self.check_memory();
        let totals = self.check_fates();
        self.check_callbacks();
        let stats = executor.stats();
        assert_eq!((stats.queued, stats.given), (0, 0), "{stats:?}");
        assert_eq!(stats.submitted, stats.succeeded + stats.failed + stats.cancelled, "{stats:?}");
        totals
    }

    /// Insists that the memory does not grow with the number of calls.
    fn check_memory(&self) {
        let Some(before) = self.logs.iter().find_map(|log| log.memory_bytes) else { return };
        let n_calls: usize = self.logs.iter().map(|log| log.fates.len()).sum();
        let (now, limit) = (resident_bytes(), before + SLACK_BYTES + n_calls * BYTES_PER_CALL);
        assert!(now < limit, "{now} of {limit} bytes");
    }

    fn check_fates(&self) -> Totals {
        let mut runs: Vec<Vec<u8>> = self.logs.iter().map(|log| vec![0; log.fates.len()]).collect();
        for number in self.record.numbers() {
            runs[thread(number)][index(number)] += 1;
        }
        let mut totals = Totals { kills: self.kills, ..Totals::default() };
        let may_die = self.logs.iter().flat_map(|log| &log.fates).any(|fate| *fate == Fate::Died);
        for (log, runs) in self.logs.iter().zip(runs) {
            for (call, (fate, runs)) in log.fates.iter().zip(runs).enumerate() {
                let [mut least, most] = fate.runs();
                if *fate == Fate::Unknown && self.kills == 0 && !may_die {
                    least = 1;
                }
                let is_true = (least..=most).contains(&runs);
                assert!(is_true, "call {call} of thread {}: {fate:?}, {runs} runs", log.thread);
                totals.add(*fate);
            }
        }
        totals
    }

    /// Insists that each callback was called once.
    fn check_callbacks(&self) {
        let mut added: Vec<u64> =
            self.logs.iter().flat_map(|log| &log.callbacks).copied().collect();
        let later = self.told.later.try_iter().flatten();
        let mut told: Vec<u64> = self.told.numbers.iter().copied().chain(later).collect();
        added.sort_unstable();
        told.sort_unstable();
        assert!(added == told, "{} callbacks, of which {} were called", added.len(), told.len());
    }
}

impl Totals {
    fn add(&mut self, fate: Fate) {
        self.calls += 1;
        match fate {
            Fate::Unknown => {}
            Fate::Returned => self.returned += 1,
            Fate::Panicked => self.panicked += 1,
            Fate::Cancelled => self.cancelled += 1,
            Fate::Died => self.died += 1,
            Fate::DiedBeforeItBegan => self.never_began += 1,
        }
    }
}

fn thread(number: u64) -> usize {
    usize::try_from(number >> 32).expect("32 bits")
}
