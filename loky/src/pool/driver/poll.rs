//! The sleep of the pool thread: what it waits for at each worker, and what poll(2) has found.

use std::os::fd::AsFd;
use std::thread;
use std::time::Instant;

use super::PoolThread;
use crate::clock;
use crate::id::WorkerId;
use crate::limits;
use crate::pool::links::{Plan, Wanted};
use crate::sys::poll::PollSet;

/// The workers for which poll has found something.
#[derive(Default)]
pub(super) struct Ready {
    pub(super) readable: Vec<WorkerId>,
    pub(super) writable: Vec<WorkerId>,
    pub(super) captured: Vec<WorkerId>,
    /// Their pidfd is readable; or they have none, and must be asked.
    pub(super) perhaps_dead: Vec<WorkerId>,
}

impl PoolThread<'_> {
    /// Plans what to wait for, and until when. `None` if there is a job, or something in a lane.
    fn plan(&self, now: Instant) -> Option<(Plan, Option<Instant>)> {
        let (unused, next_visit) = self.pool.segments.visit(now);
        if !unused.is_empty() {
            self.note_busy();
            drop(unused);
        }
        let kill = self.processes.values().filter_map(|process| process.kill_at).min();
        let is_any_without_pidfd = self.processes.values().any(|process| process.pidfd().is_none());
        let reap = is_any_without_pidfd.then(|| now + limits::REAP_INTERVAL);
        let deadline = [kill, reap, next_visit].into_iter().flatten().min();
        self.pool.lock().plan_sleep(now, deadline, self.looked_after_lanes)
    }

    /// Waits until there is something to do.
    pub(super) fn wait(&self) -> Ready {
        let now = clock::now();
        let Some((plan, deadline)) = self.plan(now) else { return Ready::default() };

        let mut set = PollSet::default();
        let wake = set.add(self.pool.wake.as_fd(), true, false);
        let mut places = Vec::new();
        for (id, process) in &self.processes {
            let Wanted { reads, writes } = plan.get(id).copied().unwrap_or_default();
            let channel = (reads || writes).then(|| set.add(process.socket.as_fd(), reads, writes));
            let pidfd = process.pidfd().map(|pidfd| set.add(pidfd, true, false));
            let captures = [&process.stdout, &process.stderr].map(|capture| {
                let open = capture.as_ref().filter(|capture| capture.is_open());
                open.map(|capture| set.add(capture.fd(), true, false))
            });
            places.push((*id, channel, pidfd, captures));
        }
        if set.wait(now, deadline).is_err() {
            // Too many descriptors for a limit that was lowered, or no memory. Nothing blocks when it is not ready, so all
            // workers can be asked instead.
            self.note_busy();
            thread::park_timeout(limits::REAP_INTERVAL);
            let all = || self.processes.keys().copied().collect();
            return Ready {
                readable: all(),
                writable: all(),
                captured: all(),
                perhaps_dead: all(),
            };
        }
        self.pool.lock().pool_thread_woke();
        if set.readable(wake) {
            self.pool.wake.clear();
        }
        let mut ready = Ready::default();
        for (id, channel, pidfd, captures) in places {
            ready.readable.extend(channel.filter(|place| set.readable(*place)).map(|_| id));
            ready.writable.extend(channel.filter(|place| set.writable(*place)).map(|_| id));
            if captures.into_iter().flatten().any(|place| set.readable(place)) {
                ready.captured.push(id);
            }
            if pidfd.is_none_or(|place| set.readable(place)) {
                ready.perhaps_dead.push(id);
            }
        }
        ready
    }
}
