//! What lies behind the pool's lock, and performing the scheduler's actions on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batcher::SubmitRate;
use super::counts::Counts;
use super::effects::{Effects, EndedCall, Sleeper};
use super::event_log::EventLog;
use super::fault::PAGE_CORRUPT;
use super::lane_reader::Drained;
use super::mailbox::{Job, Mailbox};
use super::outcome::CallEnd;
use super::starts::Starts;
use super::worker_link::{Link, Source};
use crate::calls::{CallIds, CallMap};
use crate::error::{Error, Execution, WorkerExit};
use crate::future::slot::{Promise, Slot};
use crate::future::{Cancelled, DriverRef};
use crate::id::{CallId, Ticket, WorkerId};
use crate::limits;
use crate::observer::{Event, Retirement};
use crate::scheduler::{Action, CallState, Refusal, Scheduler, Verdict};
use crate::sys::wake::Wake;
use crate::transport::slots::PageCorrupt;
use crate::transport::slots::table::Progress;
use crate::wire::args::CallArgs;

/// An accepted call that has no outcome yet.
pub(super) struct Pending {
    pub(super) promise: Promise,
    pub(super) args: CallArgs,
    /// Where it lies.
    pub(super) at: Option<(WorkerId, Ticket)>,
    /// How many threads are parked on it.
    pub(super) parked: u32,
    /// The thread that waits for it and has gone to sleep.
    pub(super) sleeper: Option<Sleeper>,
    /// Whether somebody is to be told who does not wait in one of these ways.
    pub(super) attended: bool,
}

impl Pending {
    fn new(promise: Promise, args: CallArgs) -> Self {
        Self { promise, args, at: None, parked: 0, sleeper: None, attended: false }
    }

    pub(super) fn task(&self) -> &'static str {
        self.promise.task()
    }
}

