//! The outcome cell, modelled with loom: the source of `cell.rs` and `promise.rs`, over loom's locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};

use super::{batch, call_ref, driver, listeners, payload};
use crate::codec::entries;
use crate::error::{Error, ErrorKind};
use crate::id::CallId;

mod locks {
    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[path = "cell.rs"]
#[expect(dead_code, reason = "the model does not need all of it")]
#[expect(clippy::duplicate_mod, reason = "this source over other locks")]
mod cell;

#[path = "promise.rs"]
#[expect(dead_code, reason = "the model does not need all of it")]
#[expect(clippy::duplicate_mod, reason = "this source over other locks")]
mod promise;

use self::batch::Answers;
use self::call_ref::{CallRef, Lookup};
use self::cell::OutcomeCell;
use self::driver::{Cancelled, Driver, DriverRef, Unparked, Waiter};
use self::listeners::notify_here;
use self::promise::Promise;

/// The promise and cell of a call whose pool is gone.
fn promise(number: u64) -> (Promise, Arc<OutcomeCell>) {
    struct Gone;
    impl Driver for Gone {
        fn wait(&self, _: CallId, _: &dyn Waiter, _: Option<std::time::Instant>) {}
        fn request_background_read(&self, _: CallId) {}
        fn cancel(&self, _: CallId, _: Option<u32>) -> Cancelled {
            Cancelled::No
        }
        fn running_in(&self, _: CallId, _: Option<u32>) -> Option<u32> {
            None
        }
    }
    let driver = DriverRef::new(std::sync::Weak::<Gone>::new());
    Promise::new("krate::task", &driver, CallId::nth(number))
}

/// The answers of the calls from `first` on: each returned its number, and nothing else.
fn answers(first: u32, count: u32) -> Answers {
    let mut bytes = Vec::new();
    for number in first..first + count {
        let start = entries::begin(&mut bytes);
        bytes.push(u8::try_from(number).expect("a small batch"));
        entries::finish(&mut bytes, start, false);
    }
    Answers { first, count, entries: bytes, failures: Vec::new() }
}

/// Two threads that are parked, one that resolves: both go on, with the outcome.
#[test]
fn parked_threads_see_outcome() {
    loom::model(|| {
        let (promise, cell) = promise(1);
        let parked = [Arc::clone(&cell), cell].map(|cell| {
            loom::thread::spawn(move || {
                assert_eq!(cell.park(None, None, None), Unparked::Settled);
                assert!(matches!(cell.outcome(None), Lookup::Here(Some(_))));
            })
        });
        notify_here(promise.resolve(Ok(Vec::new().into()), Some(1)));
        parked.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn lost_promise_wakes_parked_thread() {
    loom::model(|| {
        let (promise, cell) = promise(1);
        let parked = loom::thread::spawn(move || {
            assert_eq!(cell.park(None, None, None), Unparked::Settled);
            assert!(matches!(cell.outcome(None), Lookup::Here(Some(Err(_)))));
        });
        drop(promise);
        parked.join().unwrap();
    });
}

/// A retry that comes after the counter was read is never slept through, wherever it comes.
#[test]
fn retry_is_not_lost() {
    loom::model(|| {
        let (promise, cell) = promise(1);
        let seen = cell.retries();
        let parked = loom::thread::spawn({
            let cell = Arc::clone(&cell);
            move || assert_eq!(cell.park(None, Some(seen), None), Unparked::Retry)
        });
        promise.unpark_to_retry();
        // The outcome comes only afterwards: the retry alone has to wake the thread.
        parked.join().unwrap();
        assert_eq!(cell.retries(), seen + 1);
        drop(promise);
    });
}

/// A callback that is added while the outcome comes runs once, in one thread or the other.
#[test]
fn callback_added_at_resolve_runs_once() {
    loom::model(|| {
        let (promise, cell) = promise(1);
        let runs = Arc::new(AtomicU32::new(0));
        let adding = loom::thread::spawn({
            let runs = Arc::clone(&runs);
            move || {
                let callback = move || {
                    runs.fetch_add(1, Ordering::Relaxed);
                };
                cell.add_callback(None, &mut Some(Box::new(callback)));
            }
        });
        notify_here(promise.resolve(Ok(Vec::new().into()), None));
        adding.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

/// A batch of three as the pool divides it: call 0 is answered, call 1 runs on, call 2 moves. Then both cells are resolved, the
/// new one after the old one or before it.
fn divide_and_end(batch: Promise, new_first: bool) {
    let (tail, tail_cell) = promise(3);
    batch.move_tail(2, vec![(tail_cell, 1)]);
    notify_here(batch.publication().publish(answers(0, 1), Some(1)));
    if new_first {
        notify_here(tail.resolve_batch(answers(0, 1), None, Some(2)));
        notify_here(batch.resolve_batch(answers(1, 1), None, Some(1)));
    } else {
        notify_here(batch.resolve_batch(answers(1, 1), None, Some(1)));
        notify_here(tail.resolve_batch(answers(0, 1), None, Some(2)));
    }
}

/// The byte that call `number` of the batch returned. In the tail the call 2 is call 0.
fn result(call: &CallRef<OutcomeCell>) -> Option<u8> {
    let outcome = call.ask(|CallRef { cell, number }| cell.outcome(*number));
    outcome.map(|outcome| outcome.unwrap()[0])
}

const RESULTS: [u8; 3] = [0, 1, 0];

/// A thread that is parked for any call of a batch goes on with the outcome of that call while the batch is divided and ends.
#[test]
fn parked_thread_sees_outcome_of_divided_batch() {
    for number in 0..3 {
        loom::model(move || {
            let (batch, cell) = promise(1);
            let call = CallRef { cell, number: Some(number) };
            let waiting = loom::thread::spawn(move || {
                let call = call.ask(|call| {
                    assert_eq!(call.park(None, None), Unparked::Settled);
                    call.cell.snapshot(call.number).map(|_| call.clone())
                });
                assert_eq!(result(&call), Some(RESULTS[number as usize]));
            });
            divide_and_end(batch, number == 0);
            waiting.join().unwrap();
        });
    }
}

struct Counter(AtomicU32);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A handle that is polled while the batch is divided and ends has the outcome at once, or is woken and has it then.
#[test]
fn polled_handle_sees_outcome_of_divided_batch() {
    for number in 0..3 {
        loom::model(move || {
            let (batch, cell) = promise(1);
            let call = CallRef { cell, number: Some(number) };
            let wakes = Arc::new(Counter(AtomicU32::new(0)));
            let polling = loom::thread::spawn({
                let (call, waker) = (call.clone(), Waker::from(Arc::clone(&wakes)));
                move || call.ask(|call| call.cell.poll(call.number, &mut None, &waker))
            });
            divide_and_end(batch, number == 1);
            let early = polling.join().unwrap();
            let is_woken = wakes.0.load(Ordering::Relaxed) > 0;
            assert!(early.is_some() != is_woken, "{early:?}");
            assert_eq!(result(&call), Some(RESULTS[number as usize]));
        });
    }
}

/// A callback that is added to any call while the batch is divided and ends runs once, when that call has its outcome.
#[test]
fn callback_runs_once_while_batch_is_divided() {
    for number in 0..3 {
        loom::model(move || {
            let (batch, cell) = promise(1);
            let call = CallRef { cell, number: Some(number) };
            let runs = Arc::new(AtomicU32::new(0));
            let adding = loom::thread::spawn({
                let (runs, of) = (Arc::clone(&runs), call.clone());
                move || {
                    let callback = move || {
                        assert_eq!(result(&of), Some(RESULTS[number as usize]));
                        runs.fetch_add(1, Ordering::Relaxed);
                    };
                    let mut callback: Option<listeners::Callback> = Some(Box::new(callback));
                    call.ask(|call| call.cell.add_callback(call.number, &mut callback));
                }
            });
            divide_and_end(batch, number == 2);
            adding.join().unwrap();
            assert_eq!(runs.load(Ordering::Relaxed), 1);
        });
    }
}

/// The promise of a batch is lost after the batch was divided: what was not published comes to an error.
#[test]
fn lost_promise_of_divided_batch_wakes_parked_thread() {
    loom::model(|| {
        let (batch, cell) = promise(1);
        let parked = loom::thread::spawn(move || {
            assert_eq!(cell.park(Some(1), None, None), Unparked::Settled);
            let outcome = cell.outcome(Some(1));
            let is_lost = |error: &Error| error.kind() == ErrorKind::BrokenProcessPool;
            assert!(matches!(outcome, Lookup::Here(Some(Err(error))) if is_lost(&error)));
        });
        let (tail, tail_cell) = promise(3);
        batch.move_tail(2, vec![(tail_cell, 1)]);
        notify_here(batch.publication().publish(answers(0, 1), Some(1)));
        drop((batch, tail));
        parked.join().unwrap();
    });
}
