//! Performs what the scheduler decides: keeps the calls, sends them to workers, starts and ends workers, delivers outcomes.
//!
//! All state lies behind one short lock. [`Pool::change`] is the only place that changes it: it feeds the core, has it perform
//! the scheduler's actions as far as they cannot block, and does what is left once the lock is released. What may block
//! (starting, killing, reading, waiting) is done by the pool thread. A submitting thread writes to an idle worker itself; no
//! other thread is on that way. Callbacks run on a thread of their own, so that one that waits does not hold up the pool.
//!
//! Files import in one direction: each from those above it.
//!
//! | file | subject |
//! |---|---|
//! | `fault`, `outcome` | why a worker is not believed; how a call has ended, and its error in words |
//! | `readership` | the rules by which one thread at a time reads from a worker |
//! | `effects` | the work of a change that is left for after the lock is released |
//! | `call_table` | the accepted calls: which worker has each, and which threads wait |
//! | `batcher` | which calls of `submit` travel together |
//! | `worker_link`, `links` | the channel to one worker: phase, slots, sending, receiving; and all channels |
//! | `mailbox`, `starts`, `counts`, `event_log` | the pool thread's jobs and sleep; starts of workers; numbers; the observer's events |
//! | `core` | the owner of these parts: feeds the scheduler, performs its actions |
//! | `callbacks`, `thread_guard`, `delivery` | the thread of callbacks; which threads are the pool's own; delivering outcomes |
//! | `mod` | [`Pool`]: the handle, and the lock |
//! | `waiting` | threads that wait for a result |
//! | `driver`, with `handshake`, `initializer`, `capture`, `worker_process`, `pool_registry` | the pool thread, and what it alone needs |
//!
//! The pool is what the handles and the futures share; it ends when [`Pool::shutdown`] is called, not when it is dropped.
//! The parts are tested beside their code, the core in `core/tests.rs` with pages but without processes, the whole through real
//! workers in the package `tests`.

mod batcher;
mod call_table;
mod callbacks;
mod capture;
mod core;
mod counts;
mod delivery;
mod driver;
mod effects;
mod event_log;
mod fault;
mod handshake;
mod initializer;
mod links;
mod mailbox;
mod outcome;
mod pool_registry;
mod readership;
mod starts;
mod thread_guard;
mod waiting;
mod worker_link;
mod worker_process;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::callbacks::Callbacks;
use self::core::{Core, Hints};
use self::delivery::{CancelledCallbacks, Delivery, Turn};
use self::effects::Effects;
use self::event_log::EventLog;
pub(crate) use self::pool_registry::{are_any_left, end_all};

use crate::clock;
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::future::{CallRef, Cancelled, Driver, DriverRef, OutcomeCell, Waiter, check_process};
use crate::id::CallId;
use crate::limits;
use crate::observer::Stats;
use crate::scheduler::{Rules, Scheduler, Shutdown};
use crate::segments::Segments;
use crate::sys::fork_guard;
use crate::sys::hint;
use crate::sys::wake::Wake;
use crate::transport::probe;
use crate::wire::args::CallArgs;

/// A pool of workers.
pub(crate) struct Pool {
    id: u64,
    owner_pid: u32,
    /// The way from the futures to this pool.
    as_driver: DriverRef,
    settings: Settings,
    core: Mutex<Core>,
    /// Notified when a worker is ready, or none will be.
    changed: Condvar,
    /// Whether workers share a page with the pool, and calls go through its lane.
    uses_lane: bool,
    /// Whether calls may travel as batches: not where each is told of, or counts apart.
    takes_batches: bool,
    /// The numbers that a map asks for at each item, as of the last change.
    max_workers: AtomicUsize,
    depth: AtomicUsize,
    batch_size: AtomicUsize,
    /// Whether there is a batch that calls may join, as of the last change.
    has_open_batch: AtomicBool,
    /// Wakes the pool thread.
    wake: Arc<Wake>,
    /// Where long arguments lie.
    segments: Segments,
    delivery: Delivery,
    /// Whether the pool thread was started.
    has_thread: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Set when nothing of the pool is left.
    gone: OnceLock<()>,
}

