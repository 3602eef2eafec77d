//! The pool thread: starts and ends workers, sees them die, keeps the time, and reads what no other thread reads.
//!
//! In each round it does the jobs that were posted, waits (for any worker, for being woken, for the next timer), writes what did
//! not fit, reads, and reaps the dead. It holds the pool's lock only to change the core. While anything happens in the pool, it
//! looks every [`limits::PICK_UP`], so no thread has to wake it for what can wait that long; when nothing happens it sleeps.
//! When it ends, for whatever reason, no call is left without an outcome.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::capture::Capture;
use super::core::Core;
use super::links::{Plan, Wanted};
use super::mailbox::Job;
use super::worker_link::Link;
use super::worker_link::receive::receive;
use super::worker_process::WorkerProcess;
use super::{Pool, handshake, initializer, pool_registry, thread_guard};
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::WorkerId;
use crate::limits;
use crate::spawn::{self, Launched};
use crate::sys::hint;
use crate::sys::poll::PollSet;
use crate::sys::reserve::Reserve;
use crate::sys::socket::Socket;
use crate::sys::tree;
use crate::transport::stream::Inbox;
use crate::unwind;
use crate::wire::frame;

/// The body of the thread.
fn run(pool: &Arc<Pool>, reserve: Reserve) {
    thread_guard::become_own_of(pool.id);
    let ended = unwind::guarded(|| {
        let mut thread = PoolThread {
            pool,
            processes: BTreeMap::new(),
            buffer: vec![0; limits::READ_BYTES].into_boxed_slice(),
            reserve,
            judges: Vec::new(),
            looked_after_lanes: clock::now(),
        };
        while thread.round() {}
        // Their verdicts are of no use any more.
        thread.judges.into_iter().for_each(|judge| drop(judge.join()));
    });
    // After a panic the channels are closed, at which the workers leave; the calls are dropped, at which they resolve.
    let fault = ended
        .err()
        .map(|_| Error::new(ErrorKind::BrokenProcessPool, "a fault in the pool's own thread"));
    let calls = pool.lock().end(clock::now(), fault);
    drop(calls);
    pool.segments.end();
    pool.changed.notify_all();
    pool.delivery.finish_callbacks();
    pool_registry::remove(pool);
}

impl Pool {
    /// Starts the pool thread, unless it was started or the pool takes no calls.
    pub(super) fn start_thread(self: &Arc<Self>) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let mut core = self.lock();
        if !core.mailbox().is_unstarted() || core.refusal().is_some() {
            return Ok(());
        }
        let failed = |error: io::Error| {
            let message = format!("cannot start the pool's thread{}", hint(&error));
            Error::io(ErrorKind::Spawn, &message, error)
        };
        let reserve = Reserve::new().map_err(failed)?;
        if core.events().is_observed() {
            self.delivery.start_callbacks().map_err(failed)?;
        }
        let pool = Arc::clone(self);
        let builder = thread::Builder::new()
            .name(format!("loky-pool-{}", self.id))
            .stack_size(limits::THREAD_STACK_BYTES);
        if !pool_registry::add(self) {
            let message = "cannot schedule new futures after the end of `main`";
            return Err(Error::new(ErrorKind::ShutdownExecutor, message));
        }
        let handle = builder.spawn(move || run(&pool, reserve)).map_err(|error| {
            pool_registry::remove(self);
            failed(error)
        })?;
        core.mailbox().thread_started();
        *thread = Some(handle);
        self.has_thread.store(true, Ordering::Release);
        Ok(())
    }
}

/// The state that the pool thread keeps for itself.
struct PoolThread<'a> {
    pool: &'a Arc<Pool>,
    processes: BTreeMap<WorkerId, WorkerProcess>,
    buffer: Box<[u8]>,
    /// Descriptors for scans of `/proc` when there are no others left.
    reserve: Reserve,
    /// Threads that decode what an initializer has returned.
    judges: Vec<JoinHandle<()>>,
    looked_after_lanes: Instant,
}

/// The workers for which poll has found something.
#[derive(Default)]
struct Ready {
    readable: Vec<WorkerId>,
    writable: Vec<WorkerId>,
    captured: Vec<WorkerId>,
    /// Their pidfd is readable; or they have none, and must be asked.
    perhaps_dead: Vec<WorkerId>,
}

