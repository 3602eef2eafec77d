//! The place of one outcome: written once by its [`Promise`], read by any number of futures.
//!
//! ```text
//!  Pending ──resolve──▶ Done
//! ```
//!
//! `resolve` takes the promise by value, so there is no second one. A promise that is dropped resolves its slot with an
//! error: a waiter is never left behind, whatever becomes of the pool's thread.
//!
//! Of a chunk it is the place of all its calls: their futures ask for one of them by its number, and follow those that are not
//! here any more ([`chunk`](super::chunk)). Who was to be told of one that has moved on is moved with it.
//!
//! A thread that waits here is *parked*: it sleeps until there is an outcome, until its deadline, or until it is *nudged*,
//! which tells it to ask the pool again whether there is something that it could do for its call. No wake-up is lost: the
//! outcome and the number of nudges lie behind the lock that the sleep gives up, and whoever is to be nudged has read the
//! number before he was entered where others find him. Modelled with loom in `model.rs`, over this very source.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crossbeam_channel::Sender;

use super::chunk::{CallRef, ChunkOutcome, Lookup};
use super::locks::{Condvar, Mutex, MutexGuard};
use super::payload::Payload;
use super::{Driver, DriverRef};
use crate::clock;
use crate::error::{Error, ErrorKind, Execution};
use crate::id::CallId;
use crate::sys::fork_guard;
use crate::unwind;

/// What a call came back with: the encoded result, or why there is none.
pub(crate) type Outcome = Result<Payload, Error>;

/// What is to be called when there is an outcome.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

/// Whether a call has an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Snapshot {
    Pending,
    Done { cancelled: bool },
}

impl Snapshot {
    pub(crate) fn is_cancelled(self) -> bool {
        self == Self::Done { cancelled: true }
    }
}

/// Why a thread that was parked goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unparked {
    Done,
    Nudged,
    TimedOut,
}

/// See the module's documentation.
pub(crate) struct Slot {
    task: &'static str,
    /// `None` of a call that was never accepted.
    driver: Option<DriverRef>,
    call: CallId,
    owner_pid: u32,
    done: Condvar,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    /// Who else is to be told: nobody, most of the time, so it is made for the first.
    audience: Option<Box<Listeners>>,
    worker_pid: Option<NonZeroU32>,
    /// How many threads are parked: where there are none, nobody is woken, which would take a system call.
    parked: u32,
    /// How often those who are parked were told to look again.
    nudges: u32,
}

impl Inner {
    fn audience(&mut self) -> &mut Listeners {
        self.audience.get_or_insert_default()
    }

    /// Where the call with this number is, if it has moved on.
    fn seat(&self, number: Option<u32>) -> Option<CallRef> {
        match &self.state {
            State::Chunk(Some(outcome)) => outcome.seat(number?),
            _ => None,
        }
    }
}

enum State {
    Pending,
    Done(Outcome),
    /// Of a chunk; `None` when the one who waits for all of it has taken it.
    Chunk(Option<Box<ChunkOutcome>>),
}

impl State {
    fn is_done(&self) -> bool {
        !matches!(self, Self::Pending)
    }

    /// Whether the call was cancelled, or all those of a chunk were.
    fn is_cancelled(&self) -> bool {
        match self {
            Self::Pending | Self::Chunk(None) => false,
            Self::Done(outcome) => outcome.as_ref().is_err_and(Error::is_cancelled),
            Self::Chunk(Some(outcome)) => outcome.is_cancelled(),
        }
    }

    /// The outcome of one call. Of a chunk as a whole it says nothing, but that it is there.
    fn outcome(&mut self, of: Option<u32>) -> Option<Outcome> {
        match (self, of) {
            (Self::Pending, _) => None,
            (Self::Done(outcome), _) => Some(outcome.clone()),
            (Self::Chunk(Some(outcome)), Some(number)) => Some(outcome.outcome(number)),
            (Self::Chunk(_), _) => Some(Ok([][..].into())),
        }
    }
}

/// Somebody who waits for several calls: gets the number that he has given this one when it is done.
struct Watcher {
    /// Which call of a chunk it is.
    of: Option<u32>,
    number: usize,
    sender: Sender<usize>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("task", &self.task)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

impl Slot {
    fn new(task: &'static str, driver: Option<DriverRef>, call: CallId, state: State) -> Arc<Self> {
        let inner = Inner { state, audience: None, worker_pid: None, parked: 0, nudges: 0 };
        Arc::new(Self {
            task,
            driver,
            call,
            owner_pid: fork_guard::current_pid(),
            done: Condvar::new(),
            inner: Mutex::new(inner),
        })
    }

