//! Everything at random, with checks after every step: a small world of workers that start, answer, stall, die, and are given
//! to, taken from and resized.
//!
//! A seed that fails is printed; `LOKY_SIMULATION_SEED=17` runs that one alone, `LOKY_SIMULATION_SEEDS=100000` more than the
//! suite does.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use fastrand::Rng;

/// How many seeds the suite runs.
const SEEDS: u64 = 1000;

/// Returns one of `values`.
fn pick<T: Copy>(random: &mut Rng, values: &[T]) -> T {
    values[random.usize(..values.len())]
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_call_leaves_exactly_once() {
    let seeds = match number("LOKY_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("LOKY_SIMULATION_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| World::new(seed).run()));
        // What was wrong has been said by the panic itself.
        assert!(run.is_ok(), "seed {seed} fails: LOKY_SIMULATION_SEED={seed} runs it alone");
    }
}

/// A worker as it really is.
#[derive(Debug, Default)]
struct Worker {
    is_launched: bool,
    is_starting: bool,
    /// Whether it is up, and nobody has heard of that.
    is_unheard: bool,
    is_initializing: bool,
    is_leaving: bool,
    /// How many calls it has begun.
    n_begun: usize,
    /// Frames that it has not come to.
    frames: VecDeque<CallId>,
    /// Of those, which were taken back.
    revoked: BTreeSet<CallId>,
    running: Option<CallId>,
    /// Does nothing for now.
    is_stopped: bool,
}

