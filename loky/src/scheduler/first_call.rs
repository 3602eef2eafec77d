//! First calls, which lie with their workers before these are up: so a worker that comes up finds its call there, and need not
//! wait until somebody has heard of it.
//!
//! A worker that was started gets one call of those that nobody else takes. It begins it when it has shaken hands. Until then
//! the call is as good as queued: it is taken back for whoever becomes idle, and after [`limits::REVOKE_STARTING_AFTER`](crate::limits::REVOKE_STARTING_AFTER) for
//! everybody; if the worker dies it goes to the front of the queue, and that does not count against it.
//!
//! Only a copy of this program's own image gets one, which cannot be anything but a worker of it: another executable may turn out to
//! have other tasks. And only where there is no initializer, which takes what time it takes.

use std::time::Instant;

use super::{Action, Scheduler};
use crate::id::WorkerId;

impl Scheduler {
    /// The worker was started, and there is a channel to it.
    pub(crate) fn worker_launched(&mut self, now: Instant, id: WorkerId) {
        let is_starting = self.workers.get(&id).is_some_and(|worker| worker.is_starting());
        if is_starting && self.rules.early_dispatch {
            self.starting.push(id);
            self.advance(now);
        }
    }

    /// Gives queued calls to those that are coming up, one each. No worker is idle.
    pub(super) fn dispatch_to_starting(&mut self, now: Instant) {
        for at in 0..self.starting.len() {
            let id = self.starting[at];
            if self.queued() > 0 && self.takes_first_call(id) {
                self.dispatch(now, id);
            }
        }
    }

    fn takes_first_call(&self, id: WorkerId) -> bool {
        self.workers.get(&id).is_some_and(|worker| {
            // A second one, after the first was taken back, would be in no better place than that was.
            let has_had_none = worker.calls.is_empty() && worker.revoked == 0;
            worker.is_starting()
                && has_had_none
                && !worker.is_congested
                && worker.retire_reason().is_none()
        })
    }

    /// Takes calls back from those that are coming up, for idle workers.
    pub(super) fn revoke_from_starting(&mut self) {
        let early = self.starting.iter().filter_map(|id| {
            let call = self.workers.get(id)?.calls.front()?;
            Some(Action::Revoke { worker: *id, call: *call })
        });
        // The oldest, and of these the last first, as wherever calls are taken back.
        let early: Vec<_> = early.take(self.idle.len()).collect();
        self.actions.extend(early.into_iter().rev());
    }
}
