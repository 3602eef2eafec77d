//! Taking answers out of the lane of a worker.
//!
//! Any thread may that has the pool's lock: the lane is memory. Which thread sleeps on a lane is a question of its own, which
//! [`readership`](crate::pool::readership) answers.

use std::time::Duration;

use super::{Channel, Fate, Link};
use crate::id::{CallId, Ticket};
use crate::limits;
use crate::pool::fault::Fault;
use crate::pool::outcome::{CallEnd, RawAnswers};
use crate::transport::page::SlotFrame;
use crate::transport::slots::table::{Progress, Step};
use crate::wire::frame::Frame;
use crate::wire::message::FromWorker;

/// Something that lay in a lane.
#[derive(Debug)]
pub(in crate::pool) enum FromLane {
    /// The worker's first answer comes next: so the worker is up. Its hello may lie on the stream, where the pool thread is
    /// about to read it.
    FirstAnswer,
    Answer {
        call: CallId,
        ending: CallEnd,
        worker_pid: u32,
        ran: Duration,
    },
    BatchAnswers {
        batch: CallId,
        answers: Box<RawAnswers>,
        worker_pid: u32,
        ran: Duration,
    },
    /// The worker has come past a call that was taken back.
    Skipped,
    Fault(Fault),
}

impl Link {
    /// The oldest call of the worker whose answer, or end, may come through the lane.
    pub(in crate::pool) fn awaited(&mut self) -> Option<Ticket> {
        if !self.uses_lane || !self.is_open() {
            return None;
        }
        let oldest = self.slots.oldest()?;
        (!self.is_answered_on_stream(oldest)).then_some(oldest)
    }

    /// The call that lies `after` calls behind the oldest, or the last one.
    pub(in crate::pool) fn call_after_oldest(&self, after: u64) -> Option<Ticket> {
        self.slots.nth(after)
    }

    /// Whether the oldest call of the worker is answered over the stream: then nothing comes through the lane before that answer
    /// was read.
    fn is_answered_on_stream(&mut self, oldest: Ticket) -> bool {
        // A call that was taken back and skipped does not count: its frame is still the one that the pool has written.
        self.slots.progress(oldest) == Ok(Progress::Finished)
            && self.lane.frame(oldest) == Ok(SlotFrame::OnStream)
    }

    /// Whether something lies in the lane.
    pub(in crate::pool) fn is_drainable(&mut self) -> bool {
        self.awaited().is_some_and(|oldest| self.lane.is_settled(oldest))
    }

    /// Takes out what lies in the lane, up to [`limits::DRAIN_BYTES`].
    pub(in crate::pool) fn drain(&mut self, mut take: impl FnMut(FromLane)) {
        if self.channel == Channel::Faulty {
            return;
        }
        let mut bytes = 0;
        // Of a dead worker all: what is not taken out before it is reaped counts as lost.
        while bytes < limits::DRAIN_BYTES || self.fate == Fate::Dead {
            let (taken, length) = match self.take_from_lane() {
                Ok(None) => return,
                Ok(Some(taken)) => taken,
                Err(fault) => return take(FromLane::Fault(fault)),
            };
            if !matches!(taken, FromLane::Skipped) && self.note_answer() {
                take(FromLane::FirstAnswer);
            }
            take(taken);
            bytes += length;
        }
    }

    /// The next thing that lies in the lane, and how long it is.
    fn take_from_lane(&mut self) -> Result<Option<(FromLane, usize)>, Fault> {
        let ticket = match self.slots.step()? {
            None => return Ok(None),
            Some(Step::Skipped) => return Ok(Some((FromLane::Skipped, 0))),
            Some(Step::Answered(ticket)) => ticket,
        };
        let SlotFrame::Here { kind, length } = self.lane.frame(ticket)? else { return Ok(None) };
        let worker_pid = self.pid;
        if self.slots.is_chunk(ticket) {
            let answers = self.batch_answers(ticket, kind, length)?;
            let (batch, ran) = self.slots.answered(ticket)?;
            return Ok(Some((FromLane::BatchAnswers { batch, answers, worker_pid, ran }, length)));
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
        Ok(Some((FromLane::Answer { call, ending, worker_pid, ran }, length)))
    }
}
