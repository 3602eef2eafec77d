//! The outcomes of calls that travel together.
//!
//! A chunk has one slot for all its calls. Its outcome says what the first of them have come to, and which slots the others
//! have now, if a worker did not run them all: one of them took long, or killed it, or was cancelled. So who wants to know of one
//! of them follows it from slot to slot. That is a future, which has a [`Seat`] there; or the one who waits for all of them, a
//! `map`, which has a [`Part`], and takes each result once.

use std::sync::Arc;
use std::time::Instant;

use super::Future;
use super::slot::{Outcome, Slot};
use super::watch::Awaited;
use crate::codec::{Attachments, Witness, entries};
use crate::error::{Error, Result};

/// What the later calls of a chunk are now: slots, each with the number of its calls, in the order of the calls.
pub(crate) type Rest = Vec<(Arc<Slot>, u32)>;

/// What became of a chunk.
#[derive(Debug)]
pub(crate) struct ChunkOutcome {
    /// The answers of its first calls, an entry each (see [`entries`]); or what has become of all of them.
    pub(crate) results: Result<Vec<u8>>,
    /// Of those that have failed, by the number of their entries, why.
    pub(crate) failures: Vec<(u32, Error)>,
    /// How many calls this is about.
    pub(crate) count: u32,
    pub(crate) rest: Rest,
    /// An entry that was asked for, by its number, and where it is. (The next one to be asked for is the one behind it, mostly.)
    pub(crate) cursor: (u32, usize),
}

impl ChunkOutcome {
    /// Where one of its calls is now. `None`: here.
    pub(super) fn seat(&self, number: u32) -> Option<Seat> {
        let mut beyond = number.checked_sub(self.count)?;
        for (slot, count) in &self.rest {
            if beyond < *count {
                return Some(Seat { slot: Arc::clone(slot), number: Some(beyond) });
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
        let (first, start) = if self.cursor.0 <= number { self.cursor } else { (0, 0) };
        let skipped = entries::length_of(&results[start..], number - first);
        let at = start + skipped.expect("the pool has looked");
        self.cursor = (number, at);
        let (entry, _) = entries::next(&results[at..]).expect("the pool has looked");
        Ok(entry.bytes.into())
    }
}

/// Where the outcome of a call comes to: its slot, and which of the calls of that it is.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) slot: Arc<Slot>,
    /// `None` where the slot is that of one call, or where it stands for all its calls.
    pub(crate) number: Option<u32>,
}

/// What one asks of a seat.
pub(crate) enum Found<T> {
    Here(T),
    /// The call has moved on, to another seat.
    Elsewhere(Seat),
}

impl<T> Found<T> {
    pub(super) fn map<U>(self, answer: impl FnOnce(T) -> U) -> Found<U> {
        self.then(|found| Found::Here(answer(found)))
    }

    pub(super) fn then<U>(self, next: impl FnOnce(T) -> Found<U>) -> Found<U> {
        match self {
            Self::Here(found) => next(found),
            Self::Elsewhere(seat) => Found::Elsewhere(seat),
        }
    }
}

impl Seat {
    /// Asks the slot that the call's outcome comes to now.
    pub(super) fn ask<T>(&self, mut question: impl FnMut(&Self) -> Found<T>) -> T {
        let mut moved = None;
        loop {
            match question(moved.as_ref().unwrap_or(self)) {
                Found::Here(answer) => return answer,
                Found::Elsewhere(seat) => moved = Some(seat),
            }
        }
    }
}

impl From<Arc<Slot>> for Seat {
    fn from(slot: Arc<Slot>) -> Self {
        Self { slot, number: None }
    }
}

/// One or more calls in a row that have one slot.
pub(crate) struct Part<R> {
    future: Future<R>,
    count: u32,
}

/// What a part has come to.
pub(crate) enum Taken<R: 'static> {
    One(Result<R>),
    Many(Results<R>, Vec<Part<R>>),
}

impl<R: 'static> Part<R> {
    /// So many calls, whose outcome comes to this slot.
    pub(crate) fn new(slot: Arc<Slot>, output: Witness<R>, count: u32) -> Self {
        Self { future: Future::new(slot.into(), output), count }
    }

    /// How many calls it has.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Blocks until there is an outcome, and takes it. The part comes back after the deadline.
    pub(crate) fn take(self, deadline: Option<Instant>) -> std::result::Result<Taken<R>, Self> {
        if let Err(error) = self.future.check_process() {
            return Ok(self.failed(error));
        }
        let outcome = self.future.outcome_until(deadline);
        let Some(chunk) = self.future.seat.slot.take_chunk() else {
            return match outcome {
                None => Err(self),
                Some(Err(error)) if self.count > 1 => Ok(self.failed(error)),
                Some(outcome) => Ok(Taken::One(self.future.decode(outcome))),
            };
        };
        let ChunkOutcome { results, failures, count, rest, .. } = chunk;
        let output = self.future.output;
        let part = |(slot, count)| Self { future: Future::seated(slot, output), count };
        let rest = rest.into_iter().map(part).collect();
        let failures = failures.into_iter().peekable();
        Ok(Taken::Many(Results { of: self.future, results, at: 0, failures, next: 0, count }, rest))
    }

    /// All its calls have come to this.
    fn failed(self, error: Error) -> Taken<R> {
        let Self { future, count } = self;
        let failures = Vec::new().into_iter().peekable();
        let results = Results { of: future, results: Err(error), at: 0, failures, next: 0, count };
        Taken::Many(results, Vec::new())
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

impl<R> Awaited for Part<R> {
    type Output = R;

    fn future(&self) -> &Future<R> {
        &self.future
    }
}

impl<R> From<Future<R>> for Part<R> {
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
