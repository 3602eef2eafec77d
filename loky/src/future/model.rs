//! The slot, modelled with loom: its very source, over loom's locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::chunk::Lookup;
use super::{Driver, DriverRef, chunk, payload};

mod locks {
    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[path = "slot.rs"]
#[expect(dead_code, reason = "the model does not need all of it")]
#[expect(clippy::duplicate_mod, reason = "the very source, over other locks")]
mod slot;

use self::slot::{Promise, Slot, Unparked, tell_everybody};

/// A pool that nobody asks anything.
fn promise() -> (Promise, Arc<Slot>) {
    struct Nobody;
    impl Driver for Nobody {
        fn wait(&self, _: crate::id::CallId, _: &super::slot::Slot, _: Option<std::time::Instant>) {
        }
        fn request_background_read(&self, _: crate::id::CallId) {}
        fn request_background_read_moved(&self, _: crate::id::CallId) {}
        fn cancel(&self, _: crate::id::CallId, _: Option<u32>) -> super::Cancelled {
            super::Cancelled::No
        }
        fn running_in(&self, _: crate::id::CallId, _: Option<u32>) -> Option<u32> {
            None
        }
    }
    let driver = DriverRef::new(std::sync::Weak::<Nobody>::new());
    Promise::new("krate::task", &driver, crate::id::CallId::nth(1))
}

/// Two threads that are parked, one that resolves: both go on, with the outcome.
#[test]
fn who_is_parked_sees_the_outcome() {
    loom::model(|| {
        let (promise, slot) = promise();
        let parked = [Arc::clone(&slot), slot].map(|slot| {
            loom::thread::spawn(move || {
                assert_eq!(slot.park(None, None), Unparked::Done);
                assert!(matches!(slot.peek(None), Lookup::Here(Some(_))));
            })
        });
        tell_everybody(promise.resolve(Ok(Vec::new().into()), Some(1)));
        parked.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A promise that is lost wakes as well.
#[test]
fn who_is_parked_sees_a_promise_go() {
    loom::model(|| {
        let (promise, slot) = promise();
        let parked = loom::thread::spawn(move || {
            assert_eq!(slot.park(None, None), Unparked::Done);
            assert!(matches!(slot.peek(None), Lookup::Here(Some(Err(_)))));
        });
        drop(promise);
        parked.join().unwrap();
    });
}

/// A nudge that comes after the number of nudges was read is never slept through, wherever it comes.
#[test]
fn no_nudge_is_lost() {
    loom::model(|| {
        let (promise, slot) = promise();
        let seen = slot.nudges();
        let parked = loom::thread::spawn({
            let slot = Arc::clone(&slot);
            move || assert_eq!(slot.park(Some(seen), None), Unparked::Nudged)
        });
        promise.unpark_to_retry();
        // The outcome comes only afterwards: the nudge alone has to do it.
        parked.join().unwrap();
        assert_eq!(slot.nudges(), seen + 1);
        drop(promise);
    });
}

/// A callback that is added while the outcome comes runs once, in one thread or the other.
#[test]
fn a_callback_runs_once() {
    loom::model(|| {
        let (promise, slot) = promise();
        let runs = Arc::new(AtomicU32::new(0));
        let adding = loom::thread::spawn({
            let runs = Arc::clone(&runs);
            move || {
                let callback = move || {
                    runs.fetch_add(1, Ordering::Relaxed);
                };
                slot.add_callback(None, &mut Some(Box::new(callback)));
            }
        });
        tell_everybody(promise.resolve(Ok(Vec::new().into()), None));
        adding.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}
