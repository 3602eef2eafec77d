//! The initializer of a worker that has just come up: it is sent, and what comes back decides whether the worker is ready or the
//! pool is broken.
//!
//! A result that has the bytes of success is one. Any other is decoded, and its error displayed, which is code of the user's: on
//! a thread of its own, with a stack like any other's, so that it may take its time. Meanwhile the worker is not ready, and its
//! time goes on; the pool does not end before that thread does.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::fault::Fault;
use super::mailbox::Job;
use super::outcome::{self, InitializerFailure};
use super::state::State;
use super::{Pool, thread_guard};
use crate::codec::EncodedValue;
use crate::config::Settings;
use crate::id::{Ticket, WorkerId};
use crate::wire::message::CallFailure;

impl State {
    /// The worker is one of this program: it is ready, or has the initializer to run first.
    pub(super) fn greeted(&mut self, now: Instant, worker: WorkerId) {
        let Some((task, args)) = &self.initializer else { return self.note_ready(now, worker) };
        if let Some(link) = self.links.get_mut(&worker)
            && self.scheduler.worker_greeted(now, worker)
        {
            link.is_initializing = true;
            link.outbox.push(Ticket::INITIALIZER, task, args);
            link.order();
            self.write(worker);
        }
    }

    /// The worker says how the initializer has ended.
    pub(super) fn initialized(
        &mut self,
        now: Instant,
        worker: WorkerId,
        answer: Result<EncodedValue, CallFailure>,
        settings: &Settings,
    ) -> Result<(), Fault> {
        let Some(link) = self.links.get_mut(&worker) else { return Ok(()) };
        if !std::mem::take(&mut link.is_initializing) {
            return Err(Fault("it has run an initializer that nobody asked for"));
        }
        let initializer = settings.initializer.as_ref();
        match answer {
            Ok(result) if initializer.is_some_and(|it| it.is_success(&result.bytes)) => {
                self.note_ready(now, worker);
            }
            Ok(result) => self.mailbox.post(Job::Judge { worker, result }),
            Err(failure) => {
                self.initializer_failed(now, worker, outcome::initializer_failure(failure));
            }
        }
        Ok(())
    }

    fn initializer_failed(&mut self, now: Instant, worker: WorkerId, failure: InitializerFailure) {
        let InitializerFailure { what, panic } = failure;
        self.scheduler.initializer_failed(now, worker, &what, panic);
    }
}

/// Has a result judged that is not the one of success, by the thread that comes back.
pub(super) fn judge(
    pool: &Arc<Pool>,
    worker: WorkerId,
    result: EncodedValue,
) -> Option<JoinHandle<()>> {
    let judging = Arc::clone(pool);
    let body = move || {
        thread_guard::become_own_of(judging.id);
        let initializer = judging.settings.initializer.as_ref();
        let judged = initializer.map_or(Ok(()), |initializer| initializer.judge(&result));
        decide(&judging, worker, judged.map_err(|reason| format!("failed: {reason}")));
    };
    let started = thread::Builder::new().name("loky-initializer".into()).spawn(body);
    if let Err(error) = &started {
        let reason = format!("failed, but there is no thread to find out why: {error}");
        decide(pool, worker, Err(reason));
    }
    started.ok()
}

fn decide(pool: &Pool, worker: WorkerId, judged: Result<(), String>) {
    pool.with_state(|state, now| match judged {
        Ok(()) => {
            state.note_ready(now, worker);
            state.scheduler.advance(now);
        }
        Err(what) => {
            state.initializer_failed(now, worker, InitializerFailure { what, panic: None });
        }
    });
}
