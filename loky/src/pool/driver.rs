//! The pool's thread: starts and ends workers, reads what they say, sees them die, keeps the time.
//!
//! One round: do the jobs that were left to it, wait for any worker (or for being woken, or the next timer), read, bury the
//! dead. It holds the pool's lock only to feed the scheduler. When it ends, for whatever reason, no call is left behind.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::outcome::Ending;
use super::peer::{Peer, Received};
use super::state::{DriverState, Job, Link, State};
use super::{Pool, handshake, membership};
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::id::WorkerId;
use crate::limits;
use crate::scheduler::Misbehaved;
use crate::spawn;
use crate::sys::child::Exit;
use crate::sys::poll::PollSet;
use crate::sys::reserve::Reserve;
use crate::sys::tree;
use crate::transport::stream::Outbox;
use crate::unwind;
use crate::wire::message::FromWorker;

/// The body of the thread.
pub(super) fn run(pool: &Arc<Pool>, reserve: Reserve) {
    membership::join(pool.id);
    let driven = unwind::guarded(|| {
        let mut driver = Driver {
            pool,
            peers: BTreeMap::new(),
            buffer: vec![0; limits::READ_BYTES].into_boxed_slice(),
            reserve,
        };
        while driver.round() {}
    });
    // After a panic the channels are closed, at which the workers leave; the calls are dropped, at which they resolve.
    let calls = {
        let mut state = pool.lock();
        state.driver = DriverState::Ended;
        if driven.is_err() {
            let fault =
                Error::new(ErrorKind::BrokenProcessPool, "a fault in the pool's own thread");
            state.scheduler.break_for(clock::now(), fault);
        }
        state.links.clear();
        (std::mem::take(&mut state.calls), std::mem::take(&mut state.decided))
    };
    drop(calls);
    pool.changed.notify_all();
    pool.callbacks.finish();
}

