//! The calls of a map that were submitted and not yet yielded, and the choice of the next one.

use std::collections::VecDeque;
use std::time::Instant;

use crate::error::Result;
use crate::future::{Awaited, MapPart, PartResult, Results, Watch};

/// Calls by the indices of their items. Dropping it cancels the calls that have not begun.
pub(super) trait InFlight<R: 'static> {
    fn len(&self) -> usize;

    /// Adds a part. `index` is that of its first item. Indices come in order.
    fn add(&mut self, index: usize, part: MapPart<R>);

    /// Whether `next` returns a result without waiting.
    fn is_ready(&self) -> bool;

    /// Takes out the next result, if it was taken out of its cell already, with others.
    fn next_open(&mut self) -> Option<(usize, Result<R>)>;

    /// Waits for the next result and takes it out. `None` after the deadline, or if there are no calls.
    fn next(&mut self, deadline: Option<Instant>) -> Option<(usize, Result<R>)>;

    /// The lowest index of an item that has no result yet.
    fn first(&self) -> Option<usize>;

    /// Cancels the calls that have not begun, and drops all.
    fn cancel(&mut self);
}

/// Results that were taken out of their cell and not yet yielded, with the index of the first.
struct Open<R> {
    first: usize,
    results: Option<Results<R>>,
}

impl<R: 'static> Open<R> {
    fn new() -> Self {
        Self { first: 0, results: None }
    }

    fn len(&self) -> usize {
        self.results.as_ref().map_or(0, Results::len)
    }

    fn next(&mut self) -> Option<(usize, Result<R>)> {
        let result = self.results.as_mut()?.next()?;
        self.first += 1;
        Some((self.first - 1, result))
    }
}

/// Cancels the last part first, so that no worker begins one of its calls meanwhile.
fn cancel<R: 'static>(parts: impl DoubleEndedIterator<Item = MapPart<R>>) {
    parts.rev().for_each(MapPart::cancel);
}

/// The next call is the one with the lowest index, done or not.
pub(super) struct Queue<R: 'static> {
    open: Open<R>,
    parts: VecDeque<MapPart<R>>,
    /// The index of the first part.
    first: usize,
    len: usize,
}

impl<R> Queue<R> {
    pub(super) fn new() -> Self {
        Self { open: Open::new(), parts: VecDeque::new(), first: 0, len: 0 }
    }

    /// Makes the calls come in completion order. The results that were taken out already come first.
    pub(super) fn into_pile(mut self) -> Pile<R> {
        let open = std::mem::replace(&mut self.open, Open::new());
        let mut pile = Pile { len: open.len(), open, watch: Watch::new() };
        let mut first = self.first;
        for part in self.parts.drain(..) {
            let count = part.count();
            pile.add(first, part);
            first += count;
        }
        pile
    }
}

impl<R> InFlight<R> for Queue<R> {
    fn len(&self) -> usize {
        self.len
    }

    fn add(&mut self, index: usize, part: MapPart<R>) {
        debug_assert_eq!(index, self.first + self.len - self.open.len());
        self.len += part.count();
        self.parts.push_back(part);
    }

    fn is_ready(&self) -> bool {
        self.open.len() > 0 || self.parts.front().is_some_and(|part| part.future().is_done())
    }

    fn next_open(&mut self) -> Option<(usize, Result<R>)> {
        let next = self.open.next()?;
        self.len -= 1;
        Some(next)
    }

    fn next(&mut self, deadline: Option<Instant>) -> Option<(usize, Result<R>)> {
        loop {
            if let Some(next) = self.next_open() {
                return Some(next);
            }
            let part = self.parts.pop_front()?;
            match part.take(deadline) {
                // The deadline has passed.
                Err(part) => {
                    self.parts.push_front(part);
                    return None;
                }
                Ok(PartResult::One(result)) => {
                    self.first += 1;
                    self.len -= 1;
                    return Some((self.first - 1, result));
                }
                Ok(PartResult::Many(results, rest)) => {
                    let first = self.first;
                    self.first += results.len();
                    self.open = Open { first, results: Some(results) };
                    rest.into_iter().rev().for_each(|part| self.parts.push_front(part));
                }
            }
        }
    }

    fn first(&self) -> Option<usize> {
        (self.len > 0).then(|| self.first - self.open.len())
    }

    fn cancel(&mut self) {
        (self.open, self.len) = (Open::new(), 0);
        cancel(self.parts.drain(..));
    }
}

impl<R> Drop for Queue<R> {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// The next call is the one that is done first.
pub(super) struct Pile<R: 'static> {
    open: Open<R>,
    watch: Watch<MapPart<R>>,
    len: usize,
}

impl<R> InFlight<R> for Pile<R> {
    fn len(&self) -> usize {
        self.len
    }

    fn add(&mut self, index: usize, part: MapPart<R>) {
        self.len += part.count();
        self.watch.add(index, part);
    }

    fn is_ready(&self) -> bool {
        self.open.len() > 0 || self.watch.is_ready()
    }

    fn next_open(&mut self) -> Option<(usize, Result<R>)> {
        let next = self.open.next()?;
        self.len -= 1;
        Some(next)
    }

    fn next(&mut self, deadline: Option<Instant>) -> Option<(usize, Result<R>)> {
        loop {
            if let Some(next) = self.next_open() {
                return Some(next);
            }
            let (first, part) = self.watch.next(deadline)?;
            match part.take_arrived() {
                PartResult::One(result) => {
                    self.len -= 1;
                    return Some((first, result));
                }
                PartResult::Many(results, rest) => {
                    let mut next = first + results.len();
                    self.open = Open { first, results: Some(results) };
                    for part in rest {
                        let count = part.count();
                        self.watch.add(next, part);
                        next += count;
                    }
                }
            }
        }
    }

    fn first(&self) -> Option<usize> {
        let open = (self.open.len() > 0).then_some(self.open.first);
        open.into_iter().chain(self.watch.lowest()).min()
    }

    fn cancel(&mut self) {
        (self.open, self.len) = (Open::new(), 0);
        let mut parts: Vec<_> = self.watch.take_all().collect();
        parts.sort_unstable_by_key(|(index, _)| *index);
        cancel(parts.into_iter().map(|(_, part)| part));
    }
}

impl<R> Drop for Pile<R> {
    fn drop(&mut self) {
        self.cancel();
    }
}
