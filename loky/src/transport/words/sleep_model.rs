//! The sleep words, checked with loom: the very source of [`sleep`](super::sleep) over loom's fence and atomics, with a futex and
//! a stream of the model.

use std::sync::atomic::Ordering;

use loom::sync::{Arc, Condvar, Mutex};

mod fence {
    pub(super) fn fence() {
        loom::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}

#[path = "sleep.rs"]
#[expect(clippy::duplicate_mod, reason = "the very source, over another fence")]
mod sleep;

use self::sleep::{ASLEEP, IN_POLL, ON_FUTEX, PoolSleep, SleepMode, WorkerSleep};
use crate::transport::words::Word;

/// A word whose stores have one order. In loom only read-modify-writes have one: it does not order a plain store by one thread
/// behind a compare-and-swap by another. The read part of the swap is relaxed, so it synchronizes no more than a store.
#[derive(Debug, Default)]
struct AtomicU64(loom::sync::atomic::AtomicU64);

impl AtomicU64 {
    fn new(value: u64) -> Self {
        Self(loom::sync::atomic::AtomicU64::new(value))
    }
}

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        Word::load(&self.0)
    }

    fn store(&self, value: u64) {
        self.0.swap(value, Ordering::Release);
    }

    fn swap_if(&self, current: u64, new: u64) -> u64 {
        self.0.swap_if(current, new)
    }
}

/// The kernel's futex: it compares and falls asleep in one step. No wake-up can happen in between.
#[derive(Default)]
struct Futex {
    queue: Mutex<()>,
    woken: Condvar,
}

impl Futex {
    fn wait(&self, word: &AtomicU64, value: u32) {
        let queue = self.queue.lock().unwrap();
        if Word::load(word) & u64::from(u32::MAX) == u64::from(value) {
            drop(self.woken.wait(queue).unwrap());
        }
    }

    fn wake(&self) {
        drop(self.queue.lock().unwrap());
        self.woken.notify_all();
    }
}

/// The stream: bytes that stay until they are read.
#[derive(Default)]
struct Stream {
    bytes: Mutex<u32>,
    arrived: Condvar,
}

impl Stream {
    fn wake_poller(&self) {
        *self.bytes.lock().unwrap() += 1;
        self.arrived.notify_all();
    }

    fn poll(&self) {
        let mut bytes = self.bytes.lock().unwrap();
        while *bytes == 0 {
            bytes = self.arrived.wait(bytes).unwrap();
        }
        *bytes = 0;
    }
}

/// A lane whose slot words are two counts: of the calls that were dispatched, and of those that are answered.
#[derive(Default)]
struct Lane {
    dispatched: AtomicU64,
    answered: AtomicU64,
    worker: AtomicU64,
    worker_futex: Futex,
    pool: AtomicU64,
    pool_futex: Futex,
    stream: Stream,
}

impl Lane {
    fn new() -> Arc<Self> {
        let lane = Self::default();
        PoolSleep(&lane.pool).end_sleep();
        Arc::new(lane)
    }

    fn dispatch(&self, number: u64) {
        Word::store(&self.dispatched, number);
        if WorkerSleep(&self.worker).take_sleeper() {
            self.worker_futex.wake();
        }
    }

    /// The worker takes calls up to the number `last`, each as it comes.
    fn work(&self, last: u64) {
        let mut done = 0;
        while done < last {
            let sleep = WorkerSleep(&self.worker);
            while Word::load(&self.dispatched) == done {
                sleep.begin_sleep();
                if Word::load(&self.dispatched) == done {
                    self.worker_futex.wait(&self.worker, ASLEEP);
                }
                sleep.end_sleep();
            }
            done += 1;
            Word::store(&self.answered, done);
            match PoolSleep(&self.pool).take_sleeper(done) {
                None => {}
                Some(SleepMode::Futex) => self.pool_futex.wake(),
                Some(SleepMode::Poll) => self.stream.wake_poller(),
                Some(SleepMode::Unknown) => panic!("no task writes there"),
            }
        }
    }

    /// A reader sleeps on the futex until the call `wanted` is answered.
    fn wait(&self, wanted: u64) {
        let sleep = PoolSleep(&self.pool);
        while Word::load(&self.answered) < wanted {
            sleep.begin_sleep(ON_FUTEX, wanted);
            if Word::load(&self.answered) < wanted {
                self.pool_futex.wait(&self.pool, ON_FUTEX);
            }
            sleep.end_sleep();
        }
    }

    /// A reader sleeps in poll until the call `wanted` is answered.
    fn poll(&self, wanted: u64) {
        let sleep = PoolSleep(&self.pool);
        while Word::load(&self.answered) < wanted {
            sleep.begin_sleep(IN_POLL, wanted);
            if Word::load(&self.answered) < wanted {
                self.stream.poll();
            }
            sleep.end_sleep();
        }
    }
}

fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Runs `pool` beside a worker that takes two calls.
fn check_beside_worker(pool: fn(&Lane)) {
    bounded(move || {
        let lane = Lane::new();
        let worker = loom::thread::spawn({
            let lane = Arc::clone(&lane);
            move || lane.work(2)
        });
        pool(&lane);
        worker.join().unwrap();
    });
}

/// One call after the other. A lost wake-up would be a deadlock of the model.
#[test]
fn model_single_calls_wake_both_sides() {
    check_beside_worker(|lane| {
        for number in 1..=2 {
            lane.dispatch(number);
            lane.wait(number);
        }
    });
}

/// Two calls at once. A reader that wants the second is woken for it.
#[test]
fn model_reader_of_last_call_is_woken() {
    check_beside_worker(|lane| {
        lane.dispatch(1);
        lane.dispatch(2);
        lane.wait(2);
    });
}

/// A reader on the futex follows a reader in poll, as when the pool thread hands the lane over to a waiting thread.
#[test]
fn model_reader_on_futex_follows_reader_in_poll() {
    check_beside_worker(|lane| {
        lane.dispatch(1);
        lane.poll(1);
        lane.dispatch(2);
        lane.wait(2);
    });
}

/// Another thread ends the call that a reader waits for.
#[test]
fn model_disturbed_reader_comes_back() {
    bounded(|| {
        let lane = Lane::new();
        let disturbances = Arc::new(AtomicU64::new(0));
        let seen = Word::load(&*disturbances);
        let other = loom::thread::spawn({
            let (lane, disturbances) = (Arc::clone(&lane), Arc::clone(&disturbances));
            move || {
                Word::store(&*disturbances, 1);
                PoolSleep(&lane.pool).wake_futex();
                lane.pool_futex.wake();
            }
        });
        let sleep = PoolSleep(&lane.pool);
        sleep.begin_sleep(ON_FUTEX, 1);
        if Word::load(&*disturbances) == seen {
            lane.pool_futex.wait(&lane.pool, ON_FUTEX);
        }
        other.join().unwrap();
    });
}