    /// A slot that is done from the beginning, of a call that was never accepted.
    pub(crate) fn failed(task: &'static str, error: Error) -> Arc<Self> {
        Self::new(task, None, CallId::NONE, State::Done(Err(error)))
    }

    /// `None` in a process that was forked off the one that the slot belongs to: there another thread may have had the lock,
    /// and nobody will ever give it back.
    fn lock(&self) -> Option<MutexGuard<'_, Inner>> {
        // Nothing that may panic runs under this lock.
        self.is_ours().then(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_ours(&self) -> bool {
        fork_guard::current_pid() == self.owner_pid
    }

    pub(super) fn task(&self) -> &'static str {
        self.task
    }

    pub(super) fn owner_pid(&self) -> u32 {
        self.owner_pid
    }

    pub(super) fn driver(&self) -> Option<(Arc<dyn Driver>, CallId)> {
        Some((self.driver.as_ref()?.get()?, self.call))
    }

    pub(super) fn worker_pid(&self, of: Option<u32>) -> Lookup<Option<u32>> {
        self.look(of, None, |inner| inner.worker_pid.map(NonZeroU32::get))
    }

    pub(super) fn snapshot(&self, of: Option<u32>) -> Lookup<Snapshot> {
        self.look(of, Snapshot::Pending, |inner| match &inner.state {
            State::Pending => Snapshot::Pending,
            State::Done(_) => Snapshot::Done { cancelled: inner.state.is_cancelled() },
            State::Chunk(_) => {
                Snapshot::Done { cancelled: of.is_some() && inner.state.is_cancelled() }
            }
        })
    }

    /// Looks at the slot, if the call is here: `none` in a process that was forked off.
    fn look<T>(&self, of: Option<u32>, none: T, look: impl FnOnce(&mut Inner) -> T) -> Lookup<T> {
        let Some(mut inner) = self.lock() else { return Lookup::Here(none) };
        match inner.seat(of) {
            Some(seat) => Lookup::Elsewhere(seat),
            None => Lookup::Here(look(&mut inner)),
        }
    }

    /// Whether there is an outcome.
    pub(crate) fn is_done(&self) -> bool {
        self.lock().is_some_and(|inner| inner.state.is_done())
    }

    /// The outcome, if there is one.
    pub(super) fn peek(&self, of: Option<u32>) -> Lookup<Option<Outcome>> {
        self.look(of, None, |inner| inner.state.outcome(of))
    }

    /// The outcome of a chunk, if there is one: once.
    pub(super) fn take_chunk(&self) -> Option<ChunkOutcome> {
        match &mut self.lock()?.state {
            State::Chunk(outcome) => outcome.take().map(|outcome| *outcome),
            State::Pending | State::Done(_) => None,
        }
    }

    /// Has those who are parked look at what has changed.
    fn unpark(&self, inner: MutexGuard<'_, Inner>) {
        let is_anybody = inner.parked > 0;
        drop(inner);
        if is_anybody {
            self.done.notify_all();
        }
    }

    /// How often those who are parked were nudged: to be asked before one is parked.
    pub(crate) fn nudges(&self) -> u64 {
        self.lock().map_or(0, |inner| inner.nudges.into())
    }

