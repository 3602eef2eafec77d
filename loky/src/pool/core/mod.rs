//! What lies behind the pool's lock. The core is the only owner of the parts that are changed together, and the only code that
//! feeds the scheduler and performs its actions.
//!
//! Each change has three steps, which [`Pool`](super::Pool) takes in this order:
//!
//! 1. *Feed*: what happened goes to the scheduler and into the parts. Nothing is dispatched or taken back here, unless a cancel
//!    asks for that one call.
//! 2. *Perform*: [`Core::perform`] performs the scheduler's actions, as far as they cannot block, and feeds back what came of
//!    them, until there is none left.
//! 3. *Release*: [`Core::take_effects`] returns the work that is left for after the lock is released.
//!
//! | file | feeds, or performs |
//! |---|---|
//! | `calls` | what users do: submit, cancel, ask |
//! | `workers` | what becomes of worker processes: start, death, shutdown |
//! | `incoming` | what workers send: messages and answers |
//! | `batches` | batches: join, divide, answer |
//! | `readers` | which thread reads from which worker |
//! | `actions` | the scheduler's actions |

mod actions;
mod batches;
mod calls;
mod incoming;
pub(super) mod readers;
#[cfg(test)]
mod tests;
mod workers;

use std::sync::Arc;
use std::time::Instant;

use super::batcher::Batcher;
use super::call_table::{CallTable, PendingCall};
use super::counts::Counts;
use super::effects::Effects;
use super::event_log::EventLog;
use super::links::Links;
use super::mailbox::Mailbox;
use super::starts::Starts;
use super::worker_link::lane_reader::FromLane;
use crate::calls::CallMap;
use crate::error::Error;
use crate::id::WorkerId;
use crate::limits;
use crate::observer::{Event, Stats};
use crate::scheduler::{Refusal, Scheduler};
use crate::sys::wake::Wake;
use crate::wire::args::CallArgs;

/// Everything behind the lock.
pub(super) struct Core {
    scheduler: Scheduler,
    /// The call that each new worker runs before it is given others.
    initializer: Option<(&'static str, CallArgs)>,
    /// Whether workers share a page with the pool, and calls go through its lane.
    uses_lane: bool,
    calls: CallTable,
    batcher: Batcher,
    links: Links,
    mailbox: Mailbox,
    starts: Starts,
    counts: Counts,
    events: EventLog,
    effects: Effects,
    /// The workers for which something was written that is not flushed yet.
    unflushed: Vec<WorkerId>,
    /// Room for what is taken out of the lanes.
    from_lanes: Vec<(WorkerId, FromLane)>,
    /// Descriptors of waiting threads, for the next ones.
    wakes: Vec<Arc<Wake>>,
}

/// Numbers that are read without the lock, as of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hints {
    pub(super) max_workers: usize,
    /// How many calls a worker is to have at a time.
    pub(super) depth: usize,
    /// How many calls are best given to a worker together.
    pub(super) batch_size: usize,
    /// Whether there is a batch that calls may join.
    pub(super) has_open_batch: bool,
}

impl Core {
    pub(super) fn new(
        scheduler: Scheduler,
        events: EventLog,
        initializer: Option<(&'static str, CallArgs)>,
        uses_lane: bool,
    ) -> Self {
        Self {
            scheduler,
            initializer,
            uses_lane,
            calls: CallTable::default(),
            batcher: Batcher::default(),
            links: Links::default(),
            mailbox: Mailbox::new(),
            starts: Starts::default(),
            counts: Counts::default(),
            events,
            effects: Effects::default(),
            unflushed: Vec::new(),
            from_lanes: Vec::new(),
            wakes: Vec::new(),
        }
    }

    /// The part that the pool thread shares with all others.
    pub(super) fn mailbox(&mut self) -> &mut Mailbox {
        &mut self.mailbox
    }

    /// The part that tells the observer.
    pub(super) fn events(&mut self) -> &mut EventLog {
        &mut self.events
    }

    /// Why a call would not be accepted now.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.scheduler.refusal()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.scheduler.is_broken()
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.scheduler.is_shut_down()
    }

    /// Whether a shutdown has killed what was left.
    pub(super) fn was_killed(&self) -> bool {
        self.scheduler.was_killed()
    }

    /// Whether a thread waits for all workers to be ready.
    pub(super) fn is_prewarming(&self) -> bool {
        self.scheduler.is_prewarming()
    }

    pub(super) fn hints(&mut self) -> Hints {
        Hints {
            max_workers: self.scheduler.max_workers(),
            depth: self.scheduler.depth(),
            batch_size: self.batch_size(),
            has_open_batch: self.open_batch().is_some(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            max_workers: self.scheduler.max_workers(),
            workers: self.links.len(),
            idle_workers: self.scheduler.idle_workers(),
            starting_workers: self.scheduler.starting_workers(),
            ..self.counts.stats(self.scheduler.queued_calls())
        }
    }

    /// The processes of the workers, by the workers' indices.
    pub(super) fn worker_pids(&self) -> Vec<u32> {
        self.links.pids()
    }

    /// Another executor has come in the place of this one.
    pub(super) fn replaced(&mut self, by: u64) {
        self.events.note(|| Event::Replaced { by });
    }

    /// Time has passed: the scheduler's timer is due.
    pub(super) fn timer(&mut self, now: Instant) {
        // The answers that a worker seems to be late with may lie in its lane.
        self.drain(now);
        self.scheduler.timer(now);
    }

    /// When [`timer`](Self::timer) is due.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.scheduler.next_timer()
    }

    /// The pool thread is about to do something that may take long: nothing is to be deferred until it looks again.
    pub(super) fn pool_thread_is_busy(&mut self, now: Instant) {
        self.mailbox.thread_is_busy();
        self.flush_deferred(now);
    }

    /// Has the scheduler dispatch what was deferred.
    fn flush_deferred(&mut self, now: Instant) {
        if self.batcher.end_deferral() {
            self.scheduler.advance(now);
        }
    }

    /// The work that is left for after the lock is released.
    pub(super) fn take_effects(&mut self, now: Instant) -> Effects {
        let wakes = self.mailbox.note_change(now, self.effects.wakes_pool_thread());
        self.effects.wake_pool_thread(wakes);
        std::mem::take(&mut self.effects)
    }

    /// The pool thread ends, because of `fault` if it panicked. Returns what is left of calls: dropped, with the lock released,
    /// they resolve.
    pub(super) fn end(
        &mut self,
        now: Instant,
        fault: Option<Error>,
    ) -> (CallMap<PendingCall>, Effects) {
        self.mailbox.thread_ended();
        if let Some(fault) = fault {
            self.scheduler.break_for(now, fault);
            self.note_break();
        }
        self.events.close();
        // The workers leave, and the threads that read from them come back.
        self.links.abandon_all();
        self.wakes.clear();
        (self.calls.take_all(), std::mem::take(&mut self.effects))
    }

    /// Notes that the pool is broken, once.
    fn note_break(&mut self) {
        let scheduler = &self.scheduler;
        self.events.note_break(|| match scheduler.refusal() {
            Some(Refusal::Broken(cause)) => Some(cause),
            Some(Refusal::ShutDown) | None => None,
        });
    }

    /// How many calls are best given to a worker together.
    fn batch_size(&self) -> usize {
        let fitting = || self.scheduler.calls_within(limits::CHUNK_TIME);
        let fitting = || usize::try_from(fitting()).unwrap_or(usize::MAX);
        limits::FORCED_CHUNK.unwrap_or_else(|| fitting().clamp(1, limits::CHUNK_CALLS))
    }
}
