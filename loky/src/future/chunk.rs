//! The outcomes of calls that travel together.
//!
//! A chunk has one slot for all its calls. Its outcome says what the first of them have come to, and which slots the others
//! have now, if a worker did not run them all: one of them took long, or killed it, or was cancelled. So who wants to know of one
//! of them follows it from slot to slot. That is a future, which has a [`CallRef`] there; or the one who waits for all of them, a
//! `map`, which has a [`MapPart`], and takes each result once.

use std::sync::Arc;
use std::time::Instant;

use super::Future;
use super::slot::{Outcome, Slot, Snapshot};
use super::watch::Awaited;
use crate::codec::{Attachments, ValueCodec, entries};
use crate::error::{Error, Result};

/// What the later calls of a chunk are now: slots, each with the number of its calls, in the order of the calls.
pub(crate) type MovedTail = Vec<(Arc<Slot>, u32)>;

/// What became of a chunk.
#[derive(Debug)]
pub(crate) struct ChunkOutcome {
    /// The answers of its first calls, an entry each (see [`entries`]); or what has become of all of them.
    pub(crate) results: Result<Vec<u8>>,
    /// Of those that have failed, by the number of their entries, why.
    pub(crate) failures: Vec<(u32, Error)>,
    /// How many calls this is about.
    pub(crate) count: u32,
    pub(crate) rest: MovedTail,
    /// Where each entry begins, once a future has asked for one.
    pub(crate) starts: Vec<u32>,
}

impl ChunkOutcome {
    /// Where one of its calls is now. `None`: here.
    pub(super) fn seat(&self, number: u32) -> Option<CallRef> {
        let mut beyond = number.checked_sub(self.count)?;
        for (slot, count) in &self.rest {
            if beyond < *count {
                return Some(CallRef { slot: Arc::clone(slot), number: Some(beyond) });
            }
            beyond -= count;
        }
        None
    }

    /// Whether all its calls were cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.results.as_ref().is_err_and(Error::is_cancelled)
    }

    /// What has become of one of its calls.
    pub(super) fn outcome(&mut self, number: u32) -> Outcome {
        let results = self.results.as_ref().map_err(Error::clone)?;
        if let Ok(at) = self.failures.binary_search_by_key(&number, |(failed, _)| *failed) {
            return Err(self.failures[at].1.clone());
        }
        if self.starts.is_empty() {
            self.starts = entries::starts(results).collect();
        }
        let start = self.starts[number as usize] as usize;
        let (entry, _) = entries::next(&results[start..]).expect("the pool has looked");
        Ok(entry.bytes.into())
    }
}

/// Where the outcome of a call comes to: its slot, and which of the calls of that it is.
#[derive(Clone, Debug)]
pub(crate) struct CallRef {
    pub(crate) slot: Arc<Slot>,
    /// `None` where the slot is that of one call, or where it stands for all its calls.
    pub(crate) number: Option<u32>,
}

/// What one asks of a seat.
pub(crate) enum Lookup<T> {
    Here(T),
    /// The call has moved on, to another seat.
    Elsewhere(CallRef),
}

impl<T> Lookup<T> {
    pub(super) fn map<U>(self, answer: impl FnOnce(T) -> U) -> Lookup<U> {
        self.then(|found| Lookup::Here(answer(found)))
    }

    pub(super) fn then<U>(self, next: impl FnOnce(T) -> Lookup<U>) -> Lookup<U> {
        match self {
            Self::Here(found) => next(found),
            Self::Elsewhere(seat) => Lookup::Elsewhere(seat),
        }
    }
}

impl CallRef {
    /// Whether the call has an outcome.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.ask(|Self { slot, number }| slot.snapshot(*number))
    }

    /// Asks the slot that the call's outcome comes to now.
    pub(super) fn ask<T>(&self, mut question: impl FnMut(&Self) -> Lookup<T>) -> T {
        let mut moved = None;
        loop {
            match question(moved.as_ref().unwrap_or(self)) {
                Lookup::Here(answer) => return answer,
                Lookup::Elsewhere(seat) => moved = Some(seat),
            }
        }
    }
}

impl From<Arc<Slot>> for CallRef {
    fn from(slot: Arc<Slot>) -> Self {
        Self { slot, number: None }
    }
}

/// One or more calls in a row that have one slot.
pub(crate) struct MapPart<R> {
    future: Future<R>,
    count: u32,
}

/// What a part has come to.
pub(crate) enum PartResult<R: 'static> {
    One(Result<R>),
    Many(Results<R>, Vec<MapPart<R>>),
}