impl PoolThread<'_> {
    /// Runs one round. False when nothing is left to be done.
    fn round(&mut self) -> bool {
        let (jobs, is_over, is_drainable) = {
            let mut core = self.pool.lock();
            let (jobs, is_over) = core.mailbox().begin_round();
            (jobs, is_over, core.is_drainable())
        };
        if is_drainable {
            self.pool.with_core(Core::drain);
        }
        if is_over
            && jobs.is_empty()
            && self.processes.is_empty()
            && self.pool.delivery.is_through()
        {
            return false;
        }
        if !jobs.is_empty() {
            self.note_busy();
        }
        self.do_jobs(jobs);
        self.kill_late();
        self.write_held_up();
        let Ready { readable, writable, captured, perhaps_dead } = self.wait();
        for worker in writable {
            self.write(worker);
        }
        for worker in readable {
            self.read(worker);
        }
        if !captured.is_empty() {
            self.note_busy();
        }
        for worker in captured {
            if let Some(process) = self.processes.get_mut(&worker) {
                for capture in [&mut process.stdout, &mut process.stderr].into_iter().flatten() {
                    capture.read(&mut self.buffer);
                }
            }
        }
        self.note_dead(perhaps_dead);
        self.reap();
        self.look_after_lanes();
        let now = clock::now();
        let timer = self.pool.lock().next_timer();
        if timer.is_some_and(|at| at <= now) {
            self.pool.with_core(Core::timer);
        }
        true
    }

    /// No other thread is to rely on this one until it sleeps again.
    fn note_busy(&self) {
        self.pool.with_core(Core::pool_thread_is_busy);
    }

    /// See [`limits::LANE_WATCH`].
    fn look_after_lanes(&mut self) {
        let now = clock::now();
        if now >= self.looked_after_lanes + limits::LANE_WATCH {
            self.looked_after_lanes = now;
            self.pool.lock().look_after_lanes();
        }
    }

    fn do_jobs(&mut self, jobs: Vec<Job>) {
        let mut to_kill = Vec::new();
        for job in jobs {
            match job {
                Job::Start { worker, index } => self.start(worker, index),
                Job::Retire { worker, why } => {
                    if let Some(process) = self.processes.get(&worker) {
                        // Noted here: a worker that is retired as it starts has a process only now.
                        process.socket.finish_sending();
                        self.pool.lock().worker_retired(worker, why);
                    }
                }
                Job::Judge { worker, result } => {
                    self.judges.extend(initializer::judge(self.pool, worker, result));
                }
                Job::Kill { worker } => to_kill.push(worker),
            }
        }
        let late = clock::deadline(Some(limits::KILL_GRACE));
        for worker in to_kill {
            if let Some(process) = self.processes.get_mut(&worker) {
                // The worker's watch ends it, with all that it has started: also if this process ends in the middle of this.
                process.socket.hang_up();
                process.kill_at = late;
            }
        }
    }

    /// Kills the processes that were told to end and have not: stopped ones, and programs that are no workers.
    fn kill_late(&mut self) {
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

    fn start(&mut self, worker: WorkerId, index: usize) {
        let start = self.pool.lock().begin_start();
        match spawn::launch(&self.pool.settings, index, self.pool.uses_lane) {
            Ok(Launched { process, socket, page, page_fd, stdout, stderr }) => {
                let socket = Arc::new(socket);
                self.send_setup(&socket, index, page_fd.as_ref());
                let captures = [stdout, stderr].map(|fd| fd.map(Capture::new));
                let process = WorkerProcess::new(process, Arc::clone(&socket), captures);
                let link = Link::new(clock::now(), process.pid(), index, socket, page);
                self.processes.insert(worker, process);
                self.pool.with_core(|core, now| core.worker_started(now, worker, link));
            }
            Err(failed) => self.pool.with_core(|core, now| {
                core.start_failed(now, (worker, index), start, failed);
            }),
        }
    }

    /// Sends a new worker what it needs to know first.
    fn send_setup(&self, socket: &Socket, index: usize, page: Option<&OwnedFd>) {
        let max_workers = self.pool.max_workers();
        let setup = handshake::setup(&self.pool.settings, index, max_workers, page.is_some());
        let mut setup = setup.to_bytes();
        // It fits: the channel is empty. An error means that the worker is gone already, which is about to be seen.
        let _ = match page {
            Some(page) => {
                frame::set_descriptors(&mut setup, 1);
                socket.try_send_with(&setup, &[page.as_fd()])
            }
            None => socket.try_send(&setup),
        };
    }

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
    fn wait(&self) -> Ready {
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

    /// Writes what did not fit.
    fn write(&self, worker: WorkerId) {
        self.pool.with_core(|core, now| core.write(now, worker));
    }

    /// Tries again to write what the system had no room for.
    fn write_held_up(&self) {
        let held_up = self.pool.lock().held_up();
        held_up.into_iter().for_each(|worker| self.write(worker));
    }

    /// Reads from a worker once, if it is this thread's turn.
    fn read(&self, worker: WorkerId) {
        let Some(mut inbox) = self.pool.lock().take_stream(worker) else { return };
        let received = receive(&mut inbox, false);
        self.pool.change(
            |core, now| {
                // Earlier answers may lie in the lane.
                core.drain(now);
                core.receive(now, worker, received, &self.pool.settings);
                core.stream_was_read(now, worker, inbox)
            },
            |core, now, source| core.pool_thread_has_read(now, worker, source),
        );
    }

    /// Sees which processes are dead, and ends what they started.
    fn note_dead(&mut self, perhaps_dead: Vec<WorkerId>) {
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
    fn reap(&mut self) {
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
