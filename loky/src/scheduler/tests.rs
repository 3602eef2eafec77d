use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::clock;
use crate::error::ErrorKind;

/// A scheduler with workers and a clock that exist only in the test.
struct Pool {
    scheduler: Scheduler,
    now: Instant,
    last_call: u64,
}

impl Pool {
    fn new(max_workers: usize, policy: CrashPolicy) -> Self {
        Self { scheduler: Scheduler::new(max_workers, policy), now: clock::now(), last_call: 0 }
    }

    /// Workers 1 to `max_workers`, ready.
    fn ready(max_workers: usize, policy: CrashPolicy) -> Self {
        let mut pool = Self::new(max_workers, policy);
        pool.scheduler.prewarm(pool.now);
        for worker in pool.started() {
            pool.scheduler.worker_ready(pool.now, worker);
        }
        pool
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.scheduler.poll_action()).collect()
    }

    fn started(&mut self) -> Vec<WorkerId> {
        let actions = self.actions().into_iter();
        actions
            .map(|action| match action {
                Action::Start { worker, .. } => worker,
                other => panic!("not a start: {other:?}"),
            })
            .collect()
    }

    fn submit(&mut self) -> CallId {
        self.last_call += 1;
        let call = CallId(self.last_call);
        self.scheduler.submit(self.now, call);
        call
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.scheduler.timer(self.now);
    }

    fn exit(&mut self, worker: WorkerId) {
        let exit = WorkerExit { pid: 1, signal: Some(libc::SIGSEGV), ..WorkerExit::default() };
        self.scheduler.worker_exited(self.now, worker, exit);
    }
}

/// What the actions are, in short.
fn shorthand(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Start { worker, index } => format!("start {} as {index}", worker.0),
        Action::Dispatch { worker, call } => format!("{} to {}", call.0, worker.0),
        Action::Resolve { call, verdict } => {
            let verdict = match verdict {
                Verdict::Cancelled => "cancelled".to_owned(),
                Verdict::Terminated { began, .. } => format!("terminated, began {began}"),
                Verdict::Broken { began, .. } => format!("broken, began {began}"),
                Verdict::ShutDown { began } => format!("shut down, began {began}"),
                Verdict::NotSpawned { .. } => "not spawned".to_owned(),
            };
            format!("{} {verdict}", call.0)
        }
        Action::Retire { worker } => format!("retire {}", worker.0),
        Action::Kill { worker } => format!("kill {}", worker.0),
        Action::End => "end".to_owned(),
    };
    actions.iter().map(word).collect()
}

#[track_caller]
fn check(pool: &mut Pool, expected: &[&str]) {
    assert_eq!(shorthand(&pool.actions()), expected);
}

