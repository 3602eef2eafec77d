//! Storms: threads act on an executor at random while workers die, leave and change their number, and no call is lost.
//!
//! A [`Storm`] is a table of [`Action`]s with weights, a number of threads, a [`Span`] and a [`Disturbance`]. [`Storm::run`] runs
//! it on an executor. [`Aftermath::check_end`] shuts the executor down, and insists for each call that
//!
//! * it resolves exactly once: each callback is called once, and each future that is asked returns an outcome;
//! * it never runs twice, and a cancelled call never runs: each call notes its number before anything else;
//! * its error tells the truth: a call that is said not to have started has not noted its number.
//!
//! [`isolated`](crate::isolated) takes a census of processes, descriptors, threads and mappings around the whole test. Each run
//! prints its seed, which `LOKY_TESTS_SEED` replaces. (The schedule of the machine is not part of the seed.)

mod actor;
mod aftermath;

use std::io::Write;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use loky::ProcessPoolExecutor;

use self::actor::Actor;
use self::aftermath::Told;
pub use self::aftermath::{Aftermath, Totals};
use crate::ledger::agree;
use crate::signal::kill;
use crate::{Random, Record};

/// An act of a thread. A thread keeps the futures of its calls, up to [`Storm::kept`], until an act settles them.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Submits a call that returns at once.
    Quick,
    /// Submits a call that returns at once, and cancels it.
    QuickAndCancel,
    /// Submits several calls that return at once.
    Burst(usize),
    /// Submits a call that keeps its worker busy.
    Spin(Duration),
    /// Submits a call that blocks, up to 20 quick calls, and then opens the gate.
    Block,
    /// Submits a call with an argument up to this length, which is its result too, and waits for it.
    Echo(usize),
    /// Submits a call whose result has this length.
    LongResult(usize),
    /// Submits a call that panics.
    Panic,
    /// Submits a call that ends its worker.
    Exit,
    /// Runs a map of this number of quick calls.
    Map(usize),
    /// Waits for a call.
    Wait,
    /// Waits for a call for up to 2 ms.
    GiveUp,
    /// Cancels one of this number of latest calls.
    Cancel(usize),
    /// Drops a future.
    Drop,
    /// Waits for several calls by [`loky::wait`].
    WaitForSeveral,
    /// Takes the first of several calls by [`loky::as_completed`].
    CompleteSeveral,
    /// Polls a future once.
    Poll,
    /// Adds a callback to a call.
    AddCallback,
    /// Waits for all calls, in the order of submission.
    Settle,
    /// Rests for up to a time.
    Rest(Duration),
    /// Waits for all calls, and then until all workers have left: at the latest when the other threads are done.
    Sleep,
    /// Changes the number of workers to between one and this number.
    Resize(usize),
    /// Kills a worker.
    Kill,
}

/// How long each thread acts.
#[derive(Clone, Copy, Debug)]
pub enum Span {
    /// For a number of acts.
    Acts(usize),
    /// For a time.
    Time(Duration),
}

/// The work of one more thread.
#[derive(Clone, Copy, Debug)]
pub enum Disturbance {
    /// Nothing.
    None,
    /// Kills a random worker each time that this number of calls has resolved. Each call has a callback then.
    KillPerOutcomes(usize),
    /// Changes the number of workers to between one and `most`, after a pause of up to `pause`.
    Resize {
        /// The largest number of workers.
        most: usize,
        /// The longest pause.
        pause: Duration,
    },
    /// Asks for the statistics, which must agree with each other.
    AskStats,
}

/// A storm.
#[derive(Clone, Debug)]
pub struct Storm<'a> {
    /// The seed of all that is random.
    pub seed: u64,
    /// The number of threads that act.
    pub threads: usize,
    /// How long each of them acts.
    pub span: Span,
    /// The acts, each with its weight.
    pub actions: &'a [(usize, Action)],
    /// How many futures a thread keeps. It waits for one of them when there are more.
    pub kept: usize,
    /// The work of one more thread.
    pub disturbance: Disturbance,
}

impl Storm<'_> {
    /// Runs the storm. The threads have settled all their calls when this returns.
    #[track_caller]
    pub fn run(&self, executor: &ProcessPoolExecutor) -> Aftermath {
        let storm = Self { seed: seed(self.seed), ..self.clone() };
        let (record, (sender, told)) = (Record::new(), mpsc::channel());
        let start = Instant::now();
        let act = |thread| {
            let mut actor = Actor::new(&storm, thread, executor, &record, &sender);
            actor.act(start);
            actor.finish()
        };
        thread::scope(|scope| {
            let (act, storm) = (&act, &storm);
            let disturber = scope.spawn(move || storm.disturb(told, executor));
            let actors =
                Vec::from_iter((0..storm.threads).map(|thread| scope.spawn(move || act(thread))));
            let logs = Vec::from_iter(actors.into_iter().map(|actor| actor.join()));
            // Before a failed actor ends this thread, which the disturber would outlive.
            sender.send(None).expect("the disturber listens");
            let (told, kills) = disturber.join().unwrap();
            let logs = logs.into_iter().map(Result::unwrap).collect();
            Aftermath::new(logs, told, kills, record.clone())
        })
    }

    /// Disturbs until the storm is over. Returns the numbers that callbacks tell, and how many workers it has killed.
    fn disturb(
        &self,
        told: Receiver<Option<u64>>,
        executor: &ProcessPoolExecutor,
    ) -> (Told, usize) {
        let mut random = Random::new(self.seed ^ 0x5707);
        let (mut numbers, mut kills) = (Vec::new(), 0);
        loop {
            let pause = match self.disturbance {
                Disturbance::Resize { pause, .. } => up_to(&mut random, pause),
                Disturbance::AskStats => Duration::from_micros(20),
                Disturbance::None | Disturbance::KillPerOutcomes(_) => Duration::MAX,
            };
            match told.recv_timeout(pause) {
                Ok(Some(number)) => numbers.push(number),
                Ok(None) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => match self.disturbance {
                    Disturbance::Resize { most, .. } => {
                        executor.resize(1 + random.below(most)).unwrap();
                    }
                    _ => agree(&executor.stats()),
                },
            }
            if let Disturbance::KillPerOutcomes(outcomes) = self.disturbance
                && numbers.len().is_multiple_of(outcomes)
            {
                kills += usize::from(kill_one(executor, &mut random));
            }
        }
        (Told { numbers, later: told }, kills)
    }
}

/// Returns the seed of this run, and prints it.
fn seed(default: u64) -> u64 {
    let given = std::env::var("LOKY_TESTS_SEED").ok();
    let seed = given.map_or(default, |seed| seed.parse().expect("a number in LOKY_TESTS_SEED"));
    writeln!(std::io::stdout(), "storm of seed {seed}").expect("a stdout");
    seed
}

/// Kills a random worker. Returns whether there was one.
fn kill_one(executor: &ProcessPoolExecutor, random: &mut Random) -> bool {
    let pids = executor.worker_pids();
    !pids.is_empty() && kill(pids[random.below(pids.len())], libc::SIGKILL)
}

/// Returns a random time below a limit.
fn up_to(random: &mut Random, limit: Duration) -> Duration {
    let micros = usize::try_from(limit.as_micros()).expect("a short time");
    Duration::from_micros(random.below(micros.max(1)) as u64)
}
