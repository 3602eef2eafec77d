//! Taking answers out of the workers' lanes.
//!
//! Anybody who has the pool's lock may: the lane is memory. Who sleeps on a lane is a question of its own, which
//! [`readership`](super::readership) answers.

use std::time::{Duration, Instant};

use super::chunks::Answers;
use super::fault::Fault;
use super::outcome::CallEnd;
use super::state::State;
use super::worker_link::Link;
use crate::id::{CallId, Ticket, WorkerId};
use crate::limits;
use crate::transport::page::Letter;
use crate::transport::slots::table::{Progress, Step};
use crate::wire::frame::Frame;
use crate::wire::message::FromWorker;

/// Something that lay in a lane.
pub(super) enum Drained {
    /// What comes next is the worker's first answer: so it is up. Its hello may lie on the stream, where the pool's thread is
    /// about to read it.
    First,
    Answer {
        call: CallId,
        ending: CallEnd,
        worker_pid: u32,
        ran: Duration,
    },
    Answers {
        chunk: CallId,
        answers: Box<Answers>,
        worker_pid: u32,
        ran: Duration,
    },
    /// The worker has come past a call that was taken back.
    Skipped,
    /// What means nothing.
    Fault(Fault),
}

impl Link {
    /// The oldest call of the worker, if it is answered over the stream: then nothing comes through the lane before that has been
    /// read.
    fn is_answered_on_stream(&mut self, oldest: Ticket) -> bool {
        // Not one that was taken back and skipped: its letter is still the one that the pool has written.
        self.slots.progress(oldest) == Ok(Progress::Finished)
            && self.lane.letter(oldest) == Ok(Letter::OnStream)
    }

    /// The oldest call of the worker whose answer, or end, may come through the lane.
    pub(super) fn awaited(&mut self) -> Option<Ticket> {
        if !self.uses_lane || !self.is_open {
            return None;
        }
        let oldest = self.slots.oldest()?;
        (!self.is_answered_on_stream(oldest)).then_some(oldest)
    }

    /// Whether something lies in the lane.
    pub(super) fn is_drainable(&mut self) -> bool {
        self.awaited().is_some_and(|oldest| self.lane.is_settled(oldest))
    }

    /// The next thing that lies in the lane, and how long it is.
    fn take_from_lane(&mut self) -> Result<Option<(Drained, usize)>, Fault> {
        let ticket = match self.slots.step()? {
            None => return Ok(None),
            Some(Step::Skipped) => return Ok(Some((Drained::Skipped, 0))),
            Some(Step::Answered(ticket)) => ticket,
        };
        let Letter::Here { kind, length } = self.lane.letter(ticket)? else { return Ok(None) };
        if self.slots.is_chunk(ticket) {
            let answers = self.answers(ticket, kind, length)?;
            let (chunk, ran) = self.slots.answered(ticket)?;
            self.has_answered = true;
            let worker_pid = self.pid;
            return Ok(Some((Drained::Answers { chunk, answers, worker_pid, ran }, length)));
        }
        let mut frame = Frame { kind, call: ticket.0, ..Frame::default() };
        self.lane.read(ticket, length, &mut frame.body);
        let ending = match FromWorker::parse(frame) {
            Ok(FromWorker::Result(_, result)) => CallEnd::Result(result),
            Ok(FromWorker::Failed(_, failure)) => CallEnd::Failed(failure),
            Ok(_) => return Err(Fault("what lies in its lane is no answer")),
            Err(error) => return Err(Fault(error.0)),
        };
        let (call, ran) = self.slots.answered(ticket)?;
        self.has_answered = true;
        Ok(Some((Drained::Answer { call, ending, worker_pid: self.pid, ran }, length)))
    }

    fn drain(&mut self, mut arrived: impl FnMut(Drained)) {
        let mut bytes = 0;
        // Of a dead worker all: what is not taken out before it is buried counts as lost.
        while bytes < limits::DRAIN_BYTES || self.is_dead {
            let had_answered = self.has_answered;
            match self.take_from_lane() {
                Ok(None) => return,
                Ok(Some((drained, length))) => {
                    if self.has_answered != had_answered {
                        arrived(Drained::First);
                    }
                    arrived(drained);
                    bytes += length;
                }
                Err(fault) => return arrived(Drained::Fault(fault)),
            }
        }
    }
}