#[test]
fn the_first_call_starts_all_workers_and_runs_on_the_first_that_is_ready() {
    let mut pool = Pool::new(2, CrashPolicy::Heal);
    let call = pool.submit();
    check(&mut pool, &["start 1 as 0", "start 2 as 1"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(2));
    check(&mut pool, &["1 to 2"]);
    pool.scheduler.call_began(WorkerId(2), call).unwrap();
    pool.scheduler.call_finished(pool.now, WorkerId(2), call).unwrap();
    check(&mut pool, &[]);
}

#[test]
fn only_the_call_that_ran_fails_and_the_worker_is_replaced() {
    let mut pool = Pool::ready(1, CrashPolicy::Heal);
    let (running, _waiting) = (pool.submit(), pool.submit());
    check(&mut pool, &["1 to 1"]);
    pool.scheduler.call_began(WorkerId(1), running).unwrap();
    pool.exit(WorkerId(1));
    check(&mut pool, &["1 terminated, began true", "start 2 as 0"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(2));
    check(&mut pool, &["2 to 2"]);
}

#[test]
fn a_call_that_had_not_begun_runs_elsewhere_but_not_for_ever() {
    let mut pool = Pool::ready(1, CrashPolicy::Heal);
    let call = pool.submit();
    for worker in 1..u64::from(limits::MAX_DISPATCHES) {
        check(&mut pool, &[&format!("1 to {worker}")]);
        pool.exit(WorkerId(worker));
        check(&mut pool, &[&format!("start {} as 0", worker + 1)]);
        pool.scheduler.worker_ready(pool.now, WorkerId(worker + 1));
    }
    let last = limits::MAX_DISPATCHES.into();
    check(&mut pool, &[&format!("1 to {last}")]);
    pool.exit(WorkerId(last));
    check(&mut pool, &["1 terminated, began false", &format!("start {} as 0", last + 1)]);
    assert!(!pool.scheduler.cancel(pool.now, call), "it is gone");
}

#[test]
fn break_pool_fails_all_with_one_cause() {
    let mut pool = Pool::ready(2, CrashPolicy::BreakPool);
    let calls = [pool.submit(), pool.submit(), pool.submit()];
    check(&mut pool, &["1 to 2", "2 to 1"]);
    pool.scheduler.call_began(WorkerId(2), calls[0]).unwrap();
    pool.scheduler.call_began(WorkerId(1), calls[1]).unwrap();
    pool.exit(WorkerId(2));
    check(
        &mut pool,
        &["1 terminated, began true", "2 broken, began true", "3 broken, began false", "kill 1"],
    );
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("not broken") };
    assert_eq!(cause.kind(), ErrorKind::BrokenProcessPool);
    pool.exit(WorkerId(1));
    check(&mut pool, &["end"]);
}

#[test]
fn it_gives_up_on_workers_that_die_at_start() {
    let mut pool = Pool::new(1, CrashPolicy::Heal);
    pool.submit();
    for worker in 1..u64::from(limits::MAX_UNUSED_DEATHS) {
        pool.actions();
        pool.exit(WorkerId(worker));
        assert!(!pool.scheduler.is_broken());
    }
    pool.actions();
    pool.exit(WorkerId(limits::MAX_UNUSED_DEATHS.into()));
    check(&mut pool, &["1 broken, began false", "end"]);
}

#[test]
fn workers_that_come_up_but_die_unused_are_replaced_at_a_pace() {
    let mut pool = Pool::ready(1, CrashPolicy::Heal);
    for worker in 1..u64::from(limits::MAX_UNUSED_DEATHS) {
        pool.exit(WorkerId(worker));
        pool.actions();
        pool.scheduler.worker_ready(pool.now, WorkerId(worker + 1));
    }
    pool.exit(WorkerId(limits::MAX_UNUSED_DEATHS.into()));
    check(&mut pool, &[]);
    assert_eq!(pool.scheduler.next_timer(), Some(pool.now + limits::RESPAWN_PACE));
    pool.pass(limits::RESPAWN_PACE);
    check(&mut pool, &[&format!("start {} as 0", limits::MAX_UNUSED_DEATHS + 1)]);
}

#[test]
fn what_cannot_be_started_fails_the_calls_or_the_pool() {
    let error = || Error::new(ErrorKind::Spawn, "no");
    let mut pool = Pool::new(1, CrashPolicy::Heal);
    pool.submit();
    check(&mut pool, &["start 1 as 0"]);
    pool.scheduler.start_failed(pool.now, WorkerId(1), error(), true);
    check(&mut pool, &["1 not spawned"]);
    pool.submit();
    check(&mut pool, &["start 2 as 0"]);
    pool.scheduler.start_failed(pool.now, WorkerId(2), error(), false);
    check(&mut pool, &["2 broken, began false", "end"]);

    // With a worker that lives the pool goes on with what it has, and tries again later.
    let mut pool = Pool::new(2, CrashPolicy::Heal);
    pool.submit();
    pool.actions();
    pool.scheduler.start_failed(pool.now, WorkerId(2), error(), false);
    check(&mut pool, &[]);
    pool.scheduler.worker_ready(pool.now, WorkerId(1));
    check(&mut pool, &["1 to 1"]);
    pool.pass(limits::RESPAWN_PACE);
    check(&mut pool, &["start 3 as 1"]);
}

#[test]
fn a_worker_that_says_nothing_is_given_up() {
    let mut pool = Pool::new(1, CrashPolicy::Heal);
    pool.submit();
    check(&mut pool, &["start 1 as 0"]);
    pool.pass(limits::HANDSHAKE);
    check(&mut pool, &["1 broken, began false", "kill 1"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("not broken") };
    assert!(cause.is_handshake(), "{cause}");
}

#[test]
fn a_worker_that_closes_its_channel_or_breaks_the_protocol_is_killed() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    pool.scheduler.channel_closed(pool.now, WorkerId(2));
    pool.submit();
    check(&mut pool, &["1 to 1"]);
    pool.pass(limits::CLOSED);
    check(&mut pool, &["kill 2"]);
    assert!(pool.scheduler.call_finished(pool.now, WorkerId(1), CallId(1)).is_err(), "not begun");
    assert!(pool.scheduler.call_began(WorkerId(2), CallId(1)).is_err(), "not its call");
    pool.scheduler.worker_misbehaved(pool.now, WorkerId(1), "rubbish");
    check(&mut pool, &["kill 1"]);
    // What it said about its call, or did not say, counts for nothing: the call may have begun, and must not run again.
    pool.exit(WorkerId(1));
    assert_eq!(shorthand(&pool.actions())[0], "1 terminated, began true");
}

#[test]
fn a_stranger_among_good_workers_breaks_nothing() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    pool.exit(WorkerId(2));
    check(&mut pool, &["start 3 as 1"]);
    let error = Error::new(ErrorKind::Handshake, "another program");
    pool.scheduler.handshake_failed(pool.now, WorkerId(3), error.clone());
    check(&mut pool, &["kill 3"]);
    pool.exit(WorkerId(3));
    check(&mut pool, &[]);
    pool.exit(WorkerId(1));
    pool.pass(limits::RESPAWN_PACE);
    check(&mut pool, &["start 4 as 0", "start 5 as 1"]);
    pool.scheduler.handshake_failed(pool.now, WorkerId(4), error);
    check(&mut pool, &["kill 4", "kill 5"]);
    assert!(pool.scheduler.is_broken());
}