    /// Blocks until there is an outcome, until there are more nudges than `seen`, or until `deadline`.
    pub(crate) fn park(&self, seen: Option<u64>, deadline: Option<Instant>) -> Unparked {
        let Some(mut inner) = self.lock() else { return Unparked::TimedOut };
        inner.parked += 1;
        let unparked = loop {
            if inner.state.is_done() {
                break Unparked::Done;
            }
            if seen.is_some_and(|seen| u64::from(inner.nudges) != seen) {
                break Unparked::Nudged;
            }
            inner = match deadline {
                None => self.done.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(clock::now());
                    if left.is_zero() {
                        break Unparked::TimedOut;
                    }
                    let waited = self.done.wait_timeout(inner, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        inner.parked -= 1;
        unparked
    }

    /// The outcome, or else a promise that `waker` will be woken when there is one, or when the call has moved on. `key` is the
    /// polled handle's, which gets one here; a waker that it left before is replaced.
    pub(super) fn poll(
        &self,
        of: Option<u32>,
        key: &mut Option<u64>,
        waker: &Waker,
    ) -> Lookup<Option<Outcome>> {
        // Cloning and dropping are the code of some runtime, and not to be run under the lock.
        let mut waker = Some(waker.clone());
        let found = self.look(of, None, |inner| {
            let outcome = inner.state.outcome(of);
            if outcome.is_none()
                && let Some(new) = waker.take()
            {
                waker = inner.audience().put_waker(key, new);
            }
            outcome
        });
        drop(waker);
        found
    }

    /// Forgets the waker of a handle that is gone.
    pub(super) fn forget_waker(&self, key: u64) {
        let forgotten =
            self.lock().and_then(|mut inner| inner.audience.as_mut()?.wakers.remove(&key));
        drop(forgotten);
    }

    /// Runs the callback when there is an outcome: now, if there is one. True if it is still to come.
    pub(super) fn add_callback(
        &self,
        of: Option<u32>,
        callback: &mut Option<Callback>,
    ) -> Lookup<bool> {
        let found = self.leave_callback(of, callback);
        if let Lookup::Here(false) = found
            && self.is_ours()
        {
            run_callbacks(callback.take().into_iter().collect());
        }
        found
    }

    /// Takes the callback, if the outcome is still to come: true then.
    pub(super) fn leave_callback(
        &self,
        of: Option<u32>,
        callback: &mut Option<Callback>,
    ) -> Lookup<bool> {
        self.look(of, false, |inner| {
            let is_to_come = !inner.state.is_done();
            if is_to_come {
                inner.audience().callbacks.extend(callback.take().map(|callback| (of, callback)));
            }
            is_to_come
        })
    }

    /// Has `number` sent when there is an outcome: now, if there is one. True if it is still to come.
    pub(crate) fn watch(
        &self,
        of: Option<u32>,
        number: usize,
        sender: &Sender<usize>,
    ) -> Lookup<bool> {
        self.look(of, false, |inner| {
            let is_to_come = !inner.state.is_done();
            if is_to_come {
                inner.audience().watchers.push(Watcher { of, number, sender: sender.clone() });
            } else {
                // Nobody listens any more, or the number arrives: the channel is unbounded.
                let _ = sender.send(number);
            }
            is_to_come
        })
    }

    /// Forgets a watcher that has gone before the outcome came.
    pub(super) fn unwatch(&self, of: Option<u32>, sender: &Sender<usize>) -> Lookup<()> {
        self.look(of, (), |inner| {
            if let Some(audience) = &mut inner.audience {
                audience.watchers.retain(|watcher| !watcher.sender.same_channel(sender));
            }
        })
    }
}

/// The write end of a slot.
pub(crate) struct Promise {
    slot: Option<Arc<Slot>>,
}

impl Promise {
    /// A new slot for a call of `task`.
    pub(crate) fn new(task: &'static str, driver: &DriverRef, call: CallId) -> (Self, Arc<Slot>) {
        let slot = Slot::new(task, Some(driver.clone()), call, State::Pending);
        (Self { slot: Some(Arc::clone(&slot)) }, slot)
    }

    pub(crate) fn task(&self) -> &'static str {
        self.slot.as_ref().map_or("", |slot| slot.task)
    }

    pub(crate) fn slot(&self) -> Option<&Arc<Slot>> {
        self.slot.as_ref()
    }

    /// The way to the pool of its call.
    pub(crate) fn driver(&self) -> Option<DriverRef> {
        self.slot.as_ref()?.driver.clone()
    }

    /// Has those who are parked look again.
    pub(crate) fn unpark_to_retry(&self) {
        if let Some(slot) = &self.slot
            && let Some(mut inner) = slot.lock()
        {
            inner.nudges = inner.nudges.wrapping_add(1);
            slot.unpark(inner);
        }
    }

    /// Writes the outcome and wakes who is parked. `worker_pid` is the process that has begun the call, if one has. Who else
    /// is to be told comes back, if anybody is.
    pub(crate) fn resolve(
        mut self,
        outcome: Outcome,
        worker_pid: Option<u32>,
    ) -> Option<Listeners> {
        let slot = self.slot.take()?;
        fill(&slot, State::Done(outcome), worker_pid)
    }

    /// The same for a chunk, of which this process has run what has an answer.
    pub(crate) fn resolve_chunk(
        mut self,
        outcome: ChunkOutcome,
        worker_pid: Option<u32>,
    ) -> Option<Listeners> {
        let slot = self.slot.take()?;
        fill(&slot, State::Chunk(Some(Box::new(outcome))), worker_pid)
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            let message = format!("the call of `{}` was lost by a fault in the pool", slot.task);
            let error = Error::new(ErrorKind::BrokenProcessPool, message)
                .with_task(slot.task)
                .with_execution(Execution::Started);
            tell_everybody(fill(&slot, State::Done(Err(error)), None));
        }
    }
}

/// Who is to be told of an outcome that is there: with no lock held, and after all others that came with it are there too.
#[must_use = "somebody waits for it"]
#[derive(Default)]
pub(crate) struct Listeners {
    watchers: Vec<Watcher>,
    /// One for each handle that is polled: the one of its latest poll.
    wakers: BTreeMap<u64, Waker>,
    last_waker: u64,
    /// With the numbers of their calls in a chunk.
    callbacks: Vec<(Option<u32>, Callback)>,
    /// Those of calls that were cancelled.
    cancelled: Vec<Callback>,
    /// Where some of them have moved to, one for each slot.
    moved: Vec<CallRef>,
}

impl Listeners {
    /// The waker of the handle with this key, which gets one if it has none. The one that it left before comes back.
    fn put_waker(&mut self, key: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let key = *key.get_or_insert_with(|| {
            self.last_waker += 1;
            self.last_waker
        });
        self.wakers.insert(key, waker)
    }