impl Pool {
    /// A pool without workers: they come with the first call.
    pub(crate) fn new(mut settings: Settings) -> Result<Arc<Self>> {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        let failed = |error| {
            let message = format!("cannot create an executor{}", hint(&error));
            Error::io(ErrorKind::Io, &message, error)
        };
        let wake = Arc::new(Wake::new().map_err(failed)?);
        let id = LAST_ID.fetch_add(1, Ordering::Relaxed) + 1;
        let uses_lane = probe::uses_lane();
        let scheduler = Scheduler::new(settings.max_workers, rules(&settings, uses_lane));
        // It is long, perhaps, and needed in one place only.
        let initializer = settings.initializer.as_mut();
        let initializer = initializer
            .map(|initializer| (initializer.task, std::mem::take(&mut initializer.args).into()));
        let is_simple = settings.observer.is_none() && settings.max_tasks_per_worker.is_none();
        // The observer is the callbacks' alone, since it may hold a handle of this pool: they drop it at the end.
        let (callbacks, sender) = Callbacks::new(settings.observer.take());
        let events = EventLog::new(sender);
        Ok(Arc::new_cyclic(|pool: &Weak<Self>| Self {
            as_driver: DriverRef::new(pool.clone()),
            uses_lane,
            takes_batches: uses_lane && is_simple,
            id,
            owner_pid: fork_guard::current_pid(),
            max_workers: AtomicUsize::new(settings.max_workers),
            depth: AtomicUsize::new(1),
            batch_size: AtomicUsize::new(1),
            has_open_batch: AtomicBool::new(false),
            settings,
            core: Mutex::new(Core::new(scheduler, events, initializer, uses_lane)),
            changed: Condvar::new(),
            segments: Segments::of_pool(Arc::clone(&wake)),
            delivery: Delivery::new(id, Arc::clone(&wake), callbacks),
            wake,
            has_thread: AtomicBool::new(false),
            thread: Mutex::new(None),
            gone: OnceLock::new(),
        }))
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Fails in a process that was forked off the one that the pool belongs to.
    pub(crate) fn check_process(&self) -> Result<()> {
        check_process(self.owner_pid)
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // No code of the user runs under this lock; a panic in ours must not become a hang.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Feeds the core, performs what the scheduler decides, and delivers the outcomes.
    fn with_core<T>(&self, feed: impl FnOnce(&mut Core, Instant) -> T) -> T {
        self.change(feed, |_, _, fed| fed)
    }

    /// Does so, and has `then` see the core once the actions are performed, with the lock still held. `then` does not feed the
    /// scheduler.
    fn change<F, T>(
        &self,
        feed: impl FnOnce(&mut Core, Instant) -> F,
        then: impl FnOnce(&mut Core, Instant, F) -> T,
    ) -> T {
        let (answer, effects, turn) = self.change_core(feed, then);
        if let Some(turn) = turn {
            turn.deliver(effects, CancelledCallbacks::OnTheirThread);
        }
        answer
    }

    /// Changes the core, and does all that is left but delivering outcomes. If calls have ended, this thread has its turn to
    /// deliver these.
    fn change_core<F, T>(
        &self,
        feed: impl FnOnce(&mut Core, Instant) -> F,
        then: impl FnOnce(&mut Core, Instant, F) -> T,
    ) -> (T, Effects, Option<Turn<'_>>) {
        let now = clock::now();
        let mut core = self.lock();
        let fed = feed(&mut core, now);
        core.perform(now);
        let answer = then(&mut core, now, fed);
        let mut effects = core.take_effects(now);
        core.events().send();
        let turn = effects.has_outcomes().then(|| self.delivery.begin());
        self.store_hints(core.hints());
        if core.is_shut_down() || core.is_broken() {
            // Before the first call is over that a worker runs still.
            self.segments.close();
        }
        if core.is_prewarming() {
            self.changed.notify_all();
        }
        drop(core);
        if effects.wakes_pool_thread() {
            self.wake.wake();
        }
        effects.wake_sleepers();
        (answer, effects, turn)
    }

    fn store_hints(&self, hints: Hints) {
        let Hints { max_workers, depth, batch_size, has_open_batch } = hints;
        self.max_workers.store(max_workers, Ordering::Relaxed);
        self.depth.store(depth, Ordering::Relaxed);
        self.batch_size.store(batch_size, Ordering::Relaxed);
        self.has_open_batch.store(has_open_batch, Ordering::Relaxed);
    }

    /// Accepts a call of `task`, or returns a cell that has the reason why not.
    pub(crate) fn submit(self: &Arc<Self>, task: &'static str, args: CallArgs) -> CallRef {
        if let Err(error) = self.check_process().and_then(|()| self.ensure_thread()) {
            return OutcomeCell::failed(task, error.with_task(task)).into();
        }
        let is_small = args.is_small();
        if is_small && self.has_open_batch.load(Ordering::Relaxed) {
            let joined = self.lock().join(task, &args);
            if let Some(joined) = joined {
                return joined;
            }
        }
        let may_batch = is_small && self.takes_batches;
        let accepted =
            self.with_core(|core, now| core.submit(now, task, args, may_batch, &self.as_driver));
        let failed = |refusal| OutcomeCell::failed(task, outcome::refused(task, &refusal)).into();
        accepted.unwrap_or_else(failed)
    }

    /// Accepts calls of `task` together, or returns cells that have the reason why not.
    pub(crate) fn submit_all(
        self: &Arc<Self>,
        task: &'static str,
        calls: Vec<CallArgs>,
    ) -> Vec<Arc<OutcomeCell>> {
        let failed = |error: Error| OutcomeCell::failed(task, error.with_task(task));
        if let Err(error) = self.check_process().and_then(|()| self.ensure_thread()) {
            return calls.iter().map(|_| failed(error.clone())).collect();
        }
        let n_calls = calls.len();
        let accepted =
            self.with_core(|core, now| core.submit_all(now, task, calls, &self.as_driver));
        accepted.unwrap_or_else(|refusal| {
            let error = outcome::refused(task, &refusal);
            (0..n_calls).map(|_| failed(error.clone())).collect()
        })
    }

    /// Returns when all workers are ready.
    pub(crate) fn prewarm(self: &Arc<Self>) -> Result<()> {
        self.check_process()?;
        self.ensure_thread()?;
        let before = self.with_core(Core::begin_prewarm);
        let mut core = self.lock();
        let result = loop {
            if let Some(result) = core.prewarm_result(before) {
                break result;
            }
            core = self.changed.wait(core).unwrap_or_else(PoisonError::into_inner);
        };
        drop(core);
        self.with_core(Core::end_prewarm);
        result
    }

    /// Changes how many workers there are to be. Waits for nothing.
    pub(crate) fn resize(&self, max_workers: usize) -> Result<()> {
        self.check_process()?;
        let resized = self.with_core(|core, now| core.resize(now, max_workers));
        resized.map_err(|refusal| outcome::refusal(&refusal))
    }

    /// Notes that another executor has come in the place of this one.
    pub(crate) fn replaced(&self, by: u64) {
        if self.check_process().is_ok() {
            self.with_core(|core, _| core.replaced(by));
        }
    }

    /// Whether calls are accepted.
    pub(crate) fn is_open(&self) -> bool {
        self.check_process().is_ok() && self.lock().refusal().is_none()
    }

    /// The most workers that there are to be.
    pub(crate) fn max_workers(&self) -> usize {
        self.max_workers.load(Ordering::Relaxed)
    }

    /// How many calls at once keep all workers at work: more than the least only where calls are known to be short.
    pub(crate) fn map_window(&self) -> usize {
        let ahead = 2 * (self.depth.load(Ordering::Relaxed) - 1);
        self.max_workers().saturating_mul(limits::MAP_CALLS_PER_WORKER + ahead)
    }

    /// How many calls of a `map` are best given to a worker together, by what is known of their length.
    pub(crate) fn chunk(&self) -> usize {
        if self.takes_batches { self.batch_size.load(Ordering::Relaxed) } else { 1 }
    }

    /// Ends the pool in the given way, and waits for that unless told otherwise. On a thread of the pool itself it never
    /// waits.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        if self.begin_shutdown(how) && how != Shutdown::NoWait {
            self.wait_until_gone();
        }
    }

