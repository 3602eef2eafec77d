//! Performing the scheduler's actions, as far as they cannot block. What may block is posted to the pool thread.
//!
//! An action may fail to have its effect: a call that is to be taken back has begun, a page is corrupt, a channel takes no more.
//! So each returns a [`Feedback`], which is fed to the scheduler before the next action is polled.

use std::time::Instant;

use super::Core;
use crate::error::Execution;
use crate::id::{CallId, WorkerId};
use crate::observer::Event;
use crate::pool::fault::Fault;
use crate::pool::mailbox::Job;
use crate::pool::outcome::CallEnd;
use crate::scheduler::{Action, Verdict};
use crate::transport::slots::PageCorrupt;

/// The news of an action that the scheduler has to know.
#[derive(Debug)]
enum Feedback {
    Nothing,
    /// The call was taken back: it is queued again.
    TakenBack(CallId),
    /// A batch was divided, and its tail is queued.
    Divided,
    /// The worker's page is corrupt. A call that was to be dispatched was not.
    PageCorrupt {
        worker: WorkerId,
        undispatched: Option<CallId>,
    },
}

impl Core {
    /// Performs the scheduler's actions. Calls may come to be queued again by that, which brings about more actions.
    pub(in crate::pool) fn perform(&mut self, now: Instant) {
        self.note_break();
        loop {
            let mut is_more_queued = false;
            while let Some(action) = self.scheduler.poll_action() {
                let feedback = self.perform_action(now, action);
                is_more_queued |= self.feed_back(now, feedback);
            }
            self.flush_links();
            if !is_more_queued {
                return;
            }
            self.scheduler.advance(now);
        }
    }

    fn perform_action(&mut self, now: Instant, action: Action) -> Feedback {
        match action {
            Action::Dispatch { worker, call } => return self.dispatch(now, worker, call),
            Action::Revoke { worker, call } => return self.revoke(worker, call),
            Action::Divide { worker, call } => {
                if self.divide(now, worker, call) {
                    return Feedback::Divided;
                }
            }
            Action::Resolve { call, worker, verdict } => self.judge(call, worker, verdict),
            Action::Start { worker, index } => self.mailbox.post(Job::Start { worker, index }),
            Action::Retire { worker, why } => self.mailbox.post(Job::Retire { worker, why }),
            Action::Kill { worker } => self.kill(worker),
            Action::End => self.mailbox.end(),
        }
        Feedback::Nothing
    }

    /// Feeds to the scheduler what came of an action. Returns whether calls are queued by that.
    fn feed_back(&mut self, now: Instant, feedback: Feedback) -> bool {
        match feedback {
            Feedback::Nothing => false,
            Feedback::Divided => true,
            Feedback::TakenBack(call) => {
                self.scheduler.call_revoked(now, call);
                true
            }
            Feedback::PageCorrupt { worker, undispatched } => {
                if let Some(call) = undispatched {
                    self.scheduler.call_revoked(now, call);
                }
                self.page_is_corrupt(now, worker);
                false
            }
        }
    }

    /// Gives a call to its worker, which comes to know of it when the link is flushed.
    fn dispatch(&mut self, now: Instant, worker: WorkerId, call: CallId) -> Feedback {
        let Some(pending) = self.calls.get_mut(call) else { return Feedback::Nothing };
        let Some(link) = self.links.get_mut(worker) else { return Feedback::Nothing };
        let was_unoccupied = link.is_unoccupied();
        let Ok(ticket) = link.give(call, pending.task(), pending.args()) else {
            return Feedback::PageCorrupt { worker, undispatched: Some(call) };
        };
        pending.dispatched(worker, ticket);
        self.events.note(|| {
            let (task, worker_pid) = (pending.task(), link.pid());
            Event::CallGiven { call: call.number, task, worker_pid }
        });
        if was_unoccupied {
            link.readership().leave_unread(now);
        }
        if link.readership().unread_since().is_some() {
            if pending.has_listener() {
                self.effects.wake_pool_thread(link.read_in_background());
            } else {
                pending.unpark_to_retry();
            }
        }
        if self.unflushed.last() != Some(&worker) {
            self.unflushed.push(worker);
        }
        Feedback::Nothing
    }

    /// Sends what was written for workers.
    fn flush_links(&mut self) {
        for worker in self.unflushed.drain(..) {
            let Some(link) = self.links.get_mut(worker) else { continue };
            link.flush();
            if link.is_congested() {
                self.effects.wake_pool_thread(true);
                self.scheduler.worker_congested(worker);
            }
        }
    }

    /// Takes a call back from its worker, if that has not begun it.
    fn revoke(&mut self, worker: WorkerId, call: CallId) -> Feedback {
        let Some(pending) = self.calls.get_mut(call) else { return Feedback::Nothing };
        let Some(ticket) = pending.ticket_at(worker) else { return Feedback::Nothing };
        let Some(link) = self.links.get_mut(worker) else { return Feedback::Nothing };
        match link.revoke(ticket) {
            Ok(true) => {
                self.events.note(|| {
                    let (task, worker_pid) = (pending.task(), link.pid());
                    Event::CallTakenBack { call: call.number, task, worker_pid }
                });
                self.effects.wake(pending.taken_back());
                Feedback::TakenBack(call)
            }
            Ok(false) => Feedback::Nothing,
            Err(PageCorrupt) => Feedback::PageCorrupt { worker, undispatched: None },
        }
    }

    /// Takes a call back from its worker for a cancel. Returns whether it is queued again.
    pub(super) fn take_back(&mut self, now: Instant, worker: WorkerId, call: CallId) -> bool {
        let feedback = self.revoke(worker, call);
        self.feed_back(now, feedback)
    }

    /// The worker's page contradicts the pool's own record: the worker is killed, and its calls count as begun.
    fn page_is_corrupt(&mut self, now: Instant, worker: WorkerId) {
        if let Some(link) = self.links.get_mut(worker) {
            link.mark_page_corrupt();
        }
        let Fault(what) = PageCorrupt.into();
        self.scheduler.worker_misbehaved(now, worker, what);
    }

    /// Ends a call without a result.
    fn judge(&mut self, call: CallId, worker: Option<WorkerId>, verdict: Verdict) {
        let Some(pending) = self.calls.get(call) else { return };
        let location = worker.and_then(|worker| Some((worker, pending.ticket_at(worker)?)));
        let (execution, pid) = match (&verdict, location) {
            (Verdict::Terminated { exit, began: true }, _) => (Execution::Started, Some(exit.pid)),
            (Verdict::Terminated { began: false, .. }, _) | (_, None) => {
                (Execution::NotStarted, None)
            }
            (_, Some(location)) if self.judge_batch(call, location, &verdict) => return,
            (_, Some((worker, ticket))) => match self.links.get_mut(worker) {
                None => (Execution::Started, None),
                Some(link) => match link.settle(ticket) {
                    Execution::NotStarted => (Execution::NotStarted, None),
                    execution => (execution, Some(link.pid())),
                },
            },
        };
        self.end_call(call, CallEnd::Judged(verdict, execution), pid, None);
    }

    /// Ends a worker. That does not wait for the pool thread, which may be in a waker of the user; the pool thread sees to it
    /// that the process is gone in time.
    fn kill(&mut self, worker: WorkerId) {
        if let Some(link) = self.links.get(worker) {
            link.hang_up();
        }
        self.mailbox.post(Job::Kill { worker });
    }
}
