//! Which thread reads from which worker. The rules are those of [`readership`](crate::pool::readership); here they meet the calls.

use std::sync::Arc;
use std::time::Instant;

use super::Core;
use crate::future::Waiter;
use crate::id::{CallId, Ticket, WorkerId};
use crate::limits;
use crate::pool::call_table::NextReader;
use crate::pool::effects::Sleeper;
use crate::pool::links::Plan;
use crate::pool::worker_link::source::Source;
use crate::sys::wake::Wake;
use crate::transport::lane::pool_side::PoolLane;
use crate::transport::slots::table::Progress;
use crate::transport::stream::Inbox;

/// The instruction to a thread that is about to wait for a call.
pub(in crate::pool) enum Arrival {
    /// The outcome is known, and on its way to the cell, or the call has moved to another cell.
    Over,
    /// Another thread reads, or there is nothing to be read yet. The cell has seen this number of retries.
    Park(u64),
    Read(Reading),
}

/// The right to read from workers, and how.
pub(in crate::pool) struct Reading {
    /// The worker that has the call.
    pub(in crate::pool) first: (WorkerId, Source),
    /// Workers that no thread has read from for a while: or they might run out of calls while this thread waits.
    pub(in crate::pool) others: Vec<(WorkerId, Source)>,
    pub(in crate::pool) strategy: WaitStrategy,
}

/// Where a thread waits that reads from a worker.
pub(in crate::pool) enum WaitStrategy {
    /// On the lane, until `wanted` is answered, or until the lane is disturbed more often than `seen`.
    OnLane { lane: PoolLane, wanted: Ticket, seen: u64, spins: bool },
    /// In a plain read: the call runs and there is no deadline, so only its answer, or the end of its worker, is waited for.
    InRead { is_busy: bool },
    /// In poll, where `wake` wakes it.
    InPoll { wake: Arc<Wake>, is_busy: bool },
}

impl WaitStrategy {
    /// The note at the call by which the thread can be woken.
    fn sleeper(&self) -> Option<Sleeper> {
        match self {
            Self::OnLane { lane, .. } => Some(Sleeper::OnLane(lane.clone())),
            Self::InRead { .. } => None,
            Self::InPoll { wake, .. } => Some(Sleeper::InPoll(Arc::clone(wake))),
        }
    }

    /// Whether the sleeper that is noted with a call, which lies at `at`, is the thread that waits so at `worker`.
    fn is_of(&self, worker: WorkerId, sleeper: &Sleeper, at: Option<WorkerId>) -> bool {
        match (self, sleeper) {
            (Self::OnLane { .. }, Sleeper::OnLane(_)) => at == Some(worker),
            (Self::InPoll { wake, .. }, Sleeper::InPoll(other)) => Arc::ptr_eq(wake, other),
            _ => false,
        }
    }
}

impl Core {
    /// A thread is about to wait for a call, or to ask for it: what was deferred goes out, and what has come is taken in.
    pub(in crate::pool) fn look(&mut self, now: Instant) {
        self.batcher.note_waited_for();
        self.drain(now);
    }

    /// Decides how a thread waits for a call.
    pub(in crate::pool) fn arrive(
        &mut self,
        now: Instant,
        call: CallId,
        waiter: &dyn Waiter,
        has_deadline: bool,
    ) -> Arrival {
        let Some(pending) = self.calls.get(call) else { return Arrival::Over };
        if pending.is_settled(waiter.number()) {
            return Arrival::Over;
        }
        if let Some((worker, ticket)) = pending.location()
            && let Some(source) = self.links.get_mut(worker).and_then(|link| link.take_as_waiter())
        {
            let others = self.take_neglected(now);
            let must_poll = has_deadline || !others.is_empty();
            let first = (worker, source);
            if let Some(strategy) = self.strategy(worker, ticket, must_poll) {
                if let Some(sleeper) = strategy.sleeper() {
                    self.calls.note_sleeper(call, sleeper);
                }
                return Arrival::Read(Reading { first, others, strategy });
            }
            for (worker, source) in std::iter::once(first).chain(others) {
                self.give_back(now, worker, source, None);
            }
        }
        self.calls.park(call);
        Arrival::Park(waiter.retries())
    }

    /// A thread that was parked on the call goes on.
    pub(in crate::pool) fn depart(&mut self, call: CallId) {
        self.calls.unpark(call);
    }

