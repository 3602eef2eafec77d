//! The pool thread: starts and ends workers, sees them die, keeps the time, and reads what no other thread reads.
//!
//! In each round it does the jobs that were posted, waits (for any worker, for being woken, for the next timer), writes what did
//! not fit, reads, and reaps the dead. It holds the pool's lock only to change the core. While anything happens in the pool, it
//! looks every [`limits::PICK_UP`], so no thread has to wake it for what can wait that long; when nothing happens it sleeps.
//! When it ends, for whatever reason, no call is left without an outcome.

mod deaths;
mod poll;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::WorkerId;
use crate::limits;
use crate::pool::capture::Capture;
use crate::pool::core::Core;
use crate::pool::mailbox::Job;
use crate::pool::worker_link::Link;
use crate::pool::worker_link::receive::receive;
use crate::pool::worker_process::WorkerProcess;
use crate::pool::{Pool, handshake, initializer, pool_registry, thread_guard};
use crate::spawn::{self, Launched};
use crate::sys::hint;
use crate::sys::reserve::Reserve;
use crate::sys::socket::Socket;
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
        let ready = self.wait();
        for worker in ready.writable {
            self.write(worker);
        }
        for worker in ready.readable {
            self.read(worker);
        }
        if !ready.captured.is_empty() {
            self.note_busy();
        }
        for worker in ready.captured {
            if let Some(process) = self.processes.get_mut(&worker) {
                for capture in [&mut process.stdout, &mut process.stderr].into_iter().flatten() {
                    capture.read(&mut self.buffer);
                }
            }
        }
        self.note_dead(ready.perhaps_dead);
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
}
