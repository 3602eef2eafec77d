//! Worker processes that end: killing those that are late, and reaping the dead.
//!
//! The number of a dead process is not another's before it is reaped. So what it has started is killed first, then what it had
//! written is read, and then it is reaped.

use super::PoolThread;
use crate::clock;
use crate::id::WorkerId;
use crate::limits;
use crate::pool::worker_link::receive::receive;
use crate::pool::worker_process::WorkerProcess;
use crate::sys::tree;
use crate::transport::stream::Inbox;

impl PoolThread<'_> {
    /// Kills the processes that were told to end and have not: stopped ones, and programs that are no workers.
    pub(super) fn kill_late(&mut self) {
        let now = clock::now();
        let is_late = |process: &WorkerProcess| process.kill_at.is_some_and(|at| at <= now);
        if !self.processes.values().any(is_late) {
            return;
        }
        self.note_busy();
        let mut late: Vec<_> =
            self.processes.values_mut().filter(|process| is_late(process)).collect();
        late.iter_mut().for_each(|process| process.kill_at = None);
        // A process whose status other code has taken is gone, and another process may have its number.
        let there = late.iter().filter(|process| process.child.exit().is_none());
        let pids: Vec<_> = there.map(|process| process.pid()).collect();
        tree::kill_with(&pids, &mut self.reserve, || {
            late.iter().for_each(|process| process.child.kill());
        });
    }

    /// Sees which processes are dead, and ends what they started.
    pub(super) fn note_dead(&mut self, perhaps_dead: Vec<WorkerId>) {
        let mut dead = Vec::new();
        for id in perhaps_dead {
            let Some(process) = self.processes.get_mut(&id) else { continue };
            match process.child.exit() {
                Some(exit) => {
                    process.exit = Some(exit);
                    dead.push(id);
                }
                // By its pidfd it has ended, by waitid it has not: a debugger holds it, for as long as it likes.
                None => process.is_held = true,
            }
        }
        if dead.is_empty() {
            return;
        }
        self.note_busy();
        // While a dead process is not reaped, no other process can have its number: unless other code has taken its status.
        let is_ours = |process: &&WorkerProcess| {
            process.exit.is_some_and(|exit| !exit.is_unknown()) || tree::is_free(process.pid())
        };
        let pids: Vec<_> = dead
            .iter()
            .map(|id| &self.processes[id])
            .filter(is_ours)
            .map(WorkerProcess::pid)
            .collect();
        tree::kill_below(&pids, &mut self.reserve);
        for id in dead {
            // A dead process writes no more, but a child that it forked off may. From here on that cannot, nor keep a reader.
            self.processes[&id].socket.hang_up();
            self.pool.lock().worker_died(id);
        }
    }

    /// Reaps the dead, each once no other thread reads from it: what it had written is read first.
    pub(super) fn reap(&mut self) {
        let dead = self.processes.iter().filter_map(|(id, process)| Some((*id, process.exit?)));
        for (worker, exit) in dead.collect::<Vec<_>>() {
            let inbox = self.pool.lock().take_stream_for_good(worker);
            let Some(mut inbox) = inbox else { continue };
            self.read_rest(worker, &mut inbox);
            let Some(mut process) = self.processes.remove(&worker) else { continue };
            if !exit.is_unknown() {
                process.child.reap();
            }
            let exit = process.worker_exit(exit, &mut self.buffer);
            let is_cut_off = inbox.is_inside_frame();
            self.pool.with_core(|core, now| core.worker_exited(now, worker, exit, is_cut_off));
        }
    }

    /// Reads what a dead worker had written. There is an end to it: our end of the channel is shut.
    fn read_rest(&self, worker: WorkerId, inbox: &mut Inbox) {
        for _ in 0..limits::LAST_READS {
            let received = receive(inbox, false);
            let is_end = received.is_closed || received.fault.is_some();
            self.pool.with_core(|core, now| {
                core.receive(now, worker, received, &self.pool.settings);
            });
            if is_end {
                return;
            }
        }
    }
}