    /// A thread that has read for the call from `worker` sleeps no more.
    pub(in crate::pool) fn sleeper_woke(
        &mut self,
        call: CallId,
        worker: WorkerId,
        strategy: WaitStrategy,
    ) {
        let is_its_own = |sleeper: &Sleeper, at| strategy.is_of(worker, sleeper, at);
        self.calls.forget_sleeper(call, is_its_own);
        if let WaitStrategy::InPoll { wake, .. } = strategy {
            self.wakes.push(wake);
        }
    }

    /// Where the reader of a worker is to wait for the answer of a call. `None` if it had better leave that to the pool thread:
    /// the next answer comes over the stream beside the lane; or there is no descriptor to wait for several things.
    fn strategy(
        &mut self,
        worker: WorkerId,
        ticket: Ticket,
        must_poll: bool,
    ) -> Option<WaitStrategy> {
        if self.uses_lane {
            let wanted = self.wanted(worker, Some(ticket))?;
            let lane = self.links.get(worker)?.lane().clone();
            let seen = lane.disturbances();
            let spins = self.scheduler.calls_within(limits::SPIN) > 0;
            return Some(WaitStrategy::OnLane { lane, wanted, seen, spins });
        }
        let link = self.links.get_mut(worker)?;
        // Where answers come one after another some are likely to be there: that saves a poll.
        let is_busy = link.occupancy() > 1;
        let runs = matches!(link.progress(ticket), Ok(Progress::Running | Progress::Finished));
        if runs && !must_poll {
            return Some(WaitStrategy::InRead { is_busy });
        }
        let wake = self.wakes.pop().or_else(|| Wake::new().ok().map(Arc::new))?;
        Some(WaitStrategy::InPoll { wake, is_busy })
    }

    /// The call whose answer a reader of `worker` is to sleep for, which waits for the call with `ticket`, or for any.
    ///
    /// To be woken costs as much as many short calls: so it is one that comes a little later, if calls are short, and no later
    /// than when the worker is to be given more. (If one of those in between turns out long, the pool thread looks.) If anybody
    /// else is to be told of an answer as well, it is the oldest call of all.
    fn wanted(&mut self, worker: WorkerId, ticket: Option<Ticket>) -> Option<Ticket> {
        let has_more = self.scheduler.queued() > 0;
        let refill = if has_more { self.scheduler.depth() as u64 / 2 } else { u64::MAX };
        let link = self.links.get_mut(worker)?;
        let oldest = link.awaited()?;
        if self.calls.is_anybody_told() {
            return Some(oldest);
        }
        // A batch is many calls.
        let later = match self.calls.has_batches() {
            true => 0,
            false => self.scheduler.calls_within(limits::SPIN),
        };
        let ahead = ticket.map(|ticket| ticket.sequence().saturating_sub(oldest.sequence()));
        let after = ahead.map_or(u64::MAX, |ahead| ahead.saturating_add(later));
        link.call_after_oldest(after.min(refill))
    }

    /// The right to read from workers that no thread has read from for a while. None where a listener or a parked thread is to
    /// be told: the pool thread reads then, or that one.
    fn take_neglected(&mut self, now: Instant) -> Vec<(WorkerId, Source)> {
        if self.uses_lane || self.calls.is_anybody_told() {
            return Vec::new();
        }
        self.links.take_neglected(now)
    }

    /// The reader of a worker has read. `returns_for`: the call, with its number in its batch, for which the reader comes again, if
    /// its outcome is not there.
    pub(in crate::pool) fn give_back(
        &mut self,
        now: Instant,
        worker: WorkerId,
        source: Source,
        returns_for: Option<(CallId, Option<u32>)>,
    ) {
        let Some(link) = self.links.get_mut(worker) else { return };
        let given_back = link.give_back(now, source);
        self.effects.wake_pool_thread(given_back.wakes);
        let is_here = |(call, number)| {
            let pending = self.calls.get(call).filter(|pending| !pending.is_settled(number));
            pending.is_some_and(|pending| pending.ticket_at(worker).is_some())
        };
        if given_back.is_reader_wanted && !returns_for.is_some_and(is_here) {
            self.pass_on(now, worker);
        }
    }

    /// The stream of a worker, for the pool thread, if it is its turn.
    pub(in crate::pool) fn take_stream(&mut self, worker: WorkerId) -> Option<Inbox> {
        self.links.get_mut(worker)?.take_stream()
    }

    /// The pool thread has read the stream, and taken in what it read. Returns the right to read, where the stream is that.
    pub(in crate::pool) fn stream_was_read(
        &mut self,
        now: Instant,
        worker: WorkerId,
        inbox: Inbox,
    ) -> Option<Source> {
        if !self.uses_lane {
            return Some(Source::Stream(Box::new(inbox)));
        }
        if let Some(link) = self.links.get_mut(worker) {
            link.put_stream_back(inbox);
            // The answer may have been one behind which others lie in the lane.
            self.drain(now);
        }
        None
    }