    /// Ends the pool as [`Shutdown::Wait`] does, and as [`Shutdown::Kill`] does after `limit`. Returns whether this thread saw
    /// the end and nothing had to be killed. On a thread of the pool it never waits.
    pub(crate) fn shutdown_timeout(&self, limit: Duration) -> bool {
        let waits = self.begin_end(|core, now| match now.checked_add(limit) {
            Some(deadline) => core.shutdown_by(now, deadline),
            None => core.shutdown(now, Shutdown::Wait),
        });
        if waits {
            self.wait_until_gone();
        } else if self.check_process().is_err() {
            return false;
        }
        let mut core = self.lock();
        let is_over = waits || core.mailbox().is_unstarted();
        is_over && !core.was_killed()
    }

    /// Begins a shutdown without waiting. True if there is an end that this thread may wait for.
    fn begin_shutdown(&self, how: Shutdown) -> bool {
        self.begin_end(|core, now| core.shutdown(now, how))
    }

    /// Begins the end of the pool by `shutdown`. True if there is an end that this thread may wait for.
    fn begin_end(&self, shutdown: impl FnOnce(&mut Core, Instant)) -> bool {
        if self.check_process().is_err() {
            return false;
        }
        let is_unstarted = self.with_core(|core, now| {
            shutdown(core, now);
            core.mailbox().is_unstarted()
        });
        if thread_guard::is_of(self.id) {
            return false;
        }
        if is_unstarted {
            // Nor will it be. The observer is dropped: it may hold a handle of this pool.
            self.lock().events().close();
            self.segments.end();
            self.delivery.finish_callbacks();
        }
        !is_unstarted
    }