impl<R: 'static> MapPart<R> {
    /// So many calls, whose outcome comes to this slot.
    pub(crate) fn new(slot: Arc<Slot>, output: ValueCodec<R>, count: u32) -> Self {
        Self { future: Future::new(slot.into(), output), count }
    }

    /// How many calls it has.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Blocks until there is an outcome, and takes it. The part comes back after the deadline.
    pub(crate) fn take(
        self,
        deadline: Option<Instant>,
    ) -> std::result::Result<PartResult<R>, Self> {
        if let Err(error) = self.future.check_process() {
            return Ok(self.failed(error));
        }
        let outcome = self.future.outcome_until(deadline);
        let Some(chunk) = self.future.seat.slot.take_chunk() else {
            return match outcome {
                None => Err(self),
                Some(Err(error)) if self.count > 1 => Ok(self.failed(error)),
                Some(outcome) => Ok(PartResult::One(self.future.decode(outcome))),
            };
        };
        let ChunkOutcome { results, failures, count, rest, .. } = chunk;
        let output = self.future.output;
        let part = |(slot, count)| Self { future: Future::seated(slot, output), count };
        let rest = rest.into_iter().map(part).collect();
        let failures = failures.into_iter().peekable();
        Ok(PartResult::Many(
            Results { of: self.future, results, at: 0, failures, next: 0, count },
            rest,
        ))
    }

    /// All its calls have come to this.
    fn failed(self, error: Error) -> PartResult<R> {
        let Self { future, count } = self;
        let failures = Vec::new().into_iter().peekable();
        let results = Results { of: future, results: Err(error), at: 0, failures, next: 0, count };
        PartResult::Many(results, Vec::new())
    }

    /// Takes back what has not begun of it.
    pub(crate) fn cancel(self) {
        if self.future.cancel() || self.future.check_process().is_err() {
            return;
        }
        // What it is now, if it was divided by that or before.
        if let Some(outcome) = self.future.seat.slot.take_chunk() {
            for (slot, count) in outcome.rest.into_iter().rev() {
                let output = self.future.output;
                Self { future: Future::seated(slot, output), count }.cancel();
            }
        }
    }
}

impl<R> Awaited for MapPart<R> {
    type Output = R;

    fn future(&self) -> &Future<R> {
        &self.future
    }
}

impl<R> From<Future<R>> for MapPart<R> {
    fn from(future: Future<R>) -> Self {
        Self { future, count: 1 }
    }
}

/// The results of several calls, one after the other.
pub(crate) struct Results<R> {
    of: Future<R>,
    results: Result<Vec<u8>>,
    /// Where the next entry begins.
    at: usize,
    failures: std::iter::Peekable<std::vec::IntoIter<(u32, Error)>>,
    next: u32,
    count: u32,
}

impl<R: 'static> Results<R> {
    pub(crate) fn len(&self) -> usize {
        (self.count - self.next) as usize
    }
}