    /// The pool thread does not read from the worker any more: it gives back what [`stream_was_read`](Self::stream_was_read)
    /// returned.
    pub(in crate::pool) fn pool_thread_has_read(
        &mut self,
        now: Instant,
        worker: WorkerId,
        source: Option<Source>,
    ) {
        match source {
            Some(source) => self.give_back(now, worker, source, None),
            None => self.pass_on(now, worker),
        }
    }

    /// Finds another reader for a worker whose reader leaves.
    fn pass_on(&mut self, now: Instant, worker: WorkerId) {
        if !self.calls.is_anybody_told() {
            return;
        }
        let Some(link) = self.links.get_mut(worker) else { return };
        if self.uses_lane && link.awaited().is_none() {
            // The next answer comes over the stream, to the pool thread. It passes on what comes behind that.
            return;
        }
        match self.calls.next_reader(link.calls()) {
            NextReader::Parked(call) => {
                link.readership().leave_unread(now);
                call.unpark_to_retry();
            }
            NextReader::PoolThread => self.effects.wake_pool_thread(link.read_in_background()),
            NextReader::NoThread => {}
        }
    }

    /// A callback, a waker or a watcher is to be told of the call's outcome. What was deferred goes out.
    pub(in crate::pool) fn request_background_read(&mut self, now: Instant, call: CallId) {
        self.batcher.note_waited_for();
        self.flush_deferred(now);
        self.add_listener(call);
    }

    /// The call has a listener. What is deferred stays so: if the listener has moved here with its call, that may be about to be
    /// cancelled.
    pub(super) fn add_listener(&mut self, call: CallId) {
        if !self.calls.has_listeners() {
            let (sleepers, is_pool_thread) = self.links.patient_readers();
            self.effects.wake(sleepers);
            self.effects.wake_pool_thread(is_pool_thread);
        }
        let worker = self.calls.add_listener(call);
        if let Some(link) = worker.and_then(|worker| self.links.get_mut(worker)) {
            self.effects.wake_pool_thread(link.read_in_background());
        }
    }

    /// Plans the next sleep of the pool thread: what it waits for at each worker, and until when. `deadline` is its own.
    /// Returns `None` if there is a job, or something in a lane.
    pub(in crate::pool) fn plan_sleep(
        &mut self,
        now: Instant,
        deadline: Option<Instant>,
        looked_after_lanes: Instant,
    ) -> Option<(Plan, Option<Instant>)> {
        if self.mailbox.has_jobs() {
            return None;
        }
        let is_quiet = !self.mailbox.take_change();
        let (plan, of_links) = self.links.plan(now, is_quiet, looked_after_lanes);
        if !plan.keys().all(|worker| self.prepare_poll(*worker)) {
            self.links.end_poll();
            return None;
        }
        let look = (!is_quiet).then(|| now + limits::PICK_UP);
        let timer = self.scheduler.next_timer();
        let deadline = [deadline, of_links, look, timer].into_iter().flatten().min();
        self.mailbox.thread_sleeps(deadline);
        Some((plan, deadline))
    }

    /// The pool thread is about to sleep in poll. False if it reads from this worker and something lies in the lane already.
    fn prepare_poll(&mut self, worker: WorkerId) -> bool {
        let link = self.links.get_mut(worker);
        if link.is_none_or(|link| !link.readership().is_background()) {
            return true;
        }
        let wanted = self.wanted(worker, None);
        let lane = self.links.get(worker).map(|link| link.lane());
        lane.zip(wanted).is_none_or(|(lane, wanted)| lane.may_poll(wanted))
    }

    /// The pool thread has slept.
    pub(in crate::pool) fn pool_thread_woke(&mut self) {
        self.mailbox.thread_woke();
        self.links.end_poll();
    }

    /// The pool thread writes what did not fit into a worker's channel.
    pub(in crate::pool) fn write(&mut self, now: Instant, worker: WorkerId) {
        let Some(link) = self.links.get_mut(worker) else { return };
        link.flush();
        if !link.is_congested() {
            self.scheduler.worker_writable(now, worker);
        }
    }

    /// The workers whose channels the system had no room for.
    pub(in crate::pool) fn held_up(&self) -> Vec<WorkerId> {
        self.links.held_up()
    }

    /// See [`limits::LANE_WATCH`].
    pub(in crate::pool) fn look_after_lanes(&mut self) {
        self.links.look_after_lanes();
    }
}