struct Driver<'a> {
    pool: &'a Arc<Pool>,
    peers: BTreeMap<WorkerId, Peer>,
    buffer: Box<[u8]>,
    /// For looking for processes when there are no descriptors left.
    reserve: Reserve,
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
        let (jobs, is_over) = {
            let mut state = self.pool.lock();
            (std::mem::take(&mut state.jobs), state.is_over)
        };
        if is_over && jobs.is_empty() && self.peers.is_empty() && self.pool.is_handed_out() {
            return false;
        }
        self.do_jobs(jobs);
        self.kill_late();
        let Ready { readable, writable, captured, perhaps_dead } = self.wait();
        for worker in writable {
            self.pool.with_state(|state, _| {
                if let Some(link) = state.links.get_mut(&worker) {
                    // An error means that it is gone, which is seen where it is read from.
                    let _ = link.outbox.flush();
                }
            });
        }
        for worker in readable {
            self.receive(worker);
        }
        for worker in captured {
            if let Some(peer) = self.peers.get_mut(&worker) {
                for capture in [&mut peer.stdout, &mut peer.stderr].into_iter().flatten() {
                    capture.read(&mut self.buffer);
                }
            }
        }
        self.bury(perhaps_dead);
        let is_due =
            |state: &State, now: Instant| state.scheduler.next_timer().is_some_and(|at| at <= now);
        self.pool.with_state(|state, now| {
            if is_due(state, now) {
                state.scheduler.timer(now);
            }
        });
        true
    }

    fn do_jobs(&mut self, jobs: Vec<Job>) {
        let mut condemned = Vec::new();
        for job in jobs {
            match job {
                Job::Start { worker, index } => self.start(worker, index),
                Job::Retire { worker } => {
                    if let Some(peer) = self.peers.get(&worker) {
                        peer.socket.finish_sending();
                    }
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
        let is_late = |peer: &&mut Peer| peer.kill_at.is_some_and(|at| at <= now);
        let mut late: Vec<_> = self.peers.values_mut().filter(is_late).collect();
        late.iter_mut().for_each(|peer| peer.kill_at = None);
        // One whose status somebody else has taken is not there any more, and its number may be a stranger's.
        let there = late.iter().filter(|peer| peer.process.exit().is_none());
        let pids: Vec<_> = there.map(|peer| peer.pid()).collect();
        tree::kill_with(&pids, &mut self.reserve, || {
            late.iter().for_each(|peer| peer.process.kill());
        });
    }

    fn start(&mut self, worker: WorkerId, index: usize) {
        match spawn::launch(&self.pool.settings) {
            Ok(launched) => {
                let peer = Peer::new(launched);
                let mut outbox = Outbox::new(Arc::clone(&peer.socket));
                // An error means that it is gone already, which is seen where it is read from.
                let _ = outbox.send(Arc::new(handshake::setup(index).to_bytes()));
                let link = Link { pid: peer.pid(), index, outbox };
                self.peers.insert(worker, peer);
                self.pool.lock().links.insert(worker, link);
            }
            Err(failed) => self.pool.with_state(|state, now| {
                state.start_failures += 1;
                state.last_start_error = Some(failed.error.clone());
                state.scheduler.start_failed(now, worker, failed.error, failed.is_shortage);
            }),
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) -> Ready {
        let now = clock::now();
        let (mut deadline, waiting) = {
            let state = self.pool.lock();
            if !state.jobs.is_empty() {
                return Ready::default();
            }
            let waiting = state.links.iter().filter(|(_, link)| link.outbox.is_waiting());
            (state.scheduler.next_timer(), waiting.map(|(id, _)| *id).collect::<Vec<_>>())
        };
        deadline = self.peers.values().filter_map(|peer| peer.kill_at).chain(deadline).min();
        if self.peers.values().any(|peer| peer.pidfd().is_none()) {
            let look = now + limits::REAP_INTERVAL;
            deadline = Some(deadline.map_or(look, |deadline| deadline.min(look)));
        }

        let mut set = PollSet::default();
        let wake = set.add(self.pool.wake.as_fd(), true, false);
        let mut places = Vec::new();
        for (id, peer) in &self.peers {
            let writes = waiting.binary_search(id).is_ok() && peer.is_open;
            let channel = (peer.is_open || writes)
                .then(|| set.add(peer.socket.as_fd(), peer.is_open, writes));
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
            thread::park_timeout(limits::REAP_INTERVAL);
            let all = || self.peers.keys().copied().collect();
            return Ready {
                readable: all(),
                writable: all(),
                captured: all(),
                perhaps_dead: all(),
            };
        }
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

    /// Reads from a worker for one turn, and hears what it has to say. Whether there may be more.
    fn receive(&mut self, worker: WorkerId) -> bool {
        let Some(peer) = self.peers.get_mut(&worker) else { return false };
        if !peer.is_open {
            return false;
        }
        let Received { said, fault, is_turn_over } = peer.receive(&mut self.buffer);
        if !peer.is_trusted {
            return is_turn_over;
        }
        let is_closed = !peer.is_open && fault.is_none();
        let pool = self.pool;
        pool.with_state(|state, now| {
            let heard = hear(pool, state, now, worker, peer, said);
            if let Some(fault) = fault.or_else(|| heard.err().map(|Misbehaved(what)| what)) {
                peer.is_trusted = false;
                state.scheduler.worker_misbehaved(now, worker, fault);
            } else if is_closed {
                state.scheduler.channel_closed(now, worker);
            }
        });
        is_turn_over
    }

    /// Takes leave of those that are really dead: what they had written is read, what they started is killed.
    fn bury(&mut self, perhaps_dead: Vec<WorkerId>) {
        let mut exits: Vec<(WorkerId, Exit)> = Vec::new();
        for id in perhaps_dead {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            match peer.process.exit() {
                Some(exit) => exits.push((id, exit)),
                // Its pidfd says so and waitid does not: a debugger has it, and lets go when it likes.
                None => peer.is_held = true,
            }
        }
        if exits.is_empty() {
            return;
        }
        // While the dead are not reaped nobody else can have their numbers.
        // (Unless somebody else has taken their status.)
        let is_ours = |pid: &u32, exit: &Exit| !exit.is_unknown() || tree::is_free(*pid);
        let pids: Vec<_> = exits.iter().map(|(id, exit)| (self.peers[id].pid(), exit)).collect();
        let pids: Vec<_> =
            pids.into_iter().filter(|(pid, exit)| is_ours(pid, exit)).map(|(pid, _)| pid).collect();
        tree::kill_below(&pids, &mut self.reserve);
        for (worker, exit) in exits {
            // The dead write no more; but a child that one forked off may, and is not waited for.
            for _ in 0..limits::LAST_TURNS {
                if !self.receive(worker) {
                    break;
                }
            }
            let Some(mut peer) = self.peers.remove(&worker) else { continue };
            if !exit.is_unknown() {
                peer.process.reap();
            }
            let is_cut_off = peer.is_cut_off();
            let exit = peer.worker_exit(exit, &mut self.buffer);
            self.pool.with_state(|state, now| {
                state.links.remove(&worker);
                if is_cut_off {
                    state.scheduler.worker_cut_off(worker);
                }
                state.scheduler.worker_exited(now, worker, exit);
            });
        }
    }
}

/// Takes what a worker has said into the state.
fn hear(
    pool: &Pool,
    state: &mut State,
    now: Instant,
    worker: WorkerId,
    peer: &mut Peer,
    said: Vec<FromWorker>,
) -> Result<(), Misbehaved> {
    for message in said {
        match message {
            FromWorker::Hello(hello) => {
                if std::mem::replace(&mut peer.is_greeted, true) {
                    return Err(Misbehaved("it said hello twice"));
                }
                match handshake::check(&pool.settings, &hello) {
                    Ok(()) => state.scheduler.worker_ready(now, worker),
                    Err(error) => state.scheduler.handshake_failed(now, worker, error),
                }
            }
            FromWorker::Refuse(_) if peer.is_greeted => {
                return Err(Misbehaved("it refused to be what it had said that it is"));
            }
            FromWorker::Refuse(reason) => {
                let error = Error::new(ErrorKind::Handshake, reason);
                state.scheduler.handshake_failed(now, worker, error);
            }
            FromWorker::Began(call) => {
                state.scheduler.call_began(worker, call)?;
                if let Some(pending) = state.calls.get_mut(&call) {
                    pending.promise.begin(peer.pid());
                    pending.frame = None;
                }
            }
            FromWorker::Result(call, bytes) => {
                state.scheduler.call_finished(now, worker, call)?;
                if let Some(pending) = state.calls.remove(&call) {
                    state.decided.push(pending.ended(Ending::Result(bytes)));
                }
            }
            FromWorker::Failed(call, failure) => {
                state.scheduler.call_finished(now, worker, call)?;
                if let Some(pending) = state.calls.remove(&call) {
                    state.decided.push(pending.ended(Ending::Failed(failure)));
                }
            }
        }
    }
    Ok(())
}
