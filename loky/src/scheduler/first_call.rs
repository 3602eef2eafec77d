//! The first call of a starting worker. It waits in the worker's page, so the worker begins it right after the handshake,
//! without another trip to the pool.
//!
//! - A launched worker gets one call that no other worker takes.
//! - The call is as good as queued. It is revoked as soon as another worker is idle, and in any case after
//!   [`limits::REVOKE_STARTING_AFTER`](crate::limits::REVOKE_STARTING_AFTER).
//! - If the worker dies before it is ready, the call returns to its position in the queue. The death does not count against it.
//!
//! [`Rules::early_dispatch`](super::Rules::early_dispatch) allows this only for copies of this program's own image, because
//! another executable may turn out to have other tasks, and only without an initializer, whose run time is unknown.

use std::time::Instant;

use super::{Action, Scheduler};
use crate::id::WorkerId;

impl Scheduler {
    /// The process runs, and there is a channel to it.
    pub(crate) fn worker_launched(&mut self, now: Instant, id: WorkerId) {
        let is_starting = self.workers.get(&id).is_some_and(|worker| worker.is_starting());
        if is_starting && self.rules.early_dispatch {
            self.starting.push(id);
            self.advance(now);
        }
    }

    /// Dispatches one queued call to each starting worker. No worker is idle.
    pub(super) fn dispatch_to_starting(&mut self, now: Instant) {
        for i in 0..self.starting.len() {
            let id = self.starting[i];
            if self.queued() > 0 && self.takes_first_call(id) {
                self.dispatch(now, id);
            }
        }
    }

    fn takes_first_call(&self, id: WorkerId) -> bool {
        self.workers.get(&id).is_some_and(|worker| {
            // If its first call was revoked, a second one would wait in vain as well.
            let has_had_no_call = worker.calls.is_empty() && worker.revoked == 0;
            worker.is_starting()
                && has_had_no_call
                && !worker.is_congested
                && worker.retire_reason().is_none()
        })
    }

    /// Revokes first calls for idle workers.
    pub(super) fn revoke_from_starting(&mut self) {
        let revokes = self.starting.iter().filter_map(|id| {
            let call = self.workers.get(id)?.calls.front()?;
            Some(Action::Revoke { worker: *id, call: *call })
        });
        // The oldest ones; of these the last one first, as everywhere, so that each finds its position in the queue at once.
        let revokes: Vec<_> = revokes.take(self.idle.len()).collect();
        self.actions.extend(revokes.into_iter().rev());
    }
}