    /// Blocks until the pool's processes and threads are gone; the first caller joins the thread, the others wait for it.
    fn wait_until_gone(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            Some(thread) => {
                // A panic of the pool thread was reported by the hook, and its calls are resolved.
                let _ = thread.join();
                let _ = self.gone.set(());
            }
            None => {
                self.gone.wait();
            }
        }
    }

    /// Starts the pool thread with the first call.
    fn ensure_thread(self: &Arc<Self>) -> Result<()> {
        if self.has_thread.load(Ordering::Acquire) { Ok(()) } else { self.start_thread() }
    }

    /// The processes of the live workers, by the workers' indices.
    pub(crate) fn worker_pids(&self) -> Vec<u32> {
        if self.check_process().is_err() {
            return Vec::new();
        }
        self.lock().worker_pids()
    }

    pub(crate) fn stats(&self) -> Stats {
        if self.check_process().is_err() {
            return Stats::default();
        }
        self.lock().stats()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.check_process().is_ok() && self.lock().is_broken()
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.check_process().is_ok() && self.lock().is_shut_down()
    }
}

/// The settings as rules of the scheduler.
fn rules(settings: &Settings, uses_lane: bool) -> Rules {
    Rules {
        policy: settings.crash_policy,
        // Without a page nothing that was given can be taken back: so no call waits behind another, or for a worker to come up.
        depth: if uses_lane { limits::FORCED_DEPTH } else { Some(1) },
        early_dispatch: uses_lane
            && settings.worker_exe.is_none()
            && settings.initializer.is_none(),
        idle_timeout: settings.idle_timeout,
        max_tasks: settings.max_tasks_per_worker,
        initializer: settings.initializer.as_ref().map(|initializer| initializer.task),
        init_timeout: settings.init_timeout,
    }
}

impl Driver for Pool {
    fn wait(&self, call: CallId, waiter: &dyn Waiter, deadline: Option<Instant>) {
        self.wait_for(call, waiter, deadline);
    }

    fn request_background_read(&self, call: CallId) {
        self.with_core(|core, now| core.request_background_read(now, call));
    }

    fn cancel(&self, call: CallId, number: Option<u32>) -> Cancelled {
        let cancel = |core: &mut Core, now| core.cancel(now, call, number);
        let (cancelled, effects, turn) = self.change_core(cancel, |_, _, cancelled| cancelled);
        if let Some(turn) = turn {
            // Answers of a batch that is divided by that are delivered as always.
            turn.deliver(effects, CancelledCallbacks::Here);
        }
        cancelled
    }

    fn running_in(&self, call: CallId, number: Option<u32>) -> Option<u32> {
        self.lock().running_in(call, number)
    }
}
