//! What becomes of worker processes: they are started, greet, run the initializer, leave, die; and the end of all.

use std::time::Instant;

use super::Core;
use crate::codec::EncodedValue;
use crate::config::Settings;
use crate::error::{Error, Result, WorkerExit};
use crate::id::{CallId, WorkerId};
use crate::observer::{Event, Retirement};
use crate::pool::fault::Fault;
use crate::pool::mailbox::Job;
use crate::pool::outcome::{self, InitializerFailure};
use crate::pool::starts::Start;
use crate::pool::worker_link::Link;
use crate::scheduler::{Refusal, Shutdown};
use crate::spawn::LaunchError;
use crate::transport::stream::Inbox;
use crate::wire::message::CallFailure;

impl Core {
    /// A worker process is about to be started.
    pub(in crate::pool) fn begin_start(&mut self) -> Start {
        self.starts.begin()
    }

    /// A worker process was started.
    pub(in crate::pool) fn worker_started(&mut self, now: Instant, worker: WorkerId, link: Link) {
        self.counts.note_worker_started();
        let (worker_pid, index) = (link.pid(), link.index());
        self.events.note(|| Event::WorkerStarted { worker_pid, index });
        self.events.send();
        self.links.insert(worker, link);
        self.scheduler.worker_launched(now, worker);
    }

    /// A worker process could not be started.
    pub(in crate::pool) fn start_failed(
        &mut self,
        now: Instant,
        (worker, index): (WorkerId, usize),
        start: Start,
        failed: LaunchError,
    ) {
        let LaunchError { error, is_shortage } = failed;
        self.events.note(|| Event::WorkerNotStarted { index, cause: error.clone() });
        let was_before_prewarm = self.starts.fail(start, error.clone());
        self.scheduler.start_failed(now, worker, error, is_shortage);
        if was_before_prewarm && self.scheduler.is_prewarming() {
            self.scheduler.demand(now);
        }
    }

    /// The worker is one of this program: it is ready, or has the initializer to run first.
    pub(super) fn worker_is_greeted(&mut self, now: Instant, worker: WorkerId) {
        let Some((task, args)) = &self.initializer else {
            return self.worker_is_ready(now, worker);
        };
        if let Some(link) = self.links.get_mut(worker)
            && self.scheduler.worker_greeted(now, worker)
        {
            link.give_initializer(task, args);
            self.unflushed.push(worker);
        }
    }

    /// The worker can be given calls.
    pub(super) fn worker_is_ready(&mut self, now: Instant, worker: WorkerId) {
        if let Some(link) = self.links.get(worker)
            && self.scheduler.worker_ready(now, worker)
        {
            let (worker_pid, index) = (link.pid(), link.index());
            self.events.note(|| Event::WorkerReady { worker_pid, index });
        }
    }

    /// The worker has come to the end of the initializer. A result other than that of success is decoded by the pool thread's
    /// helper, with the code of the user.
    pub(super) fn initializer_ended(
        &mut self,
        now: Instant,
        worker: WorkerId,
        answer: std::result::Result<EncodedValue, CallFailure>,
        settings: &Settings,
    ) -> std::result::Result<(), Fault> {
        let Some(link) = self.links.get_mut(worker) else { return Ok(()) };
        link.initializer_ended()?;
        let initializer = settings.initializer.as_ref();
        match answer {
            Ok(result) if initializer.is_some_and(|it| it.is_success(&result.bytes)) => {
                self.worker_is_ready(now, worker);
            }
            Ok(result) => self.mailbox.post(Job::Judge { worker, result }),
            Err(failure) => {
                self.initializer_failed(now, worker, outcome::initializer_failure(failure));
            }
        }
        Ok(())
    }

    /// The initializer's result was decoded: `Err` says what went wrong.
    pub(in crate::pool) fn initializer_judged(
        &mut self,
        now: Instant,
        worker: WorkerId,
        judged: std::result::Result<(), String>,
    ) {
        match judged {
            Ok(()) => {
                self.worker_is_ready(now, worker);
                self.scheduler.advance(now);
            }
            Err(what) => {
                self.initializer_failed(now, worker, InitializerFailure { what, panic: None });
            }
        }
    }

    fn initializer_failed(&mut self, now: Instant, worker: WorkerId, failure: InitializerFailure) {
        let InitializerFailure { what, panic } = failure;
        self.scheduler.initializer_failed(now, worker, &what, panic);
    }

