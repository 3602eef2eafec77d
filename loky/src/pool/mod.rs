//! Performs what the scheduler decides: holds the calls, writes to workers, starts and ends them, resolves futures.
//!
//! All state lies behind one short lock, [`Pool::with_state`]: an event is fed to the scheduler, its actions are performed
//! as far as they cannot block (writes never do), and what is decided is handed out once the lock is gone. What may take
//! time (starting, killing, reading, waiting) is done by the [`driver`] thread. A submitting thread writes to an idle worker
//! itself; there is no other thread on that way. Callbacks run on a thread of their own ([`callbacks`]), so that one that
//! waits does not hold up the pool.
//!
//! What a worker runs before its first call is the subject of [`initializer`], and what the end of the program waits for that of
//! [`pool_registry`].
//!
//! The pool is what the handles and the futures share; it ends when [`Pool::shutdown`] says so, not when it is dropped.
//! Tested through real workers in the package `tests`.

mod batcher;
mod callbacks;
mod capture;
mod chunks;
mod counts;
mod delivery;
mod driver;
mod effects;
mod event_log;
mod fault;
mod handshake;
mod initializer;
mod lane_reader;
mod mailbox;
mod messages;
mod outcome;
mod pool_registry;
mod readership;
mod starts;
mod state;
mod thread_guard;
mod waiting;
mod worker_link;
mod worker_process;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::callbacks::Callbacks;
use self::delivery::{CancelledCallbacks, Delivery, Turn};
use self::effects::Effects;
use self::event_log::EventLog;
pub(crate) use self::pool_registry::{are_any_left, end_all};

use self::state::State;
use crate::clock;
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::future::chunk::CallRef;
use crate::future::slot::Slot;
use crate::future::{Cancelled, Driver, DriverRef, check_process};
use crate::id::CallId;
use crate::limits;
use crate::observer::{Event, Stats};
use crate::scheduler::{Rules, Scheduler, Shutdown};
use crate::segments::Segments;
use crate::sys::fork_guard;
use crate::sys::hint;
use crate::sys::reserve::Reserve;
use crate::sys::wake::Wake;
use crate::transport::probe;
use crate::wire::args::CallArgs;

