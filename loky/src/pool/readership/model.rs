//! Which thread reads, modelled with loom: waiting threads, the background, a worker that answers, a cancel, in every order.
//!
//! The world is as small as it can be: one worker with two calls. The lock is the pool's, the slots of the two calls are
//! condition variables beside it (a slot's own protocol has its own model), and the channel is a queue that can be slept on
//! as poll(2) does: until there is an answer, or a wake. Nothing here has a timer: a thread that is woken too late sleeps
//! for ever, and loom says so.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::Readership;
use crate::clock;

const CALLS: usize = 2;

/// The state behind the pool's lock.
struct State {
    readership: Readership<()>,
    is_done: [bool; CALLS],
    parked: [usize; CALLS],
    nudges: [u32; CALLS],
    /// Whether the reader is to be woken when this call goes.
    is_polled: [bool; CALLS],
}

/// The channel: which calls were answered, and whether the reader was woken.
#[derive(Default)]
struct Channel {
    answers: Vec<usize>,
    is_woken: bool,
}

struct World {
    state: Mutex<State>,
    slots: [Condvar; CALLS],
    channel: Mutex<Channel>,
    readable: Condvar,
}

impl World {
    fn new() -> Arc<Self> {
        let mut readership = Readership::new(clock::now(), ());
        readership.leave_unread(clock::now());
        Arc::new(Self {
            state: Mutex::new(State {
                readership,
                is_done: [false; CALLS],
                parked: [0; CALLS],
                nudges: [0; CALLS],
                is_polled: [false; CALLS],
            }),
            slots: [Condvar::new(), Condvar::new()],
            channel: Mutex::new(Channel::default()),
            readable: Condvar::new(),
        })
    }

    fn answer(&self, call: usize) {
        self.channel.lock().unwrap().answers.push(call);
        self.readable.notify_all();
    }

    /// The call ends in another way than by its answer.
    fn cancel(&self, call: usize) {
        let is_polled = {
            let mut state = self.state.lock().unwrap();
            state.is_done[call] = true;
            std::mem::take(&mut state.is_polled[call])
        };
        self.slots[call].notify_all();
        if is_polled {
            self.channel.lock().unwrap().is_woken = true;
            self.readable.notify_all();
        }
    }

    /// Does what `give_back` and `pass_on` of the pool do.
    fn give_back(&self, state: &mut State, answers: &[usize], returns_for: Option<usize>) {
        let _ = state.readership.give_back(clock::now(), ());
        for call in answers {
            state.is_done[*call] = true;
            self.slots[*call].notify_all();
        }
        if returns_for.is_none_or(|call| state.is_done[call])
            && let Some(call) =
                (0..CALLS).find(|call| state.parked[*call] > 0 && !state.is_done[*call])
        {
            state.readership.leave_unread(clock::now());
            state.nudges[call] += 1;
            self.slots[call].notify_all();
        }
    }

    /// Waits for a result, as a thread does.
    fn wait(&self, call: usize) {
        loop {
            let mut state = self.state.lock().unwrap();
            if state.is_done[call] {
                return;
            }
            if state.readership.take_as_waiter().is_some() {
                state.is_polled[call] = true;
                drop(state);
                let answers = self.poll();
                let mut state = self.state.lock().unwrap();
                state.is_polled[call] = false;
                self.give_back(&mut state, &answers, Some(call));
            } else {
                state.parked[call] += 1;
                let seen = state.nudges[call];
                while !state.is_done[call] && state.nudges[call] == seen {
                    state = self.slots[call].wait(state).unwrap();
                }
                state.parked[call] -= 1;
            }
        }
    }

    fn poll(&self) -> Vec<usize> {
        let mut channel = self.channel.lock().unwrap();
        while channel.answers.is_empty() && !channel.is_woken {
            channel = self.readable.wait(channel).unwrap();
        }
        channel.is_woken = false;
        std::mem::take(&mut channel.answers)
    }

    /// One round of the pool thread, in which nothing blocks.
    fn background(&self) {
        let mut state = self.state.lock().unwrap();
        state.readership.read_in_background();
        if state.readership.take_as_background().is_none() {
            return;
        }
        drop(state);
        let answers = std::mem::take(&mut self.channel.lock().unwrap().answers);
        let mut state = self.state.lock().unwrap();
        self.give_back(&mut state, &answers, None);
    }
}

/// Every order in which no thread is interrupted more often than this: all orders (which were tried) take a quarter of a minute.
fn explore(world: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(world);
}

/// Two threads wait for two calls of one worker: the one that reads hands on to the other, whichever answer comes first.
#[test]
fn who_leaves_hands_on() {
    for order in [[0, 1], [1, 0]] {
        explore(move || {
            let world = World::new();
            let other = thread::spawn({
                let world = Arc::clone(&world);
                move || world.wait(1)
            });
            let worker = thread::spawn({
                let world = Arc::clone(&world);
                move || order.into_iter().for_each(|call| world.answer(call))
            });
            world.wait(0);
            other.join().unwrap();
            worker.join().unwrap();
        });
    }
}

/// The reader's call is cancelled while it polls, and its worker never says anything.
#[test]
fn a_reader_whose_call_goes_is_woken() {
    explore(|| {
        let world = World::new();
        let canceller = thread::spawn({
            let world = Arc::clone(&world);
            move || world.cancel(0)
        });
        world.wait(0);
        canceller.join().unwrap();
    });
}

/// The reader's call is cancelled while it polls: it is woken, and hands on to the parked thread.
#[test]
fn a_reader_whose_call_goes_hands_on() {
    explore(|| {
        let world = World::new();
        let reader = thread::spawn({
            let world = Arc::clone(&world);
            move || world.wait(0)
        });
        let others = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                world.cancel(0);
                world.answer(1);
            }
        });
        world.wait(1);
        reader.join().unwrap();
        others.join().unwrap();
    });
}

/// The pool's thread reads while a waiter comes: one of them reads the answer, and the waiter hears of it.
#[test]
fn a_waiter_and_the_background_lose_nothing() {
    explore(|| {
        let world = World::new();
        let background = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                world.background();
                world.background();
            }
        });
        let worker = thread::spawn({
            let world = Arc::clone(&world);
            move || world.answer(0)
        });
        world.wait(0);
        background.join().unwrap();
        worker.join().unwrap();
    });
}
