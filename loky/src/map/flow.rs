//! What `next` does, for both iterators: submit, wait, yield; and the ways in which a map ends.

use std::fmt;
use std::time::{Duration, Instant};

use super::in_flight::InFlight;
use super::supply::Supply;
use crate::clock;
use crate::error::{Error, ErrorKind, Execution, Result};
use crate::limits;

/// A map, whatever the order of its results.
pub(super) struct Flow<'a, R, F> {
    /// In front of the supply, which may hold the pool's last handle: first is taken back what need not be waited for.
    pub(super) in_flight: F,
    pub(super) supply: Supply<'a, R>,
    /// Until the first `next`; then it is a deadline.
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    pub(super) is_over: bool,
}

impl<R: 'static, F: InFlight<R>> Flow<'_, R, F> {
    /// The next result, with the index of its item.
    pub(super) fn next(&mut self) -> Option<(usize, Result<R>)> {
        // Others of its chunk come first: they take no time, and there is room for the next chunk when they are gone.
        if let Some(next) = self.in_flight.next_open() {
            return Some(next);
        }
        if self.is_over {
            return None;
        }
        if let Err(error) = self.supply.pace.check() {
            return Some(self.end(error));
        }
        if let Some(timeout) = self.timeout.take() {
            self.deadline = clock::deadline(Some(timeout));
        }
        self.refill();
        if let Some(next) = self.in_flight.next(self.deadline) {
            return Some(next);
        }
        if self.in_flight.len() == 0 && !self.supply.has_more() {
            self.is_over = true;
            return None;
        }
        let message = "the results of a map did not come in its time";
        // Whether the call that this stands for has begun is not known.
        let error = Error::new(ErrorKind::Timeout, message)
            .with_task(self.supply.task)
            .with_execution(Execution::Started);
        Some(self.end(error))
    }

    /// Submits chunks until the window is full. Only a slow iterable does not hold up results that are there: then one chunk
    /// is enough, which makes up for the item that is about to be yielded.
    fn refill(&mut self) {
        let mut until = None;
        loop {
            let bounds = self.supply.bounds();
            let has_room = self.in_flight.len() <= bounds.window - bounds.chunk;
            if !has_room || self.supply.is_dry() {
                return;
            }
            let now = clock::now();
            let is_slow = now >= *until.get_or_insert(now + limits::MAP_GATHER);
            // After the deadline nothing is submitted any more, or a map of short calls would never come to its end.
            let is_late = self.deadline.is_some_and(|deadline| now >= deadline);
            if is_late || is_slow && self.in_flight.is_ready() {
                return;
            }
            let in_flight = &mut self.in_flight;
            let add = |index, part| in_flight.add(index, part);
            self.supply.submit_chunk(bounds.chunk, now, add);
        }
    }

    /// The last item, in the place of the first one that has no result.
    fn end(&mut self, error: Error) -> (usize, Result<R>) {
        let index = self.in_flight.first().unwrap_or_else(|| self.supply.taken());
        self.is_over = true;
        self.in_flight.cancel();
        (index, Err(error))
    }

    pub(super) fn size_hint(&self) -> (usize, Option<usize>) {
        if self.is_over {
            return (0, Some(0));
        }
        if self.supply.pace.check().is_err() {
            return (1, Some(1));
        }
        let (least, most) = self.supply.size_hint();
        let in_flight = self.in_flight.len();
        let least = least.saturating_add(in_flight);
        let is_limited = self.timeout.is_some() || self.deadline.is_some();
        // Where the time may be over, one error may stand for all of them.
        let least = if is_limited { least.min(1) } else { least };
        (least, most.and_then(|most| most.checked_add(in_flight)))
    }

    pub(super) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("task", &self.supply.task)
            .field("taken", &self.supply.taken())
            .field("in_flight", &self.in_flight.len())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
