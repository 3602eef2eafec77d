//! Simulation: a small world of workers that start, answer, stall and die, with random submissions, cancels, resizes and
//! shutdowns.
//!
//! After every step the invariants are checked. At the end the faults stop, and all calls and workers must finish. A failing seed is
//! printed. `LOKY_SIMULATION_SEED=17` runs that seed alone, `LOKY_SIMULATION_SEEDS=100000` more seeds than the suite does.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use fastrand::Rng;

/// The number of seeds that the suite runs.
const SEEDS: u64 = 1000;

/// Returns one of `values`.
fn pick<T: Copy>(random: &mut Rng, values: &[T]) -> T {
    values[random.usize(..values.len())]
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn random_events_end_every_call_exactly_once() {
    let seeds = match number("LOKY_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("LOKY_SIMULATION_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| World::new(seed).run()));
        // The panic itself has printed the failed assertion.
        assert!(run.is_ok(), "seed {seed} fails: LOKY_SIMULATION_SEED={seed} runs it alone");
    }
}

/// The true state of a worker, of which the scheduler knows a part.
#[derive(Debug, Default)]
struct Worker {
    is_launched: bool,
    is_starting: bool,
    /// Whether it is ready and the scheduler does not know yet.
    is_ready_unreported: bool,
    is_initializing: bool,
    is_leaving: bool,
    /// The number of calls that it has begun.
    n_begun: usize,
    /// Dispatched calls that it has not begun.
    frames: VecDeque<CallId>,
    /// Those of them that were revoked.
    revoked: BTreeSet<CallId>,
    running: Option<CallId>,
    /// Whether it makes no progress for now.
    is_stopped: bool,
}

struct World {
    random: Rng,
    pool: Pool,
    workers: BTreeMap<WorkerId, Worker>,
    /// Accepted calls that are neither finished nor resolved.
    open: BTreeSet<CallId>,
    /// Calls that any worker has ever begun.
    begun: BTreeSet<CallId>,
    /// The number of calls of each batch.
    counts: BTreeMap<CallId, u32>,
    /// The run time of calls, in microseconds.
    micros: u64,
    rules: Rules,
    /// The number of threads in `prewarm`.
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

    /// Any call, finished ones included.
    fn any_call(&mut self) -> Option<CallId> {
        let all = &self.pool.calls;
        (!all.is_empty()).then(|| pick(&mut self.random, all))
    }

    fn perform_all(&mut self) {
        loop {
            let mut has_revoked = false;
            while let Some(action) = self.pool.scheduler.poll_action() {
                has_revoked |= self.perform_one(action);
            }
            if !has_revoked {
                break;
            }
            self.pool.scheduler.advance(self.pool.now);
        }
        self.pool.scheduler.check_calls();
    }

    /// Performs one action. True if calls returned to the queue.
    fn perform_one(&mut self, action: Action) -> bool {
        match action {
            Action::Start { worker, .. } if self.random.usize(..20) == 0 => {
                let error = Error::new(ErrorKind::Spawn, "no process");
                self.pool.scheduler.start_failed(self.pool.now, worker, error, true);
            }
            Action::Start { worker, .. } => {
                self.workers.insert(worker, Worker { is_starting: true, ..Worker::default() });
            }
            Action::Dispatch { worker, call } => {
                let worker = self.workers.get_mut(&worker).expect("a live worker");
                assert!(!worker.is_initializing && !worker.is_leaving, "this state gets no calls");
                if worker.is_starting || worker.is_ready_unreported {
                    assert!(
                        worker.is_launched && self.rules.early_dispatch,
                        "early dispatch is allowed"
                    );
                    assert!(
                        worker.frames.is_empty() && worker.running.is_none(),
                        "a starting worker gets one call"
                    );
                }
                worker.frames.push_back(call);
                assert!(worker.frames.len() < limits::SLOTS + 1, "a slot for each call");
            }
            Action::Revoke { worker, call } => return self.revoke(worker, call),
            Action::Divide { worker, call } => return self.divide(worker, call),
            Action::Resolve { call, worker, verdict } => {
                if let Verdict::Terminated { began, .. } = verdict {
                    assert_eq!(began, self.begun.contains(&call), "{call:?}");
                } else if let Some(worker) = worker {
                    self.revoke(worker, call); // As the pool does, to find out whether it has begun.
                } else {
                    assert!(
                        !self.begun.contains(&call),
                        "{call:?} was queued although it had begun"
                    );
                }
                self.end(call);
            }
            Action::Retire { worker, .. } => {
                let worker = self.workers.get_mut(&worker).expect("a live worker");
                assert!(worker.running.is_none(), "a worker retires without calls");
                worker.is_leaving = true;
            }
            Action::Kill { worker } => self.die(worker),
            Action::End => self.is_over = true,
        }
        false
    }