/// Everything behind the lock.
pub(super) struct State {
    pub(super) scheduler: Scheduler,
    /// Whether workers share a page with the pool, and calls go through its lane.
    pub(super) uses_lane: bool,
    /// What each new worker is to do before it is given a call.
    pub(super) initializer: Option<(&'static str, CallArgs)>,
    pub(super) ids: CallIds,
    pub(super) calls: CallMap<Pending>,
    pub(super) links: BTreeMap<WorkerId, Link>,
    pub(super) mailbox: Mailbox,
    pub(super) starts: Starts,
    /// How many of the calls are chunks.
    pub(super) chunks: usize,
    /// The chunk that calls may join as long as it is the last in the queue.
    pub(super) open: Option<CallId>,
    pub(super) burst: SubmitRate,
    /// Whether the scheduler may not have been asked yet who is to have what was submitted last.
    pub(super) may_hold: bool,
    /// How many threads are parked, and how many calls attended: none, most of the time.
    pub(super) parked: usize,
    pub(super) attended: usize,
    /// Room for the workers that were given calls.
    written: Vec<WorkerId>,
    /// Room for what is taken out of the lanes.
    pub(super) drained: Vec<(WorkerId, Drained)>,
    /// Descriptors of waiters, for the next ones.
    pub(super) wakes: Vec<Arc<Wake>>,
    pub(super) counts: Counts,
    pub(super) events: EventLog,
    pub(super) effects: Effects,
}

impl State {
    pub(super) fn new(
        scheduler: Scheduler,
        events: EventLog,
        initializer: Option<(&'static str, CallArgs)>,
        uses_lane: bool,
    ) -> Self {
        Self {
            scheduler,
            uses_lane,
            initializer,
            ids: CallIds::default(),
            calls: CallMap::default(),
            links: BTreeMap::new(),
            mailbox: Mailbox::new(),
            starts: Starts::default(),
            chunks: 0,
            open: None,
            burst: SubmitRate::default(),
            may_hold: false,
            parked: 0,
            attended: 0,
            written: Vec::new(),
            drained: Vec::new(),
            wakes: Vec::new(),
            counts: Counts::default(),
            events,
            effects: Effects::default(),
        }
    }

    /// Takes a call in, which is not refused. The scheduler is to advance then.
    pub(super) fn accept(
        &mut self,
        task: &'static str,
        args: CallArgs,
        driver: &DriverRef,
    ) -> (CallId, Arc<Slot>) {
        let count = args.count();
        self.counts.submitted += u64::from(count);
        let call = self.ids.next_batch(count);
        let slot = self.insert(call, task, args, driver, None);
        self.events.note(|| Event::CallSubmitted { call: call.number, task });
        self.scheduler.submit(call, count);
        (call, slot)
    }

    /// A new call, of which the scheduler is still to know.
    pub(super) fn insert(
        &mut self,
        call: CallId,
        task: &'static str,
        args: CallArgs,
        driver: &DriverRef,
        at: Option<(WorkerId, Ticket)>,
    ) -> Arc<Slot> {
        let (promise, slot) = Promise::new(task, driver, call);
        self.chunks += usize::from(matches!(args, CallArgs::Chunk(_)));
        self.calls.insert(call, Pending { at, ..Pending::new(promise, args) });
        slot
    }

    /// The call is over: what it came back with is handed out when the lock is gone.
    pub(super) fn end(
        &mut self,
        call: CallId,
        ending: CallEnd,
        worker_pid: Option<u32>,
        run_time: Option<Duration>,
    ) {
        if let Some(pending) = self.calls.remove(&call) {
            debug_assert!(
                self.scheduler.call_state(call).is_none(),
                "nobody keeps anything for it"
            );
            self.ids.release(call);
            self.chunks -= usize::from(matches!(pending.args, CallArgs::Chunk(_)));
            self.counts.note(&ending, pending.args.count());
            self.events.note(|| {
                let (task, error) = (pending.task(), ending.error_kind());
                Event::CallFinished { call: call.number, task, worker_pid, run_time, error }
            });
            self.attended -= usize::from(pending.attended);
            let Pending { promise, args, sleeper, .. } = pending;
            self.wake_sleeper(sleeper);
            self.effects.end(EndedCall { promise, ending, worker_pid, args });
        }
    }

    /// Tells the thread that has gone to sleep for a call, which lay there, that it need not.
    fn wake_sleeper(&mut self, sleeper: Option<Sleeper>) {
        self.effects.wake(sleeper);
    }

    /// Performs what the scheduler has decided, as far as it takes no time, and gives back what is left to be done.
    pub(super) fn perform(&mut self, now: Instant) -> Effects {
        self.act(now);
        let wakes = self.mailbox.note_change(now, self.effects.wakes_pool_thread());
        self.effects.wake_pool_thread(wakes);
        std::mem::take(&mut self.effects)
    }

    /// Performs the scheduler's actions. Calls come to be queued again by that, which brings about others.
    pub(super) fn act(&mut self, now: Instant) {
        self.events.note_break(|| broken(&self.scheduler));
        let mut written = std::mem::take(&mut self.written);
        loop {
            let mut has_taken_back = false;
            while let Some(action) = self.scheduler.poll_action() {
                match action {
                    Action::Dispatch { worker, call } => {
                        self.dispatch(now, worker, call);
                        if written.last() != Some(&worker) {
                            written.push(worker);
                        }
                    }
                    Action::Revoke { worker, call } => {
                        has_taken_back |= self.take_back(now, worker, call);
                    }
                    Action::Divide { worker, call } => {
                        has_taken_back |= self.divide(now, worker, call);
                    }
                    Action::Resolve { call, worker, verdict } => {
                        self.judge(call, worker, verdict);
                    }
                    Action::Start { worker, index } => {
                        self.mailbox.post(Job::Start { worker, index })
                    }
                    Action::Retire { worker, why } => {
                        self.mailbox.post(Job::Retire { worker, why })
                    }
                    Action::Kill { worker } => self.kill(worker),
                    Action::End => self.mailbox.end(),
                }
            }
            for worker in written.drain(..) {
                self.write(worker);
            }
            if !has_taken_back {
                break;
            }
            self.scheduler.advance(now);
        }
        self.written = written;
    }

    /// Ends a worker: its watch does it when the channel is shut, at which who reads from the stream comes back too (and who sleeps
    /// on the lane when it is found dead). That does not wait for the driver, which may be in a waker of the user.
    fn kill(&mut self, worker: WorkerId) {
        if let Some(link) = self.links.get(&worker) {
            link.socket.hang_up();
        }
        self.mailbox.post(Job::Kill { worker });
    }

    /// Gives a call to its worker.
    fn dispatch(&mut self, now: Instant, worker: WorkerId, call: CallId) {
        let Some(pending) = self.calls.get_mut(&call) else { return };
        let Some(link) = self.links.get_mut(&worker) else { return };
        let had_nothing = link.slots.is_empty();
        let ticket = match link.give(call, pending.task(), &pending.args) {
            Ok(ticket) => ticket,
            Err(PageCorrupt) => {
                self.scheduler.call_revoked(now, call);
                return self.mark_page_corrupt(now, worker);
            }
        };
        pending.at = Some((worker, ticket));
        self.events.note(|| {
            let (task, worker_pid) = (pending.task(), link.pid);
            Event::CallGiven { call: call.number, task, worker_pid }
        });
        if had_nothing {
            link.readership.leave_unread(now);
        }
        if link.readership.unread_since().is_some() {
            if pending.attended {
                self.effects.wake_pool_thread(link.readership.read_in_background());
            } else if pending.parked > 0 {
                pending.promise.unpark_to_retry();
            }
        }
    }

    /// Writes what was given to a worker.
    pub(super) fn write(&mut self, worker: WorkerId) {
        if let Some(link) = self.links.get_mut(&worker) {
            link.flush();
            if link.outbox.is_waiting() {
                self.effects.wake_pool_thread(true);
                self.scheduler.worker_congested(worker);
            }
        }
    }

    /// Takes a call back that lies with a worker. False if that has begun it.
    pub(super) fn take_back(&mut self, now: Instant, worker: WorkerId, call: CallId) -> bool {
        let Some(pending) = self.calls.get_mut(&call) else { return false };
        let Some((at, ticket)) = pending.at.filter(|(at, _)| *at == worker) else { return false };
        let Some(link) = self.links.get_mut(&at) else { return false };
        match link.slots.revoke(ticket) {
            Ok(true) => {
                pending.at = None;
                self.events.note(|| {
                    let (task, worker_pid) = (pending.task(), link.pid);
                    Event::CallTakenBack { call: call.number, task, worker_pid }
                });
                let sleeper = pending.sleeper.take();
                self.wake_sleeper(sleeper);
                self.scheduler.call_revoked(now, call);
                true
            }
            Ok(false) => false,
            Err(PageCorrupt) => {
                self.mark_page_corrupt(now, worker);
                false
            }
        }
    }

    /// Cancels a call that has not begun; of a chunk all that has not, or the one with this number.
    pub(super) fn cancel(&mut self, now: Instant, call: CallId, number: Option<u32>) -> Cancelled {
        if let Some(number) = number {
            return self.cancel_one(now, call, number);
        }
        if let Some(CallState::Dispatched(worker)) = self.scheduler.call_state(call)
            && !self.take_back(now, worker, call)
        {
            // Who cancels it goes on to cancel what it is now: meanwhile nobody is given that.
            self.divide(now, worker, call);
        }
        match self.scheduler.call_state(call) {
            Some(CallState::Queued) => {
                self.scheduler.cancel(now, call);
                Cancelled::Yes
            }
            Some(CallState::Dispatched(_)) => Cancelled::No,
            None => Cancelled::IsOver,
        }
    }

    /// Ends a call without a result.
    fn judge(&mut self, call: CallId, worker: Option<WorkerId>, verdict: Verdict) {
        let Some(pending) = self.calls.get(&call) else { return };
        let at = pending.at.filter(|(at, _)| worker == Some(*at));
        let (execution, pid) = match (&verdict, at) {
            (Verdict::Terminated { exit, began: true }, _) => (Execution::Started, Some(exit.pid)),
            (Verdict::Terminated { began: false, .. }, _) | (_, None) => {
                (Execution::NotStarted, None)
            }
            (_, Some(at)) if self.judge_chunk(call, at, &verdict) => return,
            (_, Some((worker, ticket))) => self.settle(worker, ticket),
        };
        self.end(call, CallEnd::Judged(verdict, execution), pid, None);
    }

    /// Whether a call has begun that ends now, whatever its worker does; and if so, where.
    fn settle(&mut self, worker: WorkerId, ticket: Ticket) -> (Execution, Option<u32>) {
        let Some(link) = self.links.get_mut(&worker) else { return (Execution::Started, None) };
        match link.slots.revoke(ticket) {
            Ok(true) => (Execution::NotStarted, None),
            Ok(false) if link.slots.progress(ticket) == Ok(Progress::Finished) => {
                (Execution::Finished, Some(link.pid))
            }
            Ok(false) | Err(PageCorrupt) => (Execution::Started, Some(link.pid)),
        }
    }

    /// The worker is told to leave, by the pool's thread, which listens to what it has to say to that.
    pub(super) fn retired(&mut self, worker: WorkerId, why: Retirement) {
        self.counts.workers_retired += 1;
        if let Some(link) = self.links.get_mut(&worker) {
            link.is_leaving = true;
            link.order();
            link.readership.read_in_background();
        }
        self.note_retirement(worker, why);
    }

    /// The worker's page says what cannot be: it is not believed any more.
    fn mark_page_corrupt(&mut self, now: Instant, worker: WorkerId) {
        if let Some(link) = self.links.get_mut(&worker) {
            link.is_page_false = true;
        }
        self.scheduler.worker_misbehaved(now, worker, PAGE_CORRUPT);
    }

    /// Somebody is to be told of the call's outcome who does not wait for it.
    pub(super) fn request_background_read(&mut self, call: CallId) {
        if self.attended == 0 {
            self.wake_patient_readers();
        }
        let Some(pending) = self.calls.get_mut(&call) else { return };
        self.attended += usize::from(!pending.attended);
        pending.attended = true;
        if let Some((worker, _)) = pending.at
            && let Some(link) = self.links.get_mut(&worker)
        {
            self.effects.wake_pool_thread(link.readership.read_in_background());
        }
    }

    /// Has those who sleep on lanes, perhaps for later answers than the next, look at what they are to wait for.
    fn wake_patient_readers(&mut self) {
        let links = self.links.values().filter(|link| link.uses_lane && !link.slots.is_empty());
        for link in links {
            self.effects.wake_pool_thread(link.readership.is_background());
            if link.readership.is_waiter() {
                self.effects.wake([Sleeper::OnLane(link.lane.clone())]);
            }
        }
    }

    /// What nobody has read from for a while, for a thread that is about to wait. (Not where somebody else is about to be told
    /// of an answer: who reads then is the pool's thread, or that one.)
    pub(super) fn neglected(&mut self, now: Instant) -> Vec<(WorkerId, Source)> {
        if self.uses_lane || self.attended > 0 || self.parked > 0 {
            return Vec::new();
        }
        let is_neglected = |link: &Link| {
            let since = link.readership.unread_since();
            let is_old = since.is_some_and(|since| since + limits::NEGLECTED <= now);
            is_old && link.is_open && !link.slots.is_empty()
        };
        let links = self.links.iter_mut().filter(|(_, link)| is_neglected(link));
        links.filter_map(|(id, link)| Some((*id, link.readership.take_as_waiter()?))).collect()
    }

    /// The process that has begun the call, or this one of a chunk.
    pub(super) fn running_in(&mut self, call: CallId, number: Option<u32>) -> Option<u32> {
        let (worker, ticket) = self.calls.get(&call)?.at?;
        let link = self.links.get_mut(&worker)?;
        let (progress, pid) = (link.slots.progress(ticket).ok()?, link.pid);
        let is_begun = number.is_none_or(|number| self.has_begun(call, number));
        (progress != Progress::Waiting && is_begun).then_some(pid)
    }
}

impl State {
    pub(super) fn note_start(&mut self, worker_pid: u32, index: usize) {
        self.events.note(|| Event::WorkerStarted { worker_pid, index });
        self.events.send();
    }

