//! What the observer is to be told: noted under the pool's lock, as it happens, and sent from under it to the thread of the
//! callbacks, which tells.
//!
//! So the order of events is that of what happened, although any thread may make some: to send blocks on nothing, and the
//! user's code runs elsewhere. Without an observer no event is made; that costs a branch.

use crossbeam_channel::Sender;

use super::callbacks::Work;
use super::state::State;
use super::worker_link::Link;
use crate::error::WorkerExit;
use crate::id::{CallId, WorkerId};
use crate::observer::{Event, Retirement};
use crate::scheduler::Refusal;

/// The way from the lock to the observer, if there is one.
#[derive(Default)]
pub(super) struct Events {
    told: Option<EventSink>,
}

struct EventSink {
    noted: Vec<Event>,
    sender: Sender<Work>,
    knows_of_break: bool,
}

impl Events {
    pub(super) fn new(sender: Sender<Work>) -> Self {
        Self { told: Some(EventSink { noted: Vec::new(), sender, knows_of_break: false }) }
    }

    /// Whether there is an observer.
    pub(super) fn are_told(&self) -> bool {
        self.told.is_some()
    }

    pub(super) fn note(&mut self, event: impl FnOnce() -> Event) {
        if let Some(told) = &mut self.told {
            told.noted.push(event());
        }
    }

    /// Sends what was noted: while the lock is still held, or another thread might come first.
    pub(super) fn send(&mut self) {
        if let Some(told) = &mut self.told
            && !told.noted.is_empty()
        {
            // Nobody listens any more after the pool's end.
            let _ = told.sender.send(Work::Events(std::mem::take(&mut told.noted)));
        }
    }

    /// Nothing more will be told. The thread can end.
    pub(super) fn close(&mut self) {
        self.send();
        self.told = None;
    }
}

impl State {
    /// Notes that the pool is broken, once.
    pub(super) fn note_break(&mut self) {
        if let Some(told) = &mut self.events.told
            && !told.knows_of_break
            && let Some(Refusal::Broken(cause)) = self.scheduler.refusal()
        {
            told.knows_of_break = true;
            told.noted.push(Event::Broken { cause });
        }
    }

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
        if !self.events.are_told() {
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
