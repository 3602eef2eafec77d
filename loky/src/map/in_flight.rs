//! The calls of a map that were submitted and not yet yielded, and which of them comes next.

use std::collections::VecDeque;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::future::{Future, Watch};

/// Calls by the indices of their items. Dropping it takes back what has not started.
pub(super) trait InFlight<R> {
    fn len(&self) -> usize;

    /// Indices come in order.
    fn add(&mut self, index: usize, future: Future<R>);

    /// Whether `next` would not have to wait.
    fn is_ready(&self) -> bool;

    /// Takes out the next one, with its result. `None` after the deadline, or if there is none.
    fn next(&mut self, deadline: Option<Instant>) -> Option<(usize, Result<R>)>;

    /// The lowest index.
    fn first(&self) -> Option<usize>;

    /// Takes back what has not started, and forgets them all.
    fn cancel(&mut self);
}

/// The last first: so no worker picks up one of them meanwhile.
fn cancel<R: 'static>(futures: impl DoubleEndedIterator<Item = Future<R>>) {
    for future in futures.rev() {
        future.cancel();
    }
}

/// Next is the one with the lowest index, done or not.
pub(super) struct Queue<R: 'static> {
    futures: VecDeque<Future<R>>,
    first: usize,
}

impl<R> Queue<R> {
    pub(super) fn new() -> Self {
        Self { futures: VecDeque::new(), first: 0 }
    }

    /// The same calls, to come in the order in which they are done.
    pub(super) fn into_pile(mut self) -> Pile<R> {
        let mut pile = Pile { watch: Watch::new() };
        for (index, future) in (self.first..).zip(self.futures.drain(..)) {
            pile.add(index, future);
        }
        pile
    }
}

impl<R> InFlight<R> for Queue<R> {
    fn len(&self) -> usize {
        self.futures.len()
    }

    fn add(&mut self, index: usize, future: Future<R>) {
        debug_assert_eq!(index, self.first + self.futures.len());
        self.futures.push_back(future);
    }

    fn is_ready(&self) -> bool {
        self.futures.front().is_some_and(Future::done)
    }

    fn next(&mut self, deadline: Option<Instant>) -> Option<(usize, Result<R>)> {
        let result = self.futures.front()?.result_until(deadline);
        // No call has an outcome of this kind: it is the waiting that has come to its end.
        if result.as_ref().is_err_and(Error::is_timeout) {
            return None;
        }
        self.futures.pop_front();
        self.first += 1;
        Some((self.first - 1, result))
    }

    fn first(&self) -> Option<usize> {
        (!self.futures.is_empty()).then_some(self.first)
    }

    fn cancel(&mut self) {
        cancel(self.futures.drain(..));
    }
}

impl<R> Drop for Queue<R> {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Next is the one that is done first.
pub(super) struct Pile<R: 'static> {
    watch: Watch<R>,
}

impl<R> InFlight<R> for Pile<R> {
    fn len(&self) -> usize {
        self.watch.len()
    }

    fn add(&mut self, index: usize, future: Future<R>) {
        self.watch.add(index, future);
    }

    fn is_ready(&self) -> bool {
        self.watch.is_ready()
    }

    fn next(&mut self, deadline: Option<Instant>) -> Option<(usize, Result<R>)> {
        let (index, future) = self.watch.next(deadline)?;
        Some((index, future.result()))
    }

    fn first(&self) -> Option<usize> {
        self.watch.lowest()
    }

    fn cancel(&mut self) {
        let mut calls: Vec<_> = self.watch.take_all().collect();
        calls.sort_unstable_by_key(|(index, _)| *index);
        cancel(calls.into_iter().map(|(_, future)| future));
    }
}

impl<R> Drop for Pile<R> {
    fn drop(&mut self) {
        self.cancel();
    }
}
