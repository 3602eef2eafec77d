//! The pool's thread: starts and ends workers, sees them die, keeps the time, and reads what nobody else reads.
//!
//! One round: do the jobs that were left to it, wait for any worker (or for being woken, or the next timer), read, write what
//! did not fit, bury the dead. It holds the pool's lock only to feed the scheduler. While anything happens in the pool it
//! looks at it every [`limits::PICK_UP`], so nobody has to wake it for what can wait that long; when nothing happens it
//! sleeps. When it ends, for whatever reason, no call is left behind.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::capture::Capture;
use super::core::Core;
use super::links::{Plan, Wanted};
use super::mailbox::Job;
use super::worker_link::Link;
use super::worker_link::receive::receive;
use super::worker_process::Peer;
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
    let driven = unwind::guarded(|| {
        let mut driver = Driver {
            pool,
            peers: BTreeMap::new(),
            buffer: vec![0; limits::READ_BYTES].into_boxed_slice(),
            reserve,
            judges: Vec::new(),
            looked_after_lanes: clock::now(),
        };
        while driver.round() {}
        // What they find out is of no use any more.
        driver.judges.into_iter().for_each(|judge| drop(judge.join()));
    });
    // After a panic the channels are closed, at which the workers leave; the calls are dropped, at which they resolve.
    let fault = driven
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

struct Driver<'a> {
    pool: &'a Arc<Pool>,
    peers: BTreeMap<WorkerId, Peer>,
    buffer: Box<[u8]>,
    /// For looking for processes when there are no descriptors left.
    reserve: Reserve,
    /// Threads that decode what an initializer has returned.
    judges: Vec<JoinHandle<()>>,
    looked_after_lanes: Instant,
}

/// What poll has found.
#[derive(Default)]
struct Ready {
    readable: Vec<WorkerId>,
    writable: Vec<WorkerId>,
    captured: Vec<WorkerId>,
    /// Those whose pidfd says that they have ended, or that have none and must be asked.
    perhaps_dead: Vec<WorkerId>,
}