#[test]
fn shutdowns_end_the_pool_each_in_its_way() {
    for (how, expected) in [
        (Shutdown::Wait, &[][..]),
        (Shutdown::CancelPending, &["2 cancelled"][..]),
        (Shutdown::Kill, &["1 shut down, began true", "2 shut down, began false", "kill 1"][..]),
    ] {
        let mut pool = Pool::ready(1, CrashPolicy::Heal);
        let calls = [pool.submit(), pool.submit()];
        pool.actions();
        pool.scheduler.call_began(WorkerId(1), calls[0]).unwrap();
        pool.scheduler.shutdown(pool.now, how);
        check(&mut pool, expected);
        assert!(matches!(pool.scheduler.refusal(), Some(Refusal::ShutDown)));
        if how == Shutdown::Wait {
            pool.scheduler.call_finished(pool.now, WorkerId(1), calls[0]).unwrap();
            check(&mut pool, &["2 to 1"]);
            pool.scheduler.shutdown(pool.now, Shutdown::Kill);
            // Its worker has it: whether it has begun is not known.
            check(&mut pool, &["2 shut down, began true", "kill 1"]);
        }
        pool.exit(WorkerId(1));
        assert!(shorthand(&pool.actions()).ends_with(&["end".to_owned()]));
    }
}

#[test]
fn a_worker_that_does_not_leave_is_killed_and_one_that_crashes_on_leaving_hurts_nobody() {
    let mut pool = Pool::ready(2, CrashPolicy::BreakPool);
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    check(&mut pool, &["retire 1", "retire 2"]);
    pool.exit(WorkerId(1));
    pool.pass(limits::LEAVE);
    check(&mut pool, &["kill 2"]);
    pool.exit(WorkerId(2));
    check(&mut pool, &["end"]);
    assert!(!pool.scheduler.is_broken());
}

/// Everything at random, with checks after every step: a small world of workers that start, die, stall and answer.
#[test]
fn simulation_every_call_leaves_exactly_once() {
    for seed in 1..=500 {
        Simulation::new(seed).run();
    }
}

