//! `next` of both iterators: submit, wait, yield. And the ends of a map.

use std::fmt;
use std::time::{Duration, Instant};

use super::in_flight::InFlight;
use super::supply::Supply;
use crate::clock;
use crate::error::{Error, ErrorKind, Execution, Result};
use crate::limits;

/// A map. `F` decides the order of its results.
pub(super) struct Flow<'a, R, F> {
    /// Dropped before the supply, which may hold the last handle of the pool: calls that have not begun are cancelled before the
    /// drop of the handle waits for the others.
    pub(super) in_flight: F,
    pub(super) supply: Supply<'a, R>,
    pub(super) timeout: Option<Duration>,
    /// Set from `timeout` by the first `next`.
    pub(super) deadline: Option<Instant>,
    pub(super) is_over: bool,
}

impl<R: 'static, F: InFlight<R>> Flow<'_, R, F> {
    /// The next result, with the index of its item.
    pub(super) fn next(&mut self) -> Option<(usize, Result<R>)> {
        // Results that are taken out already come first. They take no time, and make room for the next chunk.
        if let Some(next) = self.in_flight.next_open() {
            return Some(next);
        }
        if self.is_over {
            return None;
        }
        if let Err(error) = self.supply.pace.check() {
            return Some(self.end(error));
        }
        if self.deadline.is_none() {
            self.deadline = clock::deadline(self.timeout);
        }
        self.refill();
        if let Some(next) = self.in_flight.next(self.deadline) {
            return Some(next);
        }
        if self.in_flight.len() == 0 && !self.supply.has_more() {
            self.is_over = true;
            return None;
        }
        let message = match self.timeout {
            Some(timeout) => format!("map timed out after {timeout:?}"),
            None => "map ended before all results were there".to_owned(),
        };
        // It is not known whether the call of this item has begun.
        let error = Error::new(ErrorKind::Timeout, message)
            .with_task(self.supply.task)
            .with_execution(Execution::Started);
        Some(self.end(error))
    }

    /// Submits chunks until the window is full. While results are ready, a slow iterable is asked for one chunk only, which makes up
    /// for the item that is about to be yielded.
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
            // Nothing is submitted after the deadline, or a map of short calls would never end.
            let is_late = self.deadline.is_some_and(|deadline| now >= deadline);
            if is_late || is_slow && self.in_flight.is_ready() {
                return;
            }
            let in_flight = &mut self.in_flight;
            let add = |index, part| in_flight.add(index, part);
            self.supply.submit_chunk(bounds.chunk, now, add);
        }
    }

    /// Ends the map with an error, at the index of the first item that has no result.
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
        // If the time runs out, one error replaces all results that are missing.
        let least = if self.timeout.is_some() { least.min(1) } else { least };
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
