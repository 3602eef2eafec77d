//! The outcomes of calls that were submitted together, in the hand of the one who waits for all of them.
//!
//! A chunk has one slot for all its calls. Its outcome says what the first of them have come to, and which slots the others
//! have now, if a worker did not run them all: one of them took long, or killed it. So whoever holds a [`Part`] follows it
//! from slot to slot until each call has had its turn, once.

use std::sync::Arc;
use std::time::Instant;

use super::slot::Slot;
use super::watch::Awaited;
use super::{Future, check_process};
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
        Self { future: Future::new(slot, output), count }
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
        self.future.wait_until(deadline);
        let Some(outcome) = self.future.slot.take_chunk() else {
            return match self.future.slot.peek() {
                None => Err(self),
                Some(Err(error)) if self.count > 1 => Ok(self.failed(error)),
                Some(outcome) => Ok(Taken::One(self.future.decode(outcome))),
            };
        };
        let ChunkOutcome { results, failures, count, rest } = outcome;
        let output = self.future.output;
        let part = |(slot, count)| Self { future: Future { slot, output, polled: None }, count };
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
        if self.future.cancel() || check_process(self.future.slot.owner_pid()).is_err() {
            return;
        }
        // What it is now, if it was divided by that or before.
        if let Some(outcome) = self.future.slot.take_chunk() {
            for (slot, count) in outcome.rest.into_iter().rev() {
                let output = self.future.output;
                Self { future: Future { slot, output, polled: None }, count }.cancel();
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