/// One pool of workers.
pub(crate) struct Pool {
    id: u64,
    owner_pid: u32,
    /// What futures have of it.
    as_driver: DriverRef,
    settings: Settings,
    state: Mutex<State>,
    /// Notified when a worker is ready, or none will be.
    changed: Condvar,
    /// Whether workers share a page with the pool, and calls go through its lane.
    uses_lane: bool,
    /// Whether calls may come as chunks: not where each is told of, or counts apart.
    takes_chunks: bool,
    /// What a map asks at each item, as of the last event.
    max_workers: AtomicUsize,
    depth: AtomicUsize,
    chunk: AtomicUsize,
    /// Whether there is a chunk that calls may join, as of the last event.
    is_joinable: AtomicBool,
    wake: Arc<Wake>,
    /// Where long arguments lie.
    segments: Segments,
    delivery: Delivery,
    /// Whether the driver thread was started.
    is_driven: AtomicBool,
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
        // The observer is theirs alone, since it may hold a handle of this pool: they let it go at the end.
        let (callbacks, events) = Callbacks::new(settings.observer.take());
        let events = EventLog::new(events);
        Ok(Arc::new_cyclic(|pool: &Weak<Self>| Self {
            as_driver: DriverRef::new(pool.clone()),
            uses_lane,
            takes_chunks: uses_lane && is_simple,
            id,
            owner_pid: fork_guard::current_pid(),
            max_workers: AtomicUsize::new(settings.max_workers),
            depth: AtomicUsize::new(1),
            chunk: AtomicUsize::new(1),
            is_joinable: AtomicBool::new(false),
            settings,
            state: Mutex::new(State::new(scheduler, events, initializer, uses_lane)),
            changed: Condvar::new(),
            segments: Segments::of_pool(Arc::clone(&wake)),
            wake: Arc::clone(&wake),
            delivery: Delivery::new(id, Arc::clone(&wake), callbacks),
            is_driven: AtomicBool::new(false),
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

    /// Refuses in a process that was forked off the one that the pool belongs to.
    pub(crate) fn check_process(&self) -> Result<()> {
        check_process(self.owner_pid)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of the user runs under this lock; a panic in ours must not become a hang.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state by `feed`, performs what the scheduler decides, and delivers the outcomes.
    fn with_state<T>(&self, feed: impl FnOnce(&mut State, Instant) -> T) -> T {
        let (answer, effects, turn) = self.decide(feed);
        if let Some(turn) = turn {
            turn.deliver(effects, CancelledCallbacks::OnTheirThread);
        }
        answer
    }

    /// Does the same but for the delivery. If calls have ended, this thread has its turn to deliver.
    fn decide<T>(
        &self,
        feed: impl FnOnce(&mut State, Instant) -> T,
    ) -> (T, Effects, Option<Turn<'_>>) {
        let now = clock::now();
        let mut state = self.lock();
        let answer = feed(&mut state, now);
        let mut effects = state.perform(now);
        state.events.send();
        let turn = effects.has_ended().then(|| self.delivery.begin());
        self.max_workers.store(state.scheduler.max_workers(), Ordering::Relaxed);
        self.depth.store(state.scheduler.depth(), Ordering::Relaxed);
        self.chunk.store(state.chunk(), Ordering::Relaxed);
        self.is_joinable.store(state.has_open_chunk(), Ordering::Relaxed);
        if state.scheduler.is_shut_down() || state.scheduler.is_broken() {
            // Before the first call is over that a worker runs still.
            self.segments.close();
        }
        if state.scheduler.is_prewarming() {
            self.changed.notify_all();
        }
        drop(state);
        if effects.wakes_pool_thread() {
            self.wake.wake();
        }
        effects.wake_sleepers();
        (answer, effects, turn)
    }

    /// Accepts a call of `task`, or returns a slot that says why not.
    pub(crate) fn submit(self: &Arc<Self>, task: &'static str, args: CallArgs) -> CallRef {
        if let Err(error) = self.check_process().and_then(|()| self.ensure_driver()) {
            return Slot::failed(task, error.with_task(task)).into();
        }
        if let Some(seat) = self.join(task, &args) {
            return seat;
        }
        let accepted = self.with_state(|state, now| {
            if let Some(refusal) = state.scheduler.refusal() {
                return Err(refusal);
            }
            let chunks = self.takes_chunks;
            let seat = state.take_in_call(now, task, args, chunks, &self.as_driver);
            Ok(seat)
        });
        let failed = |refusal| Slot::failed(task, outcome::refused(task, &refusal)).into();
        accepted.unwrap_or_else(failed)
    }

    /// Has a call join others that wait, if it may. Nothing else follows from that.
    fn join(&self, task: &'static str, args: &CallArgs) -> Option<CallRef> {
        if !args.is_small() || !self.is_joinable.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.lock();
        if state.scheduler.refusal().is_some() {
            return None;
        }
        state.join(task, args)
    }

    /// Accepts calls of `task` together, or returns slots that say why not.
    pub(crate) fn submit_all(
        self: &Arc<Self>,
        task: &'static str,
        calls: Vec<CallArgs>,
    ) -> Vec<Arc<Slot>> {
        let failed = |error: Error| Slot::failed(task, error.with_task(task));
        if let Err(error) = self.check_process().and_then(|()| self.ensure_driver()) {
            return calls.iter().map(|_| failed(error.clone())).collect();
        }
        let n_calls = calls.len();
        let accepted = self.with_state(|state, now| {
            if let Some(refusal) = state.scheduler.refusal() {
                return Err(refusal);
            }
            state.drain_if_queued(now);
            let accept = |args| state.accept(task, args, &self.as_driver).1;
            let slots = calls.into_iter().map(accept).collect();
            state.scheduler.advance(now);
            Ok(slots)
        });
        accepted.unwrap_or_else(|refusal| {
            let error = outcome::refused(task, &refusal);
            (0..n_calls).map(|_| failed(error.clone())).collect()
        })
    }

    /// Returns when all workers are up.
    pub(crate) fn prewarm(self: &Arc<Self>) -> Result<()> {
        self.check_process()?;
        self.ensure_driver()?;
        let starts = self.with_state(|state, now| {
            state.scheduler.prewarm(now);
            state.starts.begin_prewarm()
        });
        let mut state = self.lock();
        let result = loop {
            if let Some(refusal) = state.scheduler.refusal() {
                break Err(outcome::refusal(&refusal));
            }
            if state.scheduler.ready_workers() >= state.scheduler.max_workers() {
                break Ok(());
            }
            // What was begun before may have failed of something that the caller has mended meanwhile.
            if let Some(error) = state.starts.failure_after(starts) {
                break Err(error.clone());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        self.with_state(|state, now| state.scheduler.end_prewarm(now));
        result
    }

    /// Changes how many workers there are to be. Waits for nothing.
    pub(crate) fn resize(&self, max_workers: usize) -> Result<()> {
        self.check_process()?;
        self.with_state(|state, now| match state.scheduler.refusal() {
            Some(refusal) => Err(outcome::refusal(&refusal)),
            None => {
                let from = state.scheduler.max_workers();
                if from != max_workers {
                    state.events.note(|| Event::Resized { from, to: max_workers });
                }
                state.scheduler.resize(now, max_workers);
                Ok(())
            }
        })
    }

    /// Notes that another executor has come in the place of this one.
    pub(crate) fn replaced(&self, by: u64) {
        if self.check_process().is_ok() {
            self.with_state(|state, _| state.events.note(|| Event::Replaced { by }));
        }
    }

    /// Whether calls are taken.
    pub(crate) fn is_open(&self) -> bool {
        self.check_process().is_ok() && self.lock().scheduler.refusal().is_none()
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
        if self.takes_chunks { self.chunk.load(Ordering::Relaxed) } else { 1 }
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
        let waits = self.begin_end(|scheduler, now| match now.checked_add(limit) {
            Some(deadline) => scheduler.shutdown_by(now, deadline),
            None => scheduler.shutdown(now, Shutdown::Wait),
        });
        if waits {
            self.wait_until_gone();
        } else if self.check_process().is_err() {
            return false;
        }
        let state = self.lock();
        let is_over = waits || matches!(state.driver, DriverState::Unstarted);
        is_over && !state.scheduler.was_killed()
    }

    /// Begins a shutdown without waiting. True if there is an end that this thread may wait for.
    fn begin_shutdown(&self, how: Shutdown) -> bool {
        self.begin_end(|scheduler, now| scheduler.shutdown(now, how))
    }

    /// Begins the end of the pool by `shutdown`. True if there is an end that this thread may wait for.
    fn begin_end(&self, shutdown: impl FnOnce(&mut Scheduler, Instant)) -> bool {
        if self.check_process().is_err() {
            return false;
        }
        let is_unstarted = self.with_state(|state, now| {
            if !state.scheduler.is_shut_down() {
                state.events.note(|| Event::ShutDown {});
            }
            state.drain(now); // What has an answer keeps it.
            shutdown(&mut state.scheduler, now);
            state.mailbox.is_unstarted()
        });
        if thread_guard::is_of(self.id) {
            return false;
        }
        if is_unstarted {
            // Nor will it be. The observer goes: it may hold a handle of this pool.
            self.lock().events.close();
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
                // A panic of the driver was reported by the hook, and its calls are resolved.
                let _ = thread.join();
                let _ = self.gone.set(());
            }
            None => {
                self.gone.wait();
            }
        }
    }

    /// Starts the driver thread with the first call.
    fn ensure_driver(self: &Arc<Self>) -> Result<()> {
        if self.is_driven.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        if !state.mailbox.is_unstarted() || state.scheduler.refusal().is_some() {
            return Ok(());
        }
        let failed = |error: io::Error| {
            let message = format!("cannot start the pool's thread{}", hint(&error));
            Error::io(ErrorKind::Spawn, &message, error)
        };
        let reserve = Reserve::new().map_err(failed)?;
        if state.events.is_observed() {
            self.delivery.start_callbacks().map_err(failed)?;
        }
        let pool = Arc::clone(self);
        let builder = thread::Builder::new()
            .name(format!("loky-pool-{}", self.id))
            .stack_size(limits::THREAD_STACK_BYTES);
        if !pool_registry::add(self) {
            let message = "cannot schedule new futures after the end of `main`";
            return Err(Error::new(ErrorKind::ShutdownExecutor, message));
        }
        let handle = builder.spawn(move || driver::run(&pool, reserve)).map_err(|error| {
            pool_registry::remove(self);
            failed(error)
        })?;
        state.mailbox.thread_started();
        *thread = Some(handle);
        self.is_driven.store(true, Ordering::Release);
        Ok(())
    }

    /// The processes of the live workers, by their index.
    pub(crate) fn worker_pids(&self) -> Vec<u32> {
        if self.check_process().is_err() {
            return Vec::new();
        }
        let state = self.lock();
        let mut links: Vec<_> = state.links.values().collect();
        links.sort_unstable_by_key(|link| link.index);
        links.iter().map(|link| link.pid).collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        if self.check_process().is_err() {
            return Stats::default();
        }
        self.lock().stats()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.check_process().is_ok() && self.lock().scheduler.is_broken()
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.check_process().is_ok() && self.lock().scheduler.is_shut_down()
    }
}

/// What the settings say to the scheduler.
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
    fn wait(&self, call: CallId, slot: &Slot, deadline: Option<Instant>) {
        self.wait_for(call, slot, deadline);
    }

    fn request_background_read(&self, call: CallId) {
        self.with_state(|state, now| {
            state.burst.end();
            state.flush_deferred(now);
            state.request_background_read(call);
        });
    }

    fn request_background_read_moved(&self, call: CallId) {
        // What is held back stays so: perhaps this call is about to be cancelled.
        self.with_state(|state, _now| state.request_background_read(call));
    }

    fn cancel(&self, call: CallId, number: Option<u32>) -> Cancelled {
        let (cancelled, effects, turn) = self.decide(|state, now| state.cancel(now, call, number));
        if let Some(turn) = turn {
            // Answers of a batch that is divided by that go the way of all others.
            turn.deliver(effects, CancelledCallbacks::Here);
        }
        cancelled
    }

    fn running_in(&self, call: CallId, number: Option<u32>) -> Option<u32> {
        self.lock().running_in(call, number)
    }
}