struct Simulation {
    seed: u64,
    random: u64,
    pool: Pool,
    workers: BTreeMap<WorkerId, Option<(CallId, bool)>>,
    starting: BTreeSet<WorkerId>,
    leaving: BTreeSet<WorkerId>,
    open: BTreeSet<CallId>,
    is_over: bool,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let policy =
            if seed.is_multiple_of(5) { CrashPolicy::BreakPool } else { CrashPolicy::Heal };
        let max_workers = usize::try_from(seed % 4 + 1).unwrap();
        Self {
            seed,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            pool: Pool::new(max_workers, policy),
            workers: BTreeMap::new(),
            starting: BTreeSet::new(),
            leaving: BTreeSet::new(),
            open: BTreeSet::new(),
            is_over: false,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    fn any_worker(&mut self) -> Option<WorkerId> {
        let all: Vec<_> = self.workers.keys().copied().collect();
        let count = u64::try_from(all.len()).unwrap();
        (count > 0).then(|| all[usize::try_from(self.below(count)).unwrap()])
    }

    fn perform(&mut self) {
        for action in self.pool.actions() {
            match action {
                Action::Start { worker, .. } => {
                    if self.below(20) == 0 {
                        let error = Error::new(ErrorKind::Spawn, "out of luck");
                        let now = self.pool.now;
                        self.pool.scheduler.start_failed(now, worker, error, true);
                    } else {
                        self.workers.insert(worker, None);
                        self.starting.insert(worker);
                    }
                }
                Action::Dispatch { worker, call } => {
                    assert!(!self.starting.contains(&worker), "seed {}: not ready", self.seed);
                    let given = self.workers.insert(worker, Some((call, false)));
                    assert_eq!(given, Some(None), "seed {}: one call a worker", self.seed);
                }
                Action::Resolve { call, .. } => self.leave(call),
                Action::Retire { worker } => {
                    self.leaving.insert(worker);
                }
                Action::Kill { worker } => self.die(worker),
                Action::End => self.is_over = true,
            }
        }
    }

    fn leave(&mut self, call: CallId) {
        assert!(self.open.remove(&call), "seed {}: {call:?} left twice", self.seed);
    }

    fn die(&mut self, worker: WorkerId) {
        if self.workers.remove(&worker).is_some() {
            self.starting.remove(&worker);
            self.leaving.remove(&worker);
            self.pool.exit(worker);
        }
    }

    /// One worker does the next thing that it has to do.
    fn work(&mut self, worker: WorkerId) {
        let now = self.pool.now;
        if self.starting.remove(&worker) {
            self.pool.scheduler.worker_ready(now, worker);
        } else if let Some(Some((call, began))) = self.workers.get(&worker).copied() {
            if began {
                self.workers.insert(worker, None);
                self.leave(call);
                self.pool.scheduler.call_finished(now, worker, call).unwrap_or_else(|error| {
                    assert!(
                        self.pool.scheduler.refusal().is_some(),
                        "seed {}: {error:?}",
                        self.seed
                    );
                    self.open.insert(call);
                });
            } else if self.pool.scheduler.call_began(worker, call).is_ok() {
                self.workers.insert(worker, Some((call, true)));
            }
        } else if self.leaving.contains(&worker) {
            self.die(worker);
        }
    }

    fn step(&mut self) {
        match self.below(10) {
            0..=2 if self.pool.scheduler.refusal().is_none() => {
                let call = CallId(self.pool.last_call + 1);
                self.open.insert(call);
                self.pool.submit();
            }
            3 => {
                let call = CallId(self.below(self.pool.last_call + 1));
                self.pool.scheduler.cancel(self.pool.now, call);
            }
            4 => {
                if let Some(worker) = self.any_worker() {
                    self.die(worker);
                }
            }
            5 => {
                let time = Duration::from_millis(self.below(2000));
                self.pool.pass(time);
            }
            _ => {
                if let Some(worker) = self.any_worker() {
                    self.work(worker);
                }
            }
        }
        self.perform();
        self.pool.scheduler.check_calls();
    }

    fn run(mut self) {
        let seed = self.seed;
        for _ in 0..300 {
            self.step();
        }
        // The faults stop: now everything has to come to its end.
        let how = [Shutdown::Wait, Shutdown::CancelPending, Shutdown::Kill]
            [usize::try_from(self.below(3)).unwrap()];
        self.pool.scheduler.shutdown(self.pool.now, how);
        self.perform();
        for _ in 0..10_000 {
            if self.is_over {
                break;
            }
            let workers: Vec<_> = self.workers.keys().copied().collect();
            for worker in workers {
                self.work(worker);
                self.perform();
            }
            self.pool.pass(Duration::from_millis(50));
            self.perform();
        }
        assert!(self.is_over, "seed {seed}: the pool does not end: {:?}", self.pool.scheduler);
        assert!(self.open.is_empty(), "seed {seed}: calls were lost: {:?}", self.open);
        assert!(self.workers.is_empty(), "seed {seed}: workers were forgotten");
    }
}
