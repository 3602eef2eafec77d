//! The state of a batch's outcome cell: which calls have an answer, which are pending, and which have moved.
//!
//! ```text
//!   0          answered            end
//!   │ answered │ pending, then last │ moved: other cells have them │
//! ```
//!
//! `answered` only grows, `end` only falls, and `answered <= end`. The rules for changing them are in the
//! [parent module](super); this file only keeps the record. It knows neither locks nor listeners.

use std::sync::Arc;

use super::call_ref::{CallRef, MovedTail};
use super::payload::Outcome;
use crate::codec::entries;
use crate::error::{Error, Execution};

/// The answers of consecutive calls of a batch.
#[derive(Debug)]
pub(crate) struct Answers {
    /// The number of the first of these calls.
    pub(crate) first: u32,
    pub(crate) count: u32,
    /// One entry per call (see [`entries`]).
    pub(crate) entries: Vec<u8>,
    /// The errors of the calls that failed, by their numbers in the batch, in ascending order.
    pub(crate) failures: Vec<(u32, Error)>,
}

impl Answers {
    pub(crate) fn none() -> Self {
        Self { first: 0, count: 0, entries: Vec::new(), failures: Vec::new() }
    }
}

/// The record of a batch that was divided, or has ended.
pub(super) struct Batch<C> {
    /// One entry per call from `taken` to `answered`.
    entries: Vec<u8>,
    failures: Vec<(u32, Error)>,
    /// The calls before this one were [taken](Self::take).
    taken: u32,
    answered: u32,
    /// The calls from this one on have moved.
    end: u32,
    moved: MovedTail<C>,
    /// The outcome of the calls from `answered` to `end`, once the batch has ended. `Ok` only if that is one call.
    last: Option<Outcome>,
    /// Where each entry begins, once a future has asked for one.
    starts: Vec<u32>,
}

/// What a map takes out of a cell.
pub(super) struct Taken<C> {
    pub(super) answers: Answers,
    /// The outcome of the calls behind the answers, if the batch has ended without an answer of theirs.
    pub(super) last: Option<Outcome>,
    /// The first call that has neither an answer nor moved.
    pub(super) pending: u32,
    /// The number behind the last call that has not moved, if any has.
    pub(super) end: Option<u32>,
    pub(super) moved: MovedTail<C>,
}

/// Whether the outcome is that of a call which no worker has begun.
pub(super) fn never_began(outcome: &Outcome) -> bool {
    outcome.as_ref().is_err_and(|error| error.execution() == Execution::NotStarted)
}

impl<C> Batch<C> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            failures: Vec::new(),
            taken: 0,
            answered: 0,
            end: u32::MAX,
            moved: MovedTail::new(),
            last: None,
            starts: Vec::new(),
        }
    }

    /// Adds the answers of the next calls. False if these are not the next: answers were lost.
    pub(super) fn publish(&mut self, mut answers: Answers) -> bool {
        if answers.count == 0 {
            return true;
        }
        if answers.first != self.answered || self.last.is_some() {
            return false;
        }
        self.answered += answers.count;
        debug_assert!(self.answered <= self.end, "a call that has moved is answered elsewhere");
        self.failures.append(&mut answers.failures);
        if self.entries.is_empty() {
            self.entries = answers.entries;
        } else {
            self.entries.append(&mut answers.entries);
        }
        self.starts.clear();
        true
    }

    /// Ends the batch: the calls that are still pending come to this outcome. False if the batch has ended before.
    pub(super) fn end(&mut self, last: Outcome) -> bool {
        let is_first = self.last.is_none();
        self.last.get_or_insert(last);
        is_first
    }

    /// Ends the batch after its last answer. False if calls of it are still pending.
    pub(super) fn close(&mut self) -> bool {
        if self.end == u32::MAX {
            self.end = self.answered;
        }
        self.answered == self.end
    }

    /// Moves the calls from `end` on to other cells. `end` lies behind the first pending call.
    pub(super) fn move_tail(&mut self, end: u32, tail: MovedTail<C>) {
        debug_assert!(self.answered < end && end < self.end, "{} {end}", self.answered);
        self.end = end;
        self.moved.splice(0..0, tail);
    }

    /// Whether calls have moved to cells that were not [taken](Self::take) yet.
    pub(super) fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    pub(super) fn is_pending(&self, number: u32) -> bool {
        (self.answered..self.end).contains(&number) && self.last.is_none()
    }

    /// The other cell that has the call, if it has moved.
    pub(super) fn moved_to(&self, number: u32) -> Option<CallRef<C>> {
        let mut beyond = number.checked_sub(self.end)?;
        for (cell, count) in &self.moved {
            if beyond < *count {
                return Some(CallRef { cell: Arc::clone(cell), number: Some(beyond) });
            }
            beyond -= count;
        }
        None
    }

    /// Whether the call was cancelled with all that were pending in this cell.
    pub(super) fn is_cancelled(&self, number: u32) -> bool {
        let last = self.last.as_ref().filter(|_| number >= self.answered);
        last.is_some_and(|last| last.as_ref().is_err_and(Error::is_cancelled))
    }

    /// Whether the call has ended without having begun.
    pub(super) fn never_began(&self, number: u32) -> bool {
        let last = self.last.as_ref().filter(|_| number >= self.answered);
        last.is_some_and(never_began)
    }

    /// The outcome of a call that has not moved and was not taken.
    pub(super) fn outcome(&mut self, number: u32) -> Option<Outcome> {
        if number >= self.answered {
            return self.last.clone();
        }
        if let Ok(at) = self.failures.binary_search_by_key(&number, |(failed, _)| *failed) {
            return Some(Err(self.failures[at].1.clone()));
        }
        if self.starts.is_empty() {
            self.starts = entries::starts(&self.entries).collect();
        }
        let start = self.starts[(number - self.taken) as usize] as usize;
        let (entry, _) = entries::next(&self.entries[start..]).expect("the pool has parsed them");
        Some(Ok(entry.bytes.into()))
    }

    /// Takes out the result of a call that no other handle asks for, if it does not lie among the entries.
    pub(super) fn release(&mut self, number: u32) -> Option<Outcome> {
        let last = self.last.as_mut().filter(|last| number == self.answered && last.is_ok())?;
        Some(std::mem::replace(last, Ok([][..].into())))
    }

    /// Takes all answers that are there, and the cells of the calls that have moved.
    pub(super) fn take(&mut self) -> Taken<C> {
        let answers = Answers {
            first: self.taken,
            count: self.answered - self.taken,
            entries: std::mem::take(&mut self.entries),
            failures: std::mem::take(&mut self.failures),
        };
        self.taken = self.answered;
        self.starts.clear();
        Taken {
            answers,
            last: self.last.clone(),
            pending: self.answered,
            end: (self.end < u32::MAX).then_some(self.end),
            moved: std::mem::take(&mut self.moved),
        }
    }
}