    /// The pool thread has told the worker to leave, and listens for what it sends to that.
    pub(in crate::pool) fn worker_retired(&mut self, worker: WorkerId, why: Retirement) {
        self.counts.note_worker_retired();
        if let Some(link) = self.links.get_mut(worker) {
            link.retire();
            let (worker_pid, index) = (link.pid(), link.index());
            self.events.note(|| Event::WorkerRetired { worker_pid, index, why });
            self.events.send();
        }
    }

    /// The worker process is dead. What it has left behind is still to be read.
    pub(in crate::pool) fn worker_died(&mut self, worker: WorkerId) {
        if let Some(link) = self.links.get_mut(worker) {
            link.note_death();
        }
    }

    /// The stream of a dead worker, for the pool thread. If another thread has it, the pool thread is woken when it is back.
    pub(in crate::pool) fn take_stream_for_good(&mut self, worker: WorkerId) -> Option<Inbox> {
        self.links.get_mut(worker)?.take_stream_for_good()
    }

    /// The worker is gone, and what it had written was read. `is_cut_off`: it ended inside a frame.
    pub(in crate::pool) fn worker_exited(
        &mut self,
        now: Instant,
        worker: WorkerId,
        exit: WorkerExit,
        is_cut_off: bool,
    ) {
        self.drain(now);
        if is_cut_off {
            self.scheduler.worker_cut_off(worker);
        }
        self.divide_dead(worker);
        let mut link = self.links.remove(worker);
        let begun = link.as_mut().map(Link::begun_calls).unwrap_or_default();
        let remark = self.scheduler.remark(worker).map(str::to_owned);
        let seen = WorkerExit { remark, ..exit.clone() };
        let is_expected = self.scheduler.worker_exited(now, worker, exit, &begun);
        if !is_expected {
            self.counts.note_worker_died();
        }
        if let Some(link) = link {
            self.note_exit(&link, seen, &begun, is_expected);
        }
    }

    /// Notes that a worker is gone, and which calls it had that go elsewhere.
    fn note_exit(&mut self, link: &Link, mut exit: WorkerExit, begun: &[CallId], was_told: bool) {
        if !self.events.is_observed() {
            return;
        }
        let worker_pid = link.pid();
        exit.task = begun.iter().find_map(|call| Some(self.calls.get(*call)?.task()));
        self.events.note(|| Event::WorkerExited {
            worker_pid,
            index: link.index(),
            exit,
            was_told,
        });
        for call in link.calls().filter(|call| !begun.contains(call)) {
            if let Some(pending) = self.calls.get(call) {
                let task = pending.task();
                self.events.note(|| Event::CallTakenBack { call: call.number, task, worker_pid });
            }
        }
    }

    /// A thread begins to wait for all workers to be ready.
    pub(in crate::pool) fn begin_prewarm(&mut self, now: Instant) -> Start {
        self.scheduler.prewarm(now);
        self.starts.begin_prewarm()
    }

    /// The result of the prewarm that began after the start `before`, if it is over.
    pub(in crate::pool) fn prewarm_result(&self, before: Start) -> Option<Result<()>> {
        if let Some(refusal) = self.scheduler.refusal() {
            return Some(Err(outcome::refusal(&refusal)));
        }
        if self.scheduler.ready_workers() >= self.scheduler.max_workers() {
            return Some(Ok(()));
        }
        // A start that began before may have failed of something that the caller has mended meanwhile.
        self.starts.failure_after(before).map(|error: &Error| Err(error.clone()))
    }

    pub(in crate::pool) fn end_prewarm(&mut self, now: Instant) {
        self.scheduler.end_prewarm(now);
    }

    /// Changes how many workers there are to be.
    pub(in crate::pool) fn resize(
        &mut self,
        now: Instant,
        max_workers: usize,
    ) -> std::result::Result<(), Refusal> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let from = self.scheduler.max_workers();
        if from != max_workers {
            self.events.note(|| Event::Resized { from, to: max_workers });
        }
        self.scheduler.resize(now, max_workers);
        Ok(())
    }

    /// Begins the end of the pool.
    pub(in crate::pool) fn shutdown(&mut self, now: Instant, how: Shutdown) {
        self.note_shutdown(now);
        self.scheduler.shutdown(now, how);
    }

    /// Begins the end of the pool. Workers that are left at the deadline are killed.
    pub(in crate::pool) fn shutdown_by(&mut self, now: Instant, deadline: Instant) {
        self.note_shutdown(now);
        self.scheduler.shutdown_by(now, deadline);
    }

    fn note_shutdown(&mut self, now: Instant) {
        if !self.scheduler.is_shut_down() {
            self.events.note(|| Event::ShutDown {});
        }
        self.drain(now); // A call that has an answer keeps it.
    }
}