impl Driver<'_> {
    /// False when nothing is left to be done.
    fn round(&mut self) -> bool {
        let (jobs, is_over, is_drainable) = {
            let mut core = self.pool.lock();
            let (jobs, is_over) = core.mailbox().begin_round();
            (jobs, is_over, core.is_drainable())
        };
        if is_drainable {
            self.pool.with_core(Core::drain);
        }
        if is_over && jobs.is_empty() && self.peers.is_empty() && self.pool.delivery.is_through() {
            return false;
        }
        if !jobs.is_empty() {
            self.at_work();
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
            self.at_work();
        }
        for worker in captured {
            if let Some(peer) = self.peers.get_mut(&worker) {
                for capture in [&mut peer.stdout, &mut peer.stderr].into_iter().flatten() {
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

    /// Nobody is to rely on this thread until it sleeps again.
    fn at_work(&self) {
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
        let mut condemned = Vec::new();
        for job in jobs {
            match job {
                Job::Start { worker, index } => self.start(worker, index),
                Job::Retire { worker, why } => {
                    if let Some(peer) = self.peers.get(&worker) {
                        // Noted here: one that is retired as it starts has only now a process.
                        peer.socket.finish_sending();
                        self.pool.lock().worker_retired(worker, why);
                    }
                }
                Job::Judge { worker, result } => {
                    self.judges.extend(initializer::judge(self.pool, worker, result));
                }
                Job::Kill { worker } => condemned.push(worker),
            }
        }
        let late = clock::deadline(Some(limits::KILL_GRACE));
        for worker in condemned {
            if let Some(peer) = self.peers.get_mut(&worker) {
                // Its watch ends it, with all that it has started; so it does if this process ends in the middle of this.
                peer.socket.hang_up();
                peer.kill_at = late;
            }
        }
    }

    /// Kills those that were told to end and have not: stopped ones, strangers.
    fn kill_late(&mut self) {
        let now = clock::now();
        let is_late = |peer: &Peer| peer.kill_at.is_some_and(|at| at <= now);
        if !self.peers.values().any(is_late) {
            return;
        }
        self.at_work();
        let mut late: Vec<_> = self.peers.values_mut().filter(|peer| is_late(peer)).collect();
        late.iter_mut().for_each(|peer| peer.kill_at = None);
        // One whose status somebody else has taken is not there any more, and its number may be a stranger's.
        let there = late.iter().filter(|peer| peer.process.exit().is_none());
        let pids: Vec<_> = there.map(|peer| peer.pid()).collect();
        tree::kill_with(&pids, &mut self.reserve, || {
            late.iter().for_each(|peer| peer.process.kill());
        });
    }

    fn start(&mut self, worker: WorkerId, index: usize) {
        let start = self.pool.lock().begin_start();
        match spawn::launch(&self.pool.settings, index, self.pool.uses_lane) {
            Ok(Launched { process, socket, page, page_fd, stdout, stderr }) => {
                let socket = Arc::new(socket);
                self.send_setup(&socket, index, page_fd.as_ref());
                let captures = [stdout, stderr].map(|fd| fd.map(Capture::new));
                let peer = Peer::new(process, Arc::clone(&socket), captures);
                let link = Link::new(clock::now(), peer.pid(), index, socket, page);
                self.peers.insert(worker, peer);
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

    /// What is waited for, and until when. `None` if there is a job, or something in a lane.
    fn plan(&self, now: Instant) -> Option<(Plan, Option<Instant>)> {
        let (unused, next_visit) = self.pool.segments.visit(now);
        if !unused.is_empty() {
            self.at_work();
            drop(unused);
        }
        let kill = self.peers.values().filter_map(|peer| peer.kill_at).min();
        let is_any_unseen = self.peers.values().any(|peer| peer.pidfd().is_none());
        let reap = is_any_unseen.then(|| now + limits::REAP_INTERVAL);
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
        for (id, peer) in &self.peers {
            let Wanted { reads, writes } = plan.get(id).copied().unwrap_or_default();
            let channel = (reads || writes).then(|| set.add(peer.socket.as_fd(), reads, writes));
            let pidfd = peer.pidfd().map(|pidfd| set.add(pidfd, true, false));
            let captures = [&peer.stdout, &peer.stderr].map(|capture| {
                let open = capture.as_ref().filter(|capture| capture.is_open());
                open.map(|capture| set.add(capture.fd(), true, false))
            });
            places.push((*id, channel, pidfd, captures));
        }
        if set.wait(now, deadline).is_err() {
            // Too many descriptors for a limit that was lowered, or no memory. Nothing blocks when it is not ready, so
            // everybody can be asked instead.
            self.at_work();
            thread::park_timeout(limits::REAP_INTERVAL);
            let all = || self.peers.keys().copied().collect();
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
                // What was answered before this may lie in the lane.
                core.drain(now);
                core.receive(now, worker, received, &self.pool.settings);
                core.stream_was_read(now, worker, inbox)
            },
            |core, now, source| core.pool_thread_has_read(now, worker, source),
        );
    }

    /// Sees who is really dead, and ends what they started.
    fn note_dead(&mut self, perhaps_dead: Vec<WorkerId>) {
        let mut dead = Vec::new();
        for id in perhaps_dead {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            match peer.process.exit() {
                Some(exit) => {
                    peer.exit = Some(exit);
                    dead.push(id);
                }
                // Its pidfd says so and waitid does not: a debugger has it, and lets go when it likes.
                None => peer.is_held = true,
            }
        }
        if dead.is_empty() {
            return;
        }
        self.at_work();
        // While the dead are not reaped nobody else can have their numbers.
        // (Unless somebody else has taken their status.)
        let is_ours = |peer: &&Peer| {
            peer.exit.is_some_and(|exit| !exit.is_unknown()) || tree::is_free(peer.pid())
        };
        let pids: Vec<_> =
            dead.iter().map(|id| &self.peers[id]).filter(is_ours).map(Peer::pid).collect();
        tree::kill_below(&pids, &mut self.reserve);
        for id in dead {
            // The dead write no more, but a child that one forked off may: from here on it cannot, nor keep a reader.
            self.peers[&id].socket.hang_up();
            self.pool.lock().worker_died(id);
        }
    }

    /// Takes leave of the dead, once nobody else reads from them: what they had written is read.
    fn reap(&mut self) {
        let dead = self.peers.iter().filter_map(|(id, peer)| Some((*id, peer.exit?)));
        for (worker, exit) in dead.collect::<Vec<_>>() {
            let inbox = self.pool.lock().take_stream_for_good(worker);
            let Some(mut inbox) = inbox else { continue };
            self.read_rest(worker, &mut inbox);
            let Some(mut peer) = self.peers.remove(&worker) else { continue };
            if !exit.is_unknown() {
                peer.process.reap();
            }
            let exit = peer.worker_exit(exit, &mut self.buffer);
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
