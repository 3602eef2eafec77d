//! What workers send: messages from the stream, and answers from the lane, become events of the scheduler and ends of calls.

use std::time::Instant;

use super::Core;
use crate::config::Settings;
use crate::error::{Error, ErrorKind};
use crate::id::{Ticket, WorkerId};
use crate::pool::fault::Fault;
use crate::pool::handshake;
use crate::pool::outcome::CallEnd;
use crate::pool::worker_link::lane_reader::FromLane;
use crate::pool::worker_link::receive::Received;
use crate::wire::message::{CallFailure, FromWorker};

impl Core {
    /// Takes in what lies in the lanes. What was deferred until a thread looks is dispatched.
    pub(in crate::pool) fn drain(&mut self, now: Instant) {
        self.flush_deferred(now);
        if !self.uses_lane {
            return;
        }
        let mut from_lanes = std::mem::take(&mut self.from_lanes);
        self.links.drain(|worker, from_lane| from_lanes.push((worker, from_lane)));
        if !from_lanes.is_empty() {
            for (worker, from_lane) in from_lanes.drain(..) {
                self.take_in(now, worker, from_lane);
            }
            self.scheduler.advance(now);
        }
        self.from_lanes = from_lanes;
    }

    /// Does so for a thread that submits, where workers may have run out of calls while others are queued.
    pub(super) fn drain_if_queued(&mut self, now: Instant) {
        if self.scheduler.queued() > 0 {
            self.drain(now);
        }
    }

    /// Whether something lies in a lane, or is deferred until a thread looks.
    pub(in crate::pool) fn is_drainable(&mut self) -> bool {
        self.batcher.is_deferring() || self.links.is_drainable()
    }

    fn take_in(&mut self, now: Instant, worker: WorkerId, from_lane: FromLane) {
        match from_lane {
            FromLane::Answer { call, ending, worker_pid, ran } => {
                self.scheduler.call_finished(now, worker, call, ran);
                self.end_call(call, ending, Some(worker_pid), Some(ran));
            }
            FromLane::BatchAnswers { batch, answers, worker_pid, ran } => {
                self.batch_answered(now, worker, batch, answers, None, (worker_pid, ran));
            }
            FromLane::FirstAnswer => self.worker_is_ready(now, worker),
            FromLane::Skipped => self.scheduler.call_skipped(now, worker),
            FromLane::Fault(fault) => self.distrust(now, worker, &fault),
        }
    }

    /// Takes in what was read from the stream of a worker.
    pub(in crate::pool) fn receive(
        &mut self,
        now: Instant,
        worker: WorkerId,
        received: Received,
        settings: &Settings,
    ) {
        let Received { messages, fault, is_closed } = received;
        if self.links.get(worker).is_none_or(|link| !link.is_open()) {
            return;
        }
        let taken = messages
            .into_iter()
            .try_for_each(|message| self.take_message(now, worker, message, settings));
        let fault = taken.err().or_else(|| fault.map(Fault));
        let Some(link) = self.links.get_mut(worker) else { return };
        if is_closed {
            link.note_closed();
        }
        match fault {
            Some(fault) => self.distrust(now, worker, &fault),
            None if is_closed => self.scheduler.channel_closed(now, worker),
            None => self.scheduler.advance(now),
        }
    }

    /// The worker has sent what no worker sends: nothing that it sends counts any more.
    pub(super) fn distrust(&mut self, now: Instant, worker: WorkerId, fault: &Fault) {
        if let Some(link) = self.links.get_mut(worker) {
            link.distrust(fault);
            self.scheduler.worker_misbehaved(now, worker, fault.0);
        }
    }

    fn take_message(
        &mut self,
        now: Instant,
        worker: WorkerId,
        message: FromWorker,
        settings: &Settings,
    ) -> Result<(), Fault> {
        let Some(link) = self.links.get_mut(worker) else { return Ok(()) };
        match message {
            FromWorker::LaneReady => {}
            FromWorker::Result(Ticket::INITIALIZER, result) => {
                self.initializer_ended(now, worker, Ok(result), settings)?;
            }
            FromWorker::Failed(Ticket::INITIALIZER, failure) => {
                self.initializer_ended(now, worker, Err(failure), settings)?;
            }
            FromWorker::Initializing if !link.is_initializing() => {
                return Err(Fault("it runs an initializer that was not sent"));
            }
            FromWorker::Initializing => self.scheduler.initializer_began(worker),
            FromWorker::Result(ticket, result) => {
                self.answered(now, worker, ticket, CallEnd::Result(result))?;
            }
            FromWorker::Failed(ticket, failure) => {
                if failure == CallFailure::ResultCutOff {
                    link.give_not_received(ticket);
                    self.unflushed.push(worker);
                }
                self.answered(now, worker, ticket, CallEnd::Failed(failure))?;
            }
            FromWorker::Begun(ticket) => link.record_begun(ticket)?,
            FromWorker::Returned(ticket, ran) => link.record_returned(ticket, ran)?,
            FromWorker::Hello(hello) => {
                link.greet()?;
                match handshake::check(settings, &hello) {
                    Ok(()) => self.worker_is_greeted(now, worker),
                    Err(error) => self.scheduler.handshake_failed(now, worker, error),
                }
            }
            FromWorker::Outgrown if !link.has_answered() => {
                return Err(Fault("it has grown before its first call"));
            }
            FromWorker::Outgrown => self.scheduler.worker_over_memory_limit(now, worker),
            FromWorker::Lingering => self.scheduler.worker_lingers(worker),
            FromWorker::Refuse(_) if link.is_greeted() => {
                return Err(Fault("it refused to be a worker after its hello"));
            }
            FromWorker::Refuse(reason) => {
                let error = Error::new(ErrorKind::Handshake, reason);
                self.scheduler.handshake_failed(now, worker, error);
            }
        }
        Ok(())
    }

    /// A worker has answered a call over the stream.
    fn answered(
        &mut self,
        now: Instant,
        worker: WorkerId,
        ticket: Ticket,
        ending: CallEnd,
    ) -> Result<(), Fault> {
        let Some(link) = self.links.get_mut(worker) else { return Ok(()) };
        let (call, ran, before) = link.answered_on_stream(ticket)?;
        let pid = link.pid();
        if let Some(before) = before {
            self.batch_answered(now, worker, call, before, Some(ending), (pid, ran));
        } else {
            self.scheduler.call_finished(now, worker, call, ran);
            self.end_call(call, ending, Some(pid), Some(ran));
        }
        Ok(())
    }
}