impl<R: 'static> Iterator for Results<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        if self.next == self.count {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let results = match &self.results {
            Ok(results) => results,
            Err(error) => return Some(Err(error.clone())),
        };
        let (entry, behind) = entries::next(&results[self.at..]).expect("the pool has looked");
        self.at = results.len() - behind.len();
        if let Some((_, error)) = self.failures.next_if(|(failed, _)| *failed == number) {
            return Some(Err(error));
        }
        Some(self.of.decode_bytes(entry.bytes, &Attachments::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError, Weak};

    use super::*;
    use crate::codec::output;
    use crate::error::ErrorKind;
    use crate::future::slot::{Promise, tell_everybody};
    use crate::future::{Cancelled, Driver, DriverRef, Watch};
    use crate::id::CallId;

    const TASK: &str = "krate::task";

    /// A pool that is only told of calls, and notes those that have moved.
    #[derive(Default)]
    struct Attended(Mutex<Vec<CallId>>);

    impl Driver for Attended {
        fn wait(&self, _: CallId, _: &Slot, _: Option<Instant>) {
            panic!("nobody waits");
        }

        fn request_background_read(&self, _: CallId) {}

        fn request_background_read_moved(&self, call: CallId) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        }

        fn cancel(&self, _: CallId, _: Option<u32>) -> Cancelled {
            Cancelled::No
        }

        fn running_in(&self, _: CallId, _: Option<u32>) -> Option<u32> {
            None
        }
    }

    fn pool() -> (Arc<Attended>, DriverRef) {
        let pool = Arc::new(Attended::default());
        let driver: Weak<Attended> = Arc::downgrade(&pool);
        (pool, DriverRef::new(driver))
    }

    fn promise(driver: &DriverRef, number: u64) -> (Promise, Arc<Slot>) {
        Promise::new(TASK, driver, CallId::nth(number))
    }

    /// The answers of some calls, which return what they are called.
    fn answers(of: impl Iterator<Item = u64>, rest: MovedTail) -> ChunkOutcome {
        let (mut results, mut count) = (Vec::new(), 0);
        for answer in of {
            let start = entries::begin(&mut results);
            ciborium::into_writer(&answer, &mut results).unwrap();
            entries::finish(&mut results, start, false);
            count += 1;
        }
        ChunkOutcome { results: Ok(results), failures: Vec::new(), count, rest, starts: Vec::new() }
    }

    fn futures(slot: &Arc<Slot>, count: u32) -> Vec<Future<u64>> {
        let seat = |number| CallRef { slot: Arc::clone(slot), number: Some(number) };
        (0..count).map(|number| Future::new(seat(number), output())).collect()
    }

    #[test]
    fn each_future_finds_its_own_result_in_any_order() {
        let (_pool, driver) = pool();
        let (promise, slot) = promise(&driver, 1);
        let futures = futures(&slot, 5);
        assert!(futures.iter().all(|future| !future.is_done()));
        let mut outcome = answers(100..105, MovedTail::new());
        outcome.failures = vec![(3, Error::new(ErrorKind::Panicked, "it has"))];
        tell_everybody(promise.resolve_chunk(outcome, Some(17)));
        for number in [4, 0, 2, 2, 1, 4, 3, 0] {
            let result = futures[number].result();
            match number {
                3 => assert!(result.unwrap_err().is_panicked()),
                _ => assert_eq!(result.unwrap(), 100 + number as u64),
            }
            assert_eq!((futures[number].is_done(), futures[number].worker_pid()), (true, Some(17)));
        }
    }

    /// Of five calls two are answered, one is over elsewhere, and two are a chunk of their own, which is divided in its turn.
    #[test]
    fn what_has_moved_on_is_followed_and_whoever_is_to_be_told_moves_along() {
        let (pool, driver) = pool();
        let (whole, slot) = promise(&driver, 1);
        let (single, single_slot) = promise(&driver, 2);
        let (tail, tail_slot) = promise(&driver, 3);
        let (last, last_slot) = promise(&driver, 4);
        let futures = futures(&slot, 5);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for (number, future) in futures.iter().enumerate() {
            for which in 0..2 {
                let seen = Arc::clone(&seen);
                future.add_done_callback(move |future| {
                    assert!(future.is_done());
                    seen.lock().unwrap().push((number, which));
                });
            }
        }
        let take_seen = || std::mem::take(&mut *seen.lock().unwrap());
        let mut watch = Watch::new();
        futures.iter().enumerate().for_each(|(number, future)| watch.add(number, future.clone()));
        assert!(pool.0.lock().unwrap().is_empty());

        let cancelled = Error::new(ErrorKind::Cancelled, "it was");
        tell_everybody(single.resolve(Err(cancelled), None));
        let rest = vec![(single_slot, 1), (tail_slot, 2)];
        tell_everybody(whole.resolve_chunk(answers(0..2, rest), Some(17)));
        assert_eq!(take_seen(), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
        let done: Vec<_> = futures.iter().map(Future::is_done).collect();
        assert_eq!(done, [true, true, true, false, false]);
        assert!(
            futures[2].is_cancelled() && !futures[1].is_cancelled() && !futures[3].is_cancelled()
        );
        let attended = pool.0.lock().unwrap().clone();
        assert!(!attended.is_empty() && attended.iter().all(|call| *call == CallId::nth(3)));
        let told: Vec<_> = (0..3).map(|_| watch.next(None).unwrap().0).collect();
        assert!([0, 1, 2].iter().all(|number| told.contains(number)) && !watch.is_ready());

        tell_everybody(tail.resolve_chunk(answers(3..4, vec![(last_slot, 1)]), Some(18)));
        assert_eq!(take_seen(), [(3, 0), (3, 1)]);
        assert_eq!((futures[3].result().unwrap(), futures[3].worker_pid()), (3, Some(18)));
        assert!(!futures[4].is_done());
        // One that comes now finds the slot that it is in by itself.
        let seen = Arc::clone(&seen);
        futures[4].add_done_callback(move |_| seen.lock().unwrap().push((4, 2)));
        let mut bytes = Vec::new();
        ciborium::into_writer(&4_u64, &mut bytes).unwrap();
        tell_everybody(last.resolve(Ok(bytes.into()), Some(19)));
        assert_eq!(take_seen(), [(4, 0), (4, 1), (4, 2)]);
        assert_eq!((futures[4].result().unwrap(), futures[4].worker_pid()), (4, Some(19)));
        assert_eq!((watch.next(None).unwrap().0, watch.next(None).unwrap().0), (3, 4));
        assert!(watch.next(None).is_none());
    }

    #[test]
    fn what_has_become_of_a_whole_chunk_has_become_of_each() {
        let (_pool, driver) = pool();
        let (promise, slot) = promise(&driver, 1);
        let futures = futures(&slot, 3);
        let cancelled = Error::new(ErrorKind::Cancelled, "it was");
        let outcome = ChunkOutcome { results: Err(cancelled), ..answers(0..0, MovedTail::new()) };
        tell_everybody(promise.resolve_chunk(outcome, None));
        for future in futures {
            assert!(future.is_cancelled() && future.result().unwrap_err().is_cancelled());
            assert_eq!(future.worker_pid(), None);
        }
    }
}
