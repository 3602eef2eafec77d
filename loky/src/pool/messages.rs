//! What a worker has said becomes events of the scheduler and ends of calls; then somebody else may read.

use std::time::Instant;

use super::fault::{Fault, PAGE_CORRUPT};
use super::handshake;
use super::outcome::CallEnd;
use super::state::State;
use super::worker_link::{Received, Source};
use crate::config::Settings;
use crate::error::{Error, ErrorKind};
use crate::id::{CallId, Ticket, WorkerId};
use crate::observer::Event;
use crate::transport::stream::Inbox;
use crate::wire::message::{CallFailure, FromWorker};

impl State {
    /// Takes in what was read from a worker.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        worker: WorkerId,
        received: Received,
        settings: &Settings,
    ) {
        let Received { said, fault, is_closed } = received;
        if self.links.get(&worker).is_none_or(|link| !link.is_open) {
            return;
        }
        let heard = said
            .into_iter()
            .try_for_each(|message| self.hear_message(now, worker, message, settings));
        let fault = heard.err().or_else(|| fault.map(Fault));
        let Some(link) = self.links.get_mut(&worker) else { return };
        link.is_open &= !is_closed;
        match fault {
            Some(fault) => self.mistrust(now, worker, &fault),
            None if is_closed => self.scheduler.channel_closed(now, worker),
            None => self.scheduler.advance(now),
        }
        // While the reader is still the reader: it goes on for what these answers have brought.
        self.act(now);
    }

    /// The worker has said what means nothing: nothing else that it says counts.
    pub(super) fn mistrust(&mut self, now: Instant, worker: WorkerId, Fault(what): &Fault) {
        if let Some(link) = self.links.get_mut(&worker) {
            link.has_fault = true;
            link.is_open = false;
            // Without a page it would have said which calls it begins: what it says is not heard from here on.
            link.is_page_false |= *what == PAGE_CORRUPT || !link.uses_lane;
            self.scheduler.worker_misbehaved(now, worker, what);
        }
    }

    fn hear_message(
        &mut self,
        now: Instant,
        worker: WorkerId,
        message: FromWorker,
        settings: &Settings,
    ) -> Result<(), Fault> {
        let Some(link) = self.links.get_mut(&worker) else { return Ok(()) };
        match message {
            FromWorker::Knock => {}
            FromWorker::Result(Ticket::INITIALIZER, result) => {
                self.initialized(now, worker, Ok(result), settings)?;
            }
            FromWorker::Failed(Ticket::INITIALIZER, failure) => {
                self.initialized(now, worker, Err(failure), settings)?;
            }
            FromWorker::Initializing if !link.is_initializing => {
                return Err(Fault("it runs an initializer that nobody asked for"));
            }
            FromWorker::Initializing => self.scheduler.initializer_began(worker),
            FromWorker::Result(ticket, result) => {
                self.answered(now, worker, ticket, CallEnd::Result(result))?;
            }
            FromWorker::Failed(ticket, failure) => {
                if failure == CallFailure::ResultCutOff {
                    // Or it would wait for ever for its segments.
                    link.outbox.push_not_received(ticket);
                    link.order();
                    self.write(worker);
                }
                self.answered(now, worker, ticket, CallEnd::Failed(failure))?;
            }
            FromWorker::Begun(ticket) => {
                let begun = link.slots.record_begun(ticket);
                begun.map_err(|_| Fault("it began a call that it does not have"))?;
            }
            FromWorker::Returned(ticket, ran) => {
                let returned = link.slots.record_returned(ticket, ran);
                returned.map_err(|_| Fault("it returned from a call that it does not run"))?;
            }
            FromWorker::Hello(_) if link.is_greeted => {
                return Err(Fault("it said hello twice"));
            }
            FromWorker::Hello(hello) => {
                link.is_greeted = true;
                match handshake::check(settings, &hello) {
                    Ok(()) => self.greeted(now, worker),
                    Err(error) => self.scheduler.handshake_failed(now, worker, error),
                }
            }
            FromWorker::Outgrown if !link.has_answered => {
                return Err(Fault("it has grown before its first call"));
            }
            FromWorker::Outgrown => self.scheduler.worker_over_memory_limit(now, worker),
            FromWorker::Lingering => self.scheduler.worker_lingers(worker),
            FromWorker::Refuse(_) if link.is_greeted => {
                return Err(Fault("it refused to be what it had said that it is"));
            }
            FromWorker::Refuse(reason) => {
                let error = Error::new(ErrorKind::Handshake, reason);
                self.scheduler.handshake_failed(now, worker, error);
            }
        }
        Ok(())
    }

    /// The worker can be given calls.
    pub(super) fn note_ready(&mut self, now: Instant, worker: WorkerId) {
        if let Some(link) = self.links.get(&worker)
            && self.scheduler.worker_ready(now, worker)
        {
            let (worker_pid, index) = (link.pid, link.index);
            self.events.note(|| Event::WorkerReady { worker_pid, index });
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        worker: WorkerId,
        ticket: Ticket,
        ending: CallEnd,
    ) -> Result<(), Fault> {
        let Some(link) = self.links.get_mut(&worker) else { return Ok(()) };
        if link.slots.is_chunk(ticket) {
            let before = link.answers_before_last(ticket)?;
            let (chunk, ran) = link.slots.answered(ticket)?;
            link.has_answered = true;
            let by = (link.pid, ran);
            self.chunk_answered(now, worker, chunk, before, Some(ending), by);
            return Ok(());
        }
        let (call, ran) = link.slots.answered(ticket)?;
        link.has_answered = true;
        let pid = link.pid;
        self.scheduler.call_finished(now, worker, call, ran);
        self.end(call, ending, Some(pid), Some(ran));
        Ok(())
    }

    /// The reader of a worker has read. `returns_for`: the call for which it comes again, if its outcome is not there.
    pub(super) fn give_back(
        &mut self,
        now: Instant,
        worker: WorkerId,
        source: Source,
        returns_for: Option<CallId>,
    ) {
        let Some(link) = self.links.get_mut(&worker) else { return };
        self.effects.wake_pool_thread(link.readership.give_back(now, source));
        if link.is_leaving {
            self.effects.wake_pool_thread(link.readership.read_in_background());
            return;
        }
        if link.slots.is_empty() && link.is_greeted && !link.is_initializing {
            return link.readership.rest();
        }
        let is_here = |call: CallId| {
            let at = self.calls.get(&call).and_then(|pending| pending.at);
            at.is_some_and(|(at, _)| at == worker)
        };
        if !returns_for.is_some_and(is_here) {
            self.pass_on(now, worker);
        }
    }

    /// The pool's thread has read from the stream of a worker.
    pub(super) fn give_stream_back(&mut self, now: Instant, worker: WorkerId, inbox: Inbox) {
        if !self.uses_lane {
            return self.give_back(now, worker, Source::Stream(Box::new(inbox)), None);
        }
        if let Some(link) = self.links.get_mut(&worker) {
            link.stream = Some(inbox);
            // The answer may have been one behind which others lie in the lane.
            self.drain(now);
            self.pass_on(now, worker);
        }
    }

    /// Finds another reader for a worker whose reader leaves.
    pub(super) fn pass_on(&mut self, now: Instant, worker: WorkerId) {
        if self.attended == 0 && self.parked == 0 {
            return;
        }
        let Some(link) = self.links.get_mut(&worker) else { return };
        if link.uses_lane && link.awaited().is_none() {
            // The next answer comes over the stream, to the pool's thread. It passes on what comes behind that.
            return;
        }
        let calls: Vec<_> = link.slots.calls().collect();
        let pending = || calls.iter().filter_map(|call| self.calls.get(call));
        if let Some(parked) = pending().find(|pending| pending.parked > 0) {
            link.readership.leave_unread(now);
            parked.promise.unpark_to_retry();
        } else if pending().any(|pending| pending.attended) {
            self.effects.wake_pool_thread(link.readership.read_in_background());
        }
    }
}
