//! Calls in a row that arrive in one cell, as a `map` waits for them: it takes each result once.

use std::sync::Arc;
use std::time::Instant;

use super::batch::{Answers, Taken};
use super::call_ref::CallRef;
use super::cell::{OutcomeCell, Snapshot};
use super::handle::Future;
use super::payload::Outcome;
use super::watch::Awaited;
use crate::codec::{Attachments, ValueCodec, entries};
use crate::error::{Error, Result};

/// The calls of one cell from a number on.
pub(crate) struct MapPart<R> {
    /// The handle of the first of them.
    future: Future<R>,
    first: u32,
    count: u32,
}

/// What a part has come to.
pub(crate) enum PartResult<R: 'static> {
    One(Result<R>),
    /// The results of the first calls, and the parts that the others are in.
    Many(Results<R>, Vec<MapPart<R>>),
}

impl<R> MapPart<R> {
    fn with_output(
        cell: Arc<OutcomeCell>,
        first: u32,
        count: u32,
        output: Option<ValueCodec<R>>,
    ) -> Self {
        let call = CallRef { cell, number: Some(first) };
        Self { future: Future::with_output(call, output), first, count }
    }
}

impl<R: 'static> MapPart<R> {
    /// `count` calls whose outcomes arrive in `cell`.
    pub(crate) fn new(cell: Arc<OutcomeCell>, output: ValueCodec<R>, count: u32) -> Self {
        Self::with_output(cell, 0, count, Some(output))
    }

    /// How many calls it has.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Blocks until the first call has an outcome, and takes the outcomes that are there. After the deadline the part comes back.
    pub(crate) fn take(
        self,
        deadline: Option<Instant>,
    ) -> std::result::Result<PartResult<R>, Self> {
        if let Err(error) = self.future.check_process() {
            return Ok(self.failed(error));
        }
        let is_settled = |cell: &OutcomeCell, call| {
            cell.snapshot(call).map(|snapshot| (snapshot != Snapshot::Pending).then_some(()))
        };
        if self.future.wait_until(deadline, is_settled).is_none() {
            return Err(self);
        }
        Ok(self.take_settled())
    }

    /// Takes the outcomes that are there, after the token of a [`Watch`](super::watch::Watch). There may be none: if the first call
    /// runs long, the others have moved to other cells, which come back as parts.
    pub(crate) fn take_arrived(self) -> PartResult<R> {
        if let Err(error) = self.future.check_process() {
            return self.failed(error);
        }
        self.take_settled()
    }

    fn take_settled(self) -> PartResult<R> {
        match self.future.call().cell.take_batch() {
            Some(taken) => self.divide(taken),
            None => match self.future.result() {
                Err(error) if self.count > 1 => self.failed(error),
                result => PartResult::One(result),
            },
        }
    }

    /// The results that were taken out of the cell, and the parts that are left.
    fn divide(self, taken: Taken<OutcomeCell>) -> PartResult<R> {
        let Taken { answers, last, pending, end, moved } = taken;
        let output = self.future.output();
        let end = end.unwrap_or(self.first + self.count).min(self.first + self.count);
        let mut rest = Vec::new();
        if last.is_none() && pending < end {
            let cell = Arc::clone(&self.future.call().cell);
            rest.push(Self::with_output(cell, pending, end - pending, output));
        }
        rest.extend(
            moved.into_iter().map(|(cell, count)| Self::with_output(cell, 0, count, output)),
        );
        let end = if last.is_some() { end } else { pending };
        PartResult::Many(Results::new(self.future, answers, last, end), rest)
    }

    /// All its calls have come to this error.
    fn failed(self, error: Error) -> PartResult<R> {
        let answers = Answers { first: self.first, ..Answers::none() };
        let end = self.first + self.count;
        PartResult::Many(Results::new(self.future, answers, Some(Err(error)), end), Vec::new())
    }

    /// Cancels the calls that have not begun.
    pub(crate) fn cancel(self) {
        if self.future.check_process().is_err() {
            return;
        }
        let cell = &self.future.call().cell;
        if let Some((driver, call)) = cell.driver()
            && !self.future.is_done()
        {
            driver.cancel(call, None);
        }
        // The calls that have moved by that, or before. The last ones first, so that no worker begins one meanwhile.
        let moved = cell.take_batch().map(|taken| taken.moved).unwrap_or_default();
        for (cell, count) in moved.into_iter().rev() {
            Self::with_output(cell, 0, count, self.future.output()).cancel();
        }
    }
}

impl<R> Awaited for MapPart<R> {
    type Output = R;

    const FOLLOWS_TAIL: bool = true;

    fn future(&self) -> &Future<R> {
        &self.future
    }
}

impl<R> From<Future<R>> for MapPart<R> {
    fn from(future: Future<R>) -> Self {
        Self { future, first: 0, count: 1 }
    }
}

/// The results of several calls, one after the other.
pub(crate) struct Results<R> {
    of: Future<R>,
    answers: Answers,
    /// Where the next entry begins.
    at: usize,
    /// How many of the failures were yielded.
    failed: usize,
    /// The outcome of the calls that have no entry.
    last: Option<Outcome>,
    next: u32,
    end: u32,
}

impl<R> Results<R> {
    fn new(of: Future<R>, answers: Answers, last: Option<Outcome>, end: u32) -> Self {
        Self { of, next: answers.first, answers, at: 0, failed: 0, last, end }
    }
}

impl<R: 'static> Results<R> {
    pub(crate) fn len(&self) -> usize {
        (self.end - self.next) as usize
    }
}

impl<R: 'static> Iterator for Results<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        if self.next == self.end {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let Answers { first, count, entries, failures } = &self.answers;
        if number >= first + count {
            let outcome = match self.next == self.end {
                true => self.last.take(),
                false => self.last.clone(),
            };
            return Some(self.of.decode(outcome.expect("these calls have an outcome")));
        }
        let (entry, behind) = entries::next(&entries[self.at..]).expect("the pool has parsed them");
        self.at = entries.len() - behind.len();
        if let Some((failed, error)) = failures.get(self.failed)
            && *failed == number
        {
            self.failed += 1;
            return Some(Err(error.clone()));
        }
        Some(self.of.decode_bytes(entry.bytes, &Attachments::new()))
    }
}
