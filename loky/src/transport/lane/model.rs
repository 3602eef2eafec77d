//! Who sleeps and who is woken, modelled with loom: the very source of [`sleep`](super::sleep), over loom's fence and atomics,
//! with a futex and a stream of the model.

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
use crate::transport::slots::Word;

/// A word whose stores have one order, which for loom only read-modify-writes have among themselves: it knows nothing of
/// a plain store by one thread that comes after a compare-and-swap by another. The read is relaxed, so nothing is made known
/// by it that would not be by a store.
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

/// What the kernel does: it compares and sleeps in one step, beside which no wake-up can happen.
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

/// Bytes that stay until they are read.
#[derive(Default)]
struct Stream {
    knocks: Mutex<u32>,
    arrived: Condvar,
}

impl Stream {
    fn wake_poller(&self) {
        *self.knocks.lock().unwrap() += 1;
        self.arrived.notify_all();
    }

    fn poll(&self) {
        let mut knocks = self.knocks.lock().unwrap();
        while *knocks == 0 {
            knocks = self.arrived.wait(knocks).unwrap();
        }
        *knocks = 0;
    }
}

/// A lane of one slot, whose word is how many calls were given or answered.
#[derive(Default)]
struct Lane {
    given: AtomicU64,
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
        PoolSleep(&lane.pool).wake_up();
        Arc::new(lane)
    }

    fn give(&self, number: u64) {
        Word::store(&self.given, number);
        if WorkerSleep(&self.worker).is_to_be_woken() {
            self.worker_futex.wake();
        }
    }

    /// The worker takes calls up to this number, each as it comes.
    fn work(&self, last: u64) {
        let mut done = 0;
        while done < last {
            let sleep = WorkerSleep(&self.worker);
            while Word::load(&self.given) == done {
                sleep.fall_asleep();
                if Word::load(&self.given) == done {
                    self.worker_futex.wait(&self.worker, ASLEEP);
                }
                sleep.wake_up();
            }
            done += 1;
            Word::store(&self.answered, done);
            match PoolSleep(&self.pool).to_be_woken(done) {
                None => {}
                Some(SleepMode::Futex) => self.pool_futex.wake(),
                Some(SleepMode::Poll) => self.stream.wake_poller(),
                Some(SleepMode::Unknown) => panic!("nobody writes there"),
            }
        }
    }

    /// A reader sleeps on the lane until this call is answered.
    fn wait(&self, wanted: u64) {
        let sleep = PoolSleep(&self.pool);
        while Word::load(&self.answered) < wanted {
            sleep.fall_asleep(ON_FUTEX, wanted);
            if Word::load(&self.answered) < wanted {
                self.pool_futex.wait(&self.pool, ON_FUTEX);
            }
            sleep.wake_up();
        }
    }

    /// The same in poll.
    fn poll(&self, wanted: u64) {
        let sleep = PoolSleep(&self.pool);
        while Word::load(&self.answered) < wanted {
            sleep.fall_asleep(IN_POLL, wanted);
            if Word::load(&self.answered) < wanted {
                self.stream.poll();
            }
            sleep.wake_up();
        }
    }
}

fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A worker that takes two calls, beside what the pool does.
fn beside_a_worker(pool: fn(&Lane)) {
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

/// One call after the other: neither side sleeps on.
#[test]
fn model_calls_one_by_one() {
    beside_a_worker(|lane| {
        for number in 1..=2 {
            lane.give(number);
            lane.wait(number);
        }
    });
}

/// Two calls at once; who waits for the second one is woken for it, if not for the first.
#[test]
fn model_who_wants_the_last_is_woken_for_it() {
    beside_a_worker(|lane| {
        lane.give(1);
        lane.give(2);
        lane.wait(2);
    });
}

/// The lane goes from a reader in poll to one on the futex, as the background hands over to a waiter.
#[test]
fn model_one_reader_after_another_in_another_bed() {
    beside_a_worker(|lane| {
        lane.give(1);
        lane.poll(1);
        lane.give(2);
        lane.wait(2);
    });
}

/// Somebody takes away what a reader waits for: it comes back, whenever that is.
#[test]
fn model_who_is_disturbed_comes_back() {
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
        sleep.fall_asleep(ON_FUTEX, 1);
        if Word::load(&*disturbances) == seen {
            lane.pool_futex.wait(&lane.pool, ON_FUTEX);
        }
        other.join().unwrap();
    });
}