    fn revoke(&mut self, worker: WorkerId, call: CallId) -> bool {
        let Some(worker) = self.workers.get_mut(&worker) else { return false };
        let is_there = worker.frames.contains(&call) && !worker.revoked.contains(&call);
        if is_there {
            worker.revoked.insert(call);
            self.pool.scheduler.call_revoked(self.pool.now, call);
        }
        is_there
    }

    /// Divides the batch that a worker runs, behind a random one of its calls. True if a tail is queued.
    fn divide(&mut self, worker: WorkerId, batch: CallId) -> bool {
        let count = self.counts.get(&batch).copied().unwrap_or(1);
        if count == 1
            || self.pool.scheduler.call_state(batch) != Some(CallState::Dispatched(worker))
        {
            return false; // If the batch is resolved, its action comes next.
        }
        let Some(worker) = self.workers.get_mut(&worker) else { return false };
        let is_waiting = worker.frames.contains(&batch) && !worker.revoked.contains(&batch);
        let n_begun = match worker.running == Some(batch) {
            true => 1 + self.random.usize(..count as usize) as u32,
            false if is_waiting => 1,
            false => return false,
        };
        let tail = self.tail(batch, n_begun);
        self.counts.insert(batch, 1);
        self.pool.scheduler.batch_divided(batch, 1, tail);
        tail.is_some()
    }

    /// Makes a part of a batch from its call `first` to its end, if there is any.
    fn tail(&mut self, batch: CallId, first: u32) -> Option<(CallId, u32)> {
        let count = self.counts[&batch] - first;
        let tail = (count > 0).then(|| self.pool.ids.part(batch, first))?;
        self.note_part(tail, count);
        Some((tail, count))
    }

    fn note_part(&mut self, part: CallId, count: u32) {
        self.pool.calls.push(part);
        self.open.insert(part);
        self.counts.insert(part, count);
    }

    fn end(&mut self, call: CallId) {
        assert!(self.open.remove(&call), "{call:?} ended twice");
        self.pool.ids.release(call);
    }