    pub(super) fn note_retirement(&mut self, worker: WorkerId, why: Retirement) {
        if let Some(link) = self.links.get(&worker) {
            let (worker_pid, index) = (link.pid, link.index);
            self.events.note(|| Event::WorkerRetired { worker_pid, index, why });
            self.events.send();
        }
    }

    /// Notes that a worker is gone, and which calls it had that go elsewhere.
    pub(super) fn note_exit(
        &mut self,
        link: &Link,
        mut exit: WorkerExit,
        begun: &[CallId],
        was_told: bool,
    ) {
        if !self.events.is_observed() {
            return;
        }
        let worker_pid = link.pid;
        exit.task = begun.iter().find_map(|call| Some(self.calls.get(call)?.task()));
        let exited = Event::WorkerExited { worker_pid, index: link.index, exit, was_told };
        self.events.note(|| exited);
        for call in link.slots.calls().filter(|call| !begun.contains(call)) {
            if let Some(pending) = self.calls.get(&call) {
                let task = pending.task();
                self.events.note(|| Event::CallTakenBack { call: call.number, task, worker_pid });
            }
        }
    }
}

/// Why the pool is broken, if it is.
pub(super) fn broken(scheduler: &Scheduler) -> Option<Error> {
    match scheduler.refusal() {
        Some(Refusal::Broken(cause)) => Some(cause),
        Some(Refusal::ShutDown) | None => None,
    }
}