    /// The callbacks, to be run where the pool wants them to: but for those of calls that were cancelled.
    #[must_use = "the callbacks are still to be run"]
    pub(crate) fn take_callbacks(&mut self) -> Vec<Callback> {
        self.callbacks.drain(..).map(|(_, callback)| callback).collect()
    }

    /// The callbacks of calls that were cancelled.
    #[must_use = "the callbacks are still to be run"]
    pub(crate) fn take_cancelled(&mut self) -> Vec<Callback> {
        std::mem::take(&mut self.cancelled)
    }

    /// Has those be told elsewhere whose calls have moved on. (They are not there before this slot says so, but for this. So the
    /// order of callbacks stays.)
    fn move_on(&mut self, outcome: &ChunkOutcome) {
        let seat = |of: Option<u32>| outcome.seat(of?);
        let moved = &mut self.moved;
        let mut note = |seat: &CallRef| {
            if moved.last().is_none_or(|last| !Arc::ptr_eq(&last.slot, &seat.slot)) {
                moved.push(seat.clone());
            }
        };
        self.watchers.retain(|Watcher { of, number, sender }| {
            let Some(seat) = seat(*of) else { return true };
            if seat.ask(|seat| seat.slot.watch(seat.number, *number, sender)) {
                note(&seat);
            }
            false
        });
        for (of, callback) in std::mem::take(&mut self.callbacks) {
            let mut callback = Some(callback);
            let seat = seat(of);
            if let Some(seat) = &seat
                && seat.ask(|seat| seat.slot.leave_callback(seat.number, &mut callback))
            {
                note(seat);
            }
            // Of a call that is over there it is run with those from here.
            let Some(callback) = callback else { continue };
            match seat.is_some_and(|seat| seat.snapshot().is_cancelled()) {
                true => self.cancelled.push(callback),
                false => self.callbacks.push((of, callback)),
            }
        }
    }

    /// Tells all others.
    pub(crate) fn tell(self) {
        for Watcher { number, sender, .. } in self.watchers {
            // Perhaps nobody listens any more.
            let _ = sender.send(number);
        }
        for waker in self.wakers.into_values() {
            // A waker is the code of some runtime: what it does wrong is not to hurt the pool.
            let _ = unwind::guarded(|| waker.wake());
        }
        for seat in self.moved {
            // The pool did not know that somebody is to be told of these.
            if let Some((driver, call)) = seat.slot.driver() {
                driver.request_background_read_moved(call);
            }
        }
    }
}

/// Tells all, here and now, if there is anybody.
pub(crate) fn tell_everybody(audience: Option<Listeners>) {
    if let Some(mut audience) = audience {
        let callbacks = (audience.take_callbacks(), audience.take_cancelled());
        audience.tell();
        run_callbacks(callbacks.0);
        run_callbacks(callbacks.1);
    }
}

fn fill(slot: &Slot, state: State, worker_pid: Option<u32>) -> Option<Listeners> {
    let mut inner = slot.lock()?;
    let mut audience = inner.audience.take().map(|audience| *audience);
    if let Some(audience) = &mut audience {
        if let State::Chunk(Some(outcome)) = &state {
            audience.move_on(outcome);
        }
        if state.is_cancelled() {
            audience.cancelled.extend(audience.callbacks.drain(..).map(|(_, callback)| callback));
        }
    }
    inner.state = state;
    inner.worker_pid = worker_pid.and_then(NonZeroU32::new);
    slot.unpark(inner);
    audience
}

/// Runs callbacks one after another, with no lock held. One that panics was reported by the panic hook.
pub(crate) fn run_callbacks(callbacks: Vec<Callback>) {
    for callback in callbacks {
        let _ = unwind::guarded(callback);
    }
}