impl State {
    /// Whether something lies in a lane, or is held back.
    pub(super) fn is_drainable(&mut self) -> bool {
        self.may_hold || self.links.values_mut().any(Link::is_drainable)
    }

    /// Takes in what lies in the lanes. What was held back until somebody looks is given out.
    pub(super) fn drain(&mut self, now: Instant) {
        self.flush_deferred(now);
        if !self.uses_lane {
            return;
        }
        let mut arrived = std::mem::take(&mut self.drained);
        for (worker, link) in self.links.iter_mut().filter(|(_, link)| !link.has_fault) {
            link.drain(|drained| arrived.push((*worker, drained)));
        }
        if !arrived.is_empty() {
            for (worker, drained) in arrived.drain(..) {
                self.take_in(now, worker, drained);
            }
            self.scheduler.advance(now);
            self.act(now);
        }
        self.drained = arrived;
    }

    /// The same for a thread that submits, where workers may have run out of calls while others are queued.
    pub(super) fn drain_if_queued(&mut self, now: Instant) {
        if self.scheduler.queued() > 0 {
            self.drain(now);
        }
    }

    fn take_in(&mut self, now: Instant, worker: WorkerId, drained: Drained) {
        match drained {
            Drained::Answer { call, ending, worker_pid, ran } => {
                self.scheduler.call_finished(now, worker, call, ran);
                self.end(call, ending, Some(worker_pid), Some(ran));
            }
            Drained::Answers { chunk, answers, worker_pid, ran } => {
                self.chunk_answered(now, worker, chunk, answers, None, (worker_pid, ran));
            }
            Drained::First => self.note_ready(now, worker),
            Drained::Skipped => self.scheduler.call_skipped(now, worker),
            Drained::Fault(fault) => self.mistrust(now, worker, &fault),
        }
    }

    /// The call whose answer a reader of `worker` is to sleep for, who waits for the one with `ticket`, or for any.
    ///
    /// To be woken costs as much as many short calls: so it is one that comes a little later, if calls are short, and no later
    /// than when the worker is to be given more. (If one of those in between turns out long, the pool's thread looks.) If somebody
    /// else is to be told of an answer as well, it is the oldest call of all.
    pub(super) fn wanted(&mut self, worker: WorkerId, ticket: Option<Ticket>) -> Option<Ticket> {
        let is_anybody = self.parked > 0 || self.attended > 0;
        let has_more = self.scheduler.queued() > 0;
        let refill = if has_more { self.scheduler.depth() as u64 / 2 } else { u64::MAX };
        let link = self.links.get_mut(&worker)?;
        let oldest = link.awaited()?;
        if is_anybody {
            return Some(oldest);
        }
        // (A chunk is many calls.)
        let is_single = self.chunks == 0;
        let later = if is_single { self.scheduler.calls_within(limits::SPIN) } else { 0 };
        let ahead = ticket.map(|ticket| ticket.sequence().saturating_sub(oldest.sequence()));
        let after = ahead.map_or(u64::MAX, |ahead| ahead.saturating_add(later));
        link.slots.nth(after.min(refill))
    }

    /// The pool's thread is about to sleep in poll. False if it reads from this worker and something lies in the lane already.
    pub(super) fn prepare_poll(&mut self, worker: WorkerId) -> bool {
        if self.links.get(&worker).is_none_or(|link| !link.readership.is_background()) {
            return true;
        }
        let wanted = self.wanted(worker, None);
        let lane = self.links.get(&worker).map(|link| &link.lane);
        lane.zip(wanted).is_none_or(|(lane, wanted)| lane.may_poll(wanted))
    }

    /// The pool's thread sleeps no more.
    pub(super) fn end_poll(&self) {
        let links = self.links.values().filter(|link| link.readership.is_background());
        links.for_each(|link| link.lane.wake_up());
    }

    /// Sees to it that nobody sleeps for ever on words that a task has written to, and gives back the memory of lanes that nobody
    /// has used for a while.
    pub(super) fn look_after_lanes(&mut self) {
        self.links.values_mut().for_each(Link::look_after_lane);
    }
}