struct World {
    random: Rng,
    pool: Pool,
    workers: BTreeMap<WorkerId, Worker>,
    /// Calls that were accepted and have not left.
    open: BTreeSet<CallId>,
    /// Calls that a worker has begun, ever.
    begun: BTreeSet<CallId>,
    /// How many calls those are that are chunks.
    counts: BTreeMap<CallId, u32>,
    /// How long calls take in this world, in microseconds.
    micros: u64,
    rules: Rules,
    /// Threads that wait for all workers.
    n_prewarms: usize,
    is_over: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let policy = pick(
            &mut random,
            &[CrashPolicy::Heal, CrashPolicy::Heal, CrashPolicy::Heal, CrashPolicy::BreakPool],
        );
        let max_workers = 1 + random.usize(..5);
        let depth = pick(&mut random, &[None, None, Some(2), Some(limits::SLOTS)]);
        let micros = pick(&mut random, &[0, 10, 100, 500, 10_000]);
        let initializer = pick(&mut random, &[None, Some("initializer")]);
        let rules = Rules {
            policy,
            depth,
            early_dispatch: initializer.is_none() && random.usize(..4) > 0,
            idle_timeout: pick(&mut random, &[None, None, Some(0), Some(1), Some(1_000)])
                .map(Duration::from_millis),
            max_tasks: pick(&mut random, &[None, None, Some(1), Some(3), Some(100)]),
            initializer,
            init_timeout: pick(&mut random, &[None, Some(Duration::from_secs(10))]),
        };
        Self {
            random,
            pool: Pool {
                scheduler: Scheduler::new(max_workers, rules.clone()),
                ..Pool::new(max_workers, policy)
            },
            rules,
            workers: BTreeMap::new(),
            open: BTreeSet::new(),
            begun: BTreeSet::new(),
            counts: BTreeMap::new(),
            micros,
            n_prewarms: 0,
            is_over: false,
        }
    }

    fn any_worker(&mut self) -> Option<WorkerId> {
        let all: Vec<_> = self.workers.keys().copied().collect();
        (!all.is_empty()).then(|| pick(&mut self.random, &all))
    }

    /// One that there is or was.
    fn any_call(&mut self) -> Option<CallId> {
        let all = &self.pool.calls;
        (!all.is_empty()).then(|| pick(&mut self.random, all))
    }

    fn perform(&mut self) {
        loop {
            let mut has_taken_back = false;
            while let Some(action) = self.pool.scheduler.poll_action() {
                has_taken_back |= self.perform_one(action);
            }
            if !has_taken_back {
                break;
            }
            self.pool.scheduler.advance(self.pool.now);
        }
        self.pool.scheduler.check_calls();
    }

    /// True if a call was taken back.
    fn perform_one(&mut self, action: Action) -> bool {
        match action {
            Action::Start { worker, .. } if self.random.usize(..20) == 0 => {
                let error = Error::new(ErrorKind::Spawn, "out of luck");
                self.pool.scheduler.start_failed(self.pool.now, worker, error, true);
            }
            Action::Start { worker, .. } => {
                self.workers.insert(worker, Worker { is_starting: true, ..Worker::default() });
            }
            Action::Dispatch { worker, call } => {
                let worker = self.workers.get_mut(&worker).expect("a live worker");
                assert!(!worker.is_initializing && !worker.is_leaving, "it does not take calls");
                if worker.is_starting || worker.is_unheard {
                    assert!(worker.is_launched && self.rules.early_dispatch, "nor does it yet");
                    assert!(worker.frames.is_empty() && worker.running.is_none(), "one it takes");
                }
                worker.frames.push_back(call);
                assert!(worker.frames.len() < limits::SLOTS + 1, "a slot for each call");
            }
            Action::Revoke { worker, call } => return self.take_back(worker, call),
            Action::Divide { worker, call } => return self.divide(worker, call),
            Action::Resolve { call, worker, verdict } => {
                if let Verdict::Terminated { began, .. } = verdict {
                    assert_eq!(began, self.begun.contains(&call), "{call:?}");
                } else if let Some(worker) = worker {
                    self.take_back(worker, call); // As the pool does, to know whether it has begun.
                } else {
                    assert!(!self.begun.contains(&call), "{call:?} was queued, and had begun");
                }
                self.leave(call);
            }
            Action::Retire { worker, .. } => {
                let worker = self.workers.get_mut(&worker).expect("a live worker");
                assert!(worker.running.is_none(), "it is at work");
                worker.is_leaving = true;
            }
            Action::Kill { worker } => self.die(worker),
            Action::End => self.is_over = true,
        }
        false
    }

    fn take_back(&mut self, worker: WorkerId, call: CallId) -> bool {
        let Some(worker) = self.workers.get_mut(&worker) else { return false };
        let is_there = worker.frames.contains(&call) && !worker.revoked.contains(&call);
        if is_there {
            worker.revoked.insert(call);
            self.pool.scheduler.call_revoked(self.pool.now, call);
        }
        is_there
    }

    /// Cuts off what has not begun of the chunk that a worker is at, but for one call. True if anything is left to be queued.
    fn divide(&mut self, worker: WorkerId, chunk: CallId) -> bool {
        let count = self.counts.get(&chunk).copied().unwrap_or(1);
        if count == 1
            || self.pool.scheduler.call_state(chunk) != Some(CallState::Dispatched(worker))
        {
            return false; // Or it is resolved, and that is the next thing to be done.
        }
        let Some(worker) = self.workers.get_mut(&worker) else { return false };
        let mut n_begun = 1;
        let is_waiting = !worker.revoked.contains(&chunk);
        let running;
        if worker.running == Some(chunk) {
            n_begun += self.random.usize(..count as usize) as u32;
            running = self.pool.ids.part(chunk, n_begun - 1);
            worker.running = Some(running);
            self.begun.insert(running);
        } else if let Some(frame) = worker.frames.iter_mut().find(|it| **it == chunk && is_waiting)
        {
            running = self.pool.ids.part(chunk, 0);
            *frame = running;
        } else {
            return false;
        }
        self.pool.calls.push(running);
        self.open.insert(running);
        let tail = self.tail(chunk, n_begun);
        self.pool.scheduler.chunk_divided(chunk, running, tail);
        self.leave(chunk);
        tail.is_some()
    }

    /// What is left of a chunk from this one of its calls on, if anything is.
    fn tail(&mut self, chunk: CallId, first: u32) -> Option<(CallId, u32)> {
        let count = self.counts[&chunk] - first;
        let tail = (count > 0).then(|| self.pool.ids.part(chunk, first))?;
        self.note_part(tail, count);
        Some((tail, count))
    }

    fn note_part(&mut self, part: CallId, count: u32) {
        self.pool.calls.push(part);
        self.open.insert(part);
        self.counts.insert(part, count);
    }

    fn leave(&mut self, call: CallId) {
        assert!(self.open.remove(&call), "{call:?} left twice");
        self.pool.ids.release(call);
    }

    /// The worker is heard to be up.
    fn come_up(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id)
            && std::mem::take(&mut worker.is_unheard)
        {
            self.pool.scheduler.worker_ready(self.pool.now, id);
        }
    }

    fn die(&mut self, id: WorkerId) {
        let is_unheard = self.workers.get(&id).is_some_and(|worker| worker.is_unheard);
        if is_unheard && self.random.usize(..8) > 0 {
            // What it had said is read, but for rubbish before it.
            self.come_up(id);
            self.perform();
        }
        if let Some(running) = self.workers.get(&id).and_then(|worker| worker.running) {
            self.divide(id, running);
        }
        if let Some(worker) = self.workers.remove(&id) {
            self.pool.crash(id, &Vec::from_iter(worker.running));
        }
    }

    /// One worker does the next thing that it has to do. True if that is something that the scheduler is to act upon.
    fn work(&mut self, id: WorkerId) -> bool {
        let now = self.pool.now;
        let Some(worker) = self.workers.get_mut(&id) else { return false };
        if worker.is_stopped {
            return false;
        }
        if !std::mem::replace(&mut worker.is_launched, true) {
            self.pool.scheduler.worker_launched(now, id);
        } else if std::mem::take(&mut worker.is_starting) {
            worker.is_initializing = self.rules.initializer.is_some();
            worker.is_unheard = !worker.is_initializing;
            if worker.is_initializing {
                self.pool.scheduler.worker_greeted(now, id);
                if self.random.bool() {
                    self.pool.scheduler.initializer_began(id);
                }
            } else if self.random.bool() {
                self.come_up(id);
            }
        } else if std::mem::take(&mut worker.is_initializing) {
            if self.random.usize(..200) == 0 {
                self.pool.scheduler.initializer_failed(now, id, "failed", None);
            } else {
                self.pool.scheduler.worker_ready(now, id);
            }
        } else if let Some(call) = worker.running.take() {
            let ran = Duration::from_micros(self.micros * self.random.u64(..3));
            self.come_up(id);
            let is_open = self.open.contains(&call);
            if self.pool.scheduler.call_state(call).is_some() {
                self.leave(call);
            }
            self.pool.scheduler.call_finished(now, id, call, ran);
            if is_open {
                self.end_early(call);
            }
        } else if let Some(call) = worker.frames.pop_front() {
            if worker.revoked.remove(&call) {
                self.pool.scheduler.call_skipped(now, id);
            } else {
                worker.running = Some(call);
                worker.n_begun += 1;
                let most = self.rules.max_tasks.unwrap_or(usize::MAX);
                assert!(worker.n_begun <= most, "it was to be replaced: {worker:?}");
                assert!(self.begun.insert(call), "{call:?} began twice");
                return false;
            }
        } else if worker.is_leaving {
            self.die(id);
        } else {
            self.come_up(id);
        }
        true
    }

    /// A chunk may be over before all of it has begun.
    fn end_early(&mut self, chunk: CallId) {
        let count = self.counts.get(&chunk).copied().unwrap_or(1);
        if count > 1 && self.random.usize(..4) == 0 {
            let n_done = 1 + self.random.usize(..count as usize) as u32;
            let tail = self.tail(chunk, n_done);
            self.pool.scheduler.chunk_ended_early(tail);
        }
    }

    /// Whether the next thing that the worker has to do is to skip a call.
    fn skips_next(&self, id: WorkerId) -> bool {
        self.workers.get(&id).is_some_and(|worker| {
            let next = worker.frames.front().filter(|_| worker.running.is_none());
            next.is_some_and(|call| worker.revoked.contains(call))
        })
    }

    /// A worker does several things, and others do some, before anybody hears of them.
    fn work_at_speed(&mut self, id: WorkerId) {
        for _ in 0..1 + self.random.usize(..8) {
            let other = self.any_worker().filter(|_| self.random.usize(..4) == 0);
            self.work(other.unwrap_or(id));
        }
        self.pool.scheduler.advance(self.pool.now);
    }

    fn submit(&mut self) {
        for _ in 0..pick(&mut self.random, &[1, 1, 1, 5, 40]) {
            if self.pool.scheduler.refusal().is_some() {
                return;
            }
            // Where calls count apart there are no chunks.
            let takes_chunks = self.rules.max_tasks.is_none();
            let count = if takes_chunks { pick(&mut self.random, &[1, 1, 1, 2, 20]) } else { 1 };
            let call = self.pool.submit_chunk(count);
            self.counts.insert(call, count);
            self.open.insert(call);
            self.perform();
        }
    }

    /// A call joins the chunk at the end of the queue.
    fn join(&mut self) {
        let last = self.pool.scheduler.last_queued();
        let chunk = last.and_then(|call| self.counts.get_mut(&call));
        if let Some((last, count)) = last.zip(chunk)
            && self.rules.max_tasks.is_none()
            && self.pool.scheduler.refusal().is_none()
            && self.pool.ids.extend(last, *count)
        {
            *count += 1;
            self.pool.scheduler.batch_grew(last);
        }
    }

    /// One call of a queued chunk is cancelled.
    fn part(&mut self) {
        let Some(chunk) = self.any_call() else { return };
        let count = self.counts.get(&chunk).copied().unwrap_or(1);
        if count == 1 || self.pool.scheduler.call_state(chunk) != Some(CallState::Queued) {
            return;
        }
        let before = self.random.usize(..count as usize) as u32;
        let head = (before > 0).then(|| (self.pool.ids.part(chunk, 1), before));
        head.into_iter().for_each(|(part, count)| self.note_part(part, count));
        let tail = self.tail(chunk, before + 1);
        self.pool.scheduler.batch_split(chunk, head.into_iter().chain(tail));
        self.leave(chunk);
        self.pool.scheduler.advance(self.pool.now);
    }

    fn cancel(&mut self) {
        let Some(call) = self.any_call() else { return };
        if let Some(CallState::Dispatched(worker)) = self.pool.scheduler.call_state(call)
            && !self.take_back(worker, call)
        {
            self.divide(worker, call);
        }
        if self.pool.scheduler.call_state(call) == Some(CallState::Queued) {
            self.pool.scheduler.cancel(self.pool.now, call);
        }
    }

    fn step(&mut self) {
        let (now, what) = (self.pool.now, self.random.usize(..26));
        let worker = self.any_worker();
        match (what, worker) {
            (0..=4, _) => self.submit(),
            (5..=6, _) => self.cancel(),
            (7, Some(worker)) => self.die(worker),
            (8..=9, _) => {
                let micros = pick(&mut self.random, &[100, 1_000, 5_000, 2_000_000]);
                let time = Duration::from_micros(self.random.u64(..micros));
                self.pool.pass(time);
            }
            (10, _) => {
                let size = 1 + self.random.usize(..6);
                self.pool.scheduler.resize(now, size);
            }
            (11, Some(worker)) => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.is_stopped = !worker.is_stopped;
                }
            }
            (12, Some(worker)) => self.pool.scheduler.worker_congested(worker),
            (13, Some(worker)) => self.pool.scheduler.worker_writable(now, worker),
            (14, Some(worker)) if self.random.usize(..10) == 0 => {
                self.pool.scheduler.worker_misbehaved(now, worker, "rubbish");
            }
            (15, Some(worker)) if self.random.usize(..10) == 0 => {
                self.pool.scheduler.channel_closed(now, worker);
            }
            (16, Some(worker)) if self.random.usize(..5) == 0 => {
                self.pool.scheduler.worker_over_memory_limit(now, worker);
                self.pool.scheduler.advance(now);
            }
            (17, _) if self.n_prewarms == 0 => {
                if self.pool.scheduler.refusal().is_none() {
                    self.pool.scheduler.prewarm(now);
                    self.n_prewarms = 1;
                }
            }
            (18, _) if self.n_prewarms > 0 => self.end_prewarm(),
            (19, _) => self.join(),
            (20, _) => self.part(),
            (_, Some(worker)) => self.work_at_speed(worker),
            (_, None) => {}
        }
        self.perform();
    }

    fn end_prewarm(&mut self) {
        self.pool.scheduler.end_prewarm(self.pool.now);
        self.n_prewarms -= 1;
    }

    /// Nothing goes wrong any more: time passes, everybody works, until `is_done`.
    fn settle(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) {
        let ids: Vec<_> = self.workers.keys().copied().collect();
        for id in ids {
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.is_stopped = false;
            }
            self.pool.scheduler.worker_writable(self.pool.now, id);
            self.perform();
        }
        for _ in 0..10_000 {
            if is_done(self) {
                return;
            }
            let ids: Vec<_> = self.workers.keys().copied().collect();
            for id in ids {
                // What was taken back takes no time.
                while self.skips_next(id) {
                    self.work(id);
                }
                if self.work(id) {
                    self.pool.scheduler.advance(self.pool.now);
                }
                self.perform();
            }
            self.pool.pass(Duration::from_millis(50));
            self.perform();
        }
        panic!("{what}, but: {} open, {:?}", self.open.len(), self.pool.scheduler.workers);
    }

    /// All calls are done: after the idle timeout nobody is left.
    fn sleep(&mut self) {
        self.settle("calls are finished once the faults stop", |world| world.open.is_empty());
        while self.n_prewarms > 0 {
            self.end_prewarm();
        }
        self.settle("all are up", |world| world.pool.scheduler.starting_workers() == 0);
        let Some(timeout) = self.rules.idle_timeout else {
            // One in which none could be started waits for the next call.
            return self.settle("a pool without a timeout is whole again", |world| {
                let scheduler = &world.pool.scheduler;
                let is_to_be = scheduler.wants_workers && scheduler.refusal().is_none();
                !is_to_be || scheduler.ready_workers() == scheduler.max_workers()
            });
        };
        self.pool.pass(timeout);
        self.perform();
        self.settle("idle workers leave", |world| world.workers.is_empty());
    }

    fn run(mut self) {
        for _ in 0..300 {
            self.step();
        }
        if self.random.bool() {
            self.settle("calls are finished once the faults stop", |world| world.open.is_empty());
        }
        if self.random.bool() {
            self.sleep();
        }
        let how =
            pick(&mut self.random, &[Shutdown::Wait, Shutdown::CancelPending, Shutdown::Kill]);
        let start = self.pool.now;
        self.pool.scheduler.shutdown(start, how);
        self.perform();
        self.settle("the pool ends", |world| world.is_over);
        let took = self.pool.now - start;
        assert!(how != Shutdown::Kill || took <= Duration::from_secs(5), "to kill took {took:?}");
        assert!(self.open.is_empty(), "calls were lost: {:?}", self.open);
        assert!(self.workers.is_empty(), "workers were forgotten");
    }
}