    /// Reports a worker as ready, if it is.
    fn report_ready(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id)
            && std::mem::take(&mut worker.is_ready_unreported)
        {
            self.pool.scheduler.worker_ready(self.pool.now, id);
        }
    }

    fn die(&mut self, id: WorkerId) {
        let is_ready_unreported =
            self.workers.get(&id).is_some_and(|worker| worker.is_ready_unreported);
        if is_ready_unreported && self.random.usize(..8) > 0 {
            // The pool reads the last messages of a dead worker, unless garbage precedes them.
            self.report_ready(id);
            self.perform_all();
        }
        if let Some(running) = self.workers.get(&id).and_then(|worker| worker.running) {
            self.divide(id, running);
        }
        if let Some(worker) = self.workers.remove(&id) {
            self.pool.crash(id, &Vec::from_iter(worker.running));
        }
    }

    /// Lets a worker do its next step. True if the scheduler was told of an event.
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
            worker.is_ready_unreported = !worker.is_initializing;
            if worker.is_initializing {
                self.pool.scheduler.worker_greeted(now, id);
                if self.random.bool() {
                    self.pool.scheduler.initializer_began(id);
                }
            } else if self.random.bool() {
                self.report_ready(id);
            }
        } else if std::mem::take(&mut worker.is_initializing) {
            if self.random.usize(..200) == 0 {
                self.pool.scheduler.initializer_failed(now, id, "failed", None);
            } else {
                self.pool.scheduler.worker_ready(now, id);
            }
        } else if let Some(call) = worker.running.take() {
            let ran = Duration::from_micros(self.micros * self.random.u64(..3));
            self.report_ready(id);
            let is_open = self.open.contains(&call);
            if self.pool.scheduler.call_state(call).is_some() {
                self.end(call);
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
                let limit = self.rules.max_tasks.unwrap_or(usize::MAX);
                assert!(worker.n_begun <= limit, "`max_tasks` is exceeded: {worker:?}");
                assert!(self.begun.insert(call), "{call:?} began twice");
                return false;
            }
        } else if worker.is_leaving {
            self.die(id);
        } else {
            self.report_ready(id);
        }
        true
    }

    /// Sometimes ends a batch before all of its calls began.
    fn end_early(&mut self, batch: CallId) {
        let count = self.counts.get(&batch).copied().unwrap_or(1);
        if count > 1 && self.random.usize(..4) == 0 {
            let n_done = 1 + self.random.usize(..count as usize) as u32;
            let tail = self.tail(batch, n_done);
            self.pool.scheduler.batch_ended_early(tail);
        }
    }

    /// Whether the next step of the worker is to skip a revoked call.
    fn skips_next(&self, id: WorkerId) -> bool {
        self.workers.get(&id).is_some_and(|worker| {
            let next = worker.frames.front().filter(|_| worker.running.is_none());
            next.is_some_and(|call| worker.revoked.contains(call))
        })
    }

    /// Lets a worker, and some others, do several steps before the scheduler decides.
    fn work_in_burst(&mut self, id: WorkerId) {
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
            // `max_tasks` counts calls, so there are no batches then.
            let has_batches = self.rules.max_tasks.is_none();
            let count = if has_batches { pick(&mut self.random, &[1, 1, 1, 2, 20]) } else { 1 };
            let call = self.pool.submit_batch(count);
            self.counts.insert(call, count);
            self.open.insert(call);
            self.perform_all();
        }
    }

    /// Adds a call to the batch at the back of the queue.
    fn join_batch(&mut self) {
        let last = self.pool.scheduler.last_queued();
        let batch = last.and_then(|call| self.counts.get_mut(&call));
        if let Some((last, count)) = last.zip(batch)
            && self.rules.max_tasks.is_none()
            && self.pool.scheduler.refusal().is_none()
            && self.pool.ids.extend(last, *count)
        {
            *count += 1;
            self.pool.scheduler.batch_grew(last);
        }
    }

    /// Cancels one call of a queued batch.
    fn cancel_in_batch(&mut self) {
        let Some(batch) = self.any_call() else { return };
        let count = self.counts.get(&batch).copied().unwrap_or(1);
        if count == 1 || self.pool.scheduler.call_state(batch) != Some(CallState::Queued) {
            return;
        }
        let before = self.random.usize(..count as usize) as u32;
        let tail = self.tail(batch, before + 1);
        let kept = before.max(1);
        self.counts.insert(batch, kept);
        self.pool.scheduler.batch_divided(batch, kept, tail);
        if before == 0 {
            self.pool.scheduler.cancel(self.pool.now, batch);
        }
        self.pool.scheduler.advance(self.pool.now);
    }

    fn cancel(&mut self) {
        let Some(call) = self.any_call() else { return };
        if let Some(CallState::Dispatched(worker)) = self.pool.scheduler.call_state(call)
            && !self.revoke(worker, call)
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
                self.pool.scheduler.worker_misbehaved(now, worker, "garbage");
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
            (19, _) => self.join_batch(),
            (20, _) => self.cancel_in_batch(),
            (_, Some(worker)) => self.work_in_burst(worker),
            (_, None) => {}
        }
        self.perform_all();
    }

    fn end_prewarm(&mut self) {
        self.pool.scheduler.end_prewarm(self.pool.now);
        self.n_prewarms -= 1;
    }

    /// Liveness phase: no more faults; time passes and all workers work, until `is_done`.
    fn settle(&mut self, goal: &str, is_done: impl Fn(&Self) -> bool) {
        let ids: Vec<_> = self.workers.keys().copied().collect();
        for id in ids {
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.is_stopped = false;
            }
            self.pool.scheduler.worker_writable(self.pool.now, id);
            self.perform_all();
        }
        for _ in 0..10_000 {
            if is_done(self) {
                return;
            }
            let ids: Vec<_> = self.workers.keys().copied().collect();
            for id in ids {
                // Skipping takes no time.
                while self.skips_next(id) {
                    self.work(id);
                }
                if self.work(id) {
                    self.pool.scheduler.advance(self.pool.now);
                }
                self.perform_all();
            }
            self.pool.pass(Duration::from_millis(50));
            self.perform_all();
        }
        panic!("not reached: {goal}; {} open, {:?}", self.open.len(), self.pool.scheduler.workers);
    }

    /// Checks that all workers leave after the idle timeout, or that all stay without one.
    fn idle(&mut self) {
        self.settle("all calls end", |world| world.open.is_empty());
        while self.n_prewarms > 0 {
            self.end_prewarm();
        }
        self.settle("no worker is starting", |world| world.pool.scheduler.starting_workers() == 0);
        let Some(timeout) = self.rules.idle_timeout else {
            // After a failed start of all workers the pool waits for the next call.
            return self.settle("all workers are ready", |world| {
                let scheduler = &world.pool.scheduler;
                let is_wanted = scheduler.wants_workers && scheduler.refusal().is_none();
                !is_wanted || scheduler.ready_workers() == scheduler.max_workers()
            });
        };
        self.pool.pass(timeout);
        self.perform_all();
        self.settle("all idle workers leave", |world| world.workers.is_empty());
    }

    fn run(mut self) {
        for _ in 0..300 {
            self.step();
        }
        if self.random.bool() {
            self.settle("all calls end", |world| world.open.is_empty());
        }
        if self.random.bool() {
            self.idle();
        }
        let how =
            pick(&mut self.random, &[Shutdown::Wait, Shutdown::CancelPending, Shutdown::Kill]);
        let start = self.pool.now;
        self.pool.scheduler.shutdown(start, how);
        self.perform_all();
        self.settle("the pool ends", |world| world.is_over);
        let took = self.pool.now - start;
        assert!(how != Shutdown::Kill || took <= Duration::from_secs(5), "`Kill` took {took:?}");
        assert!(self.open.is_empty(), "calls never ended: {:?}", self.open);
        assert!(self.workers.is_empty(), "no worker outlives its pool");
    }
}
