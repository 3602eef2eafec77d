//! Waiting for several futures until enough of them are done.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::Future;
use crate::clock;

/// How many futures [`wait`] waits for. Python's `return_when`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// One that has an outcome, cancelled or not.
    FirstCompleted,
    /// One that has failed (being cancelled is no failure, and neither is a result that cannot be decoded here: nobody has
    /// tried yet); all, if none does.
    FirstException,
    /// All.
    #[default]
    AllCompleted,
}

/// What [`wait`] found.
pub struct Waited<R> {
    /// Those that have an outcome, in the order in which they were given.
    pub done: Vec<Future<R>>,
    /// The others, in the same order.
    pub not_done: Vec<Future<R>>,
}

impl<R> fmt::Debug for Waited<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, not_done } = self;
        f.debug_struct("Waited").field("done", done).field("not_done", not_done).finish()
    }
}

/// Waits until enough of `futures` have an outcome, or until `timeout` has passed; `None` is for ever.
///
/// Futures that are given twice (clones of one another) come back once. In a process that was forked off the one that
/// submitted the calls it returns at once.
///
/// ```
/// use loky::{ReturnWhen, wait};
///
/// #[loky::task]
/// fn half(x: u64) -> u64 {
///     x / 2
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
///         let futures: Vec<_> = (0..4).map(|x| executor.submit(half, x)).collect();
///         let waited = wait(&futures, ReturnWhen::AllCompleted, None);
///         assert_eq!((waited.done.len(), waited.not_done.len()), (4, 0));
///         Ok(())
///     }
/// }
/// ```
#[must_use]
pub fn wait<R: 'static>(
    futures: &[Future<R>],
    return_when: ReturnWhen,
    timeout: Option<Duration>,
) -> Waited<R> {
    let deadline = clock::deadline(timeout);
    let mut watch = Watch::new(distinct(futures.iter().cloned()));
    while let Some(number) = watch.next(deadline) {
        let future = &watch.futures[number];
        let is_enough = match return_when {
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstException => future.has_failed(),
            ReturnWhen::AllCompleted => false,
        };
        if is_enough {
            break;
        }
    }
    let (done, not_done) = watch.futures.iter().cloned().partition(Future::done);
    Waited { done, not_done }
}

/// The futures without those that are clones of an earlier one.
pub(super) fn distinct<R>(futures: impl Iterator<Item = Future<R>>) -> Vec<Future<R>> {
    let mut seen = HashSet::new();
    futures.filter(|future| seen.insert(Arc::as_ptr(&future.slot))).collect()
}

/// Futures of which each says once, by its number, that it is done.
pub(super) struct Watch<R> {
    pub(super) futures: Vec<Future<R>>,
    /// How many have not said it yet. Those of the process that this one was forked off never will, and do not count.
    silent: usize,
    sender: Sender<usize>,
    receiver: Receiver<usize>,
}

impl<R: 'static> Watch<R> {
    pub(super) fn new(futures: Vec<Future<R>>) -> Self {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let mut silent = 0;
        for (number, future) in futures.iter().enumerate() {
            if future.check_process().is_ok() {
                silent += 1;
                if future.slot.watch(number, &sender) {
                    future.attend();
                }
            }
        }
        Self { futures, silent, sender, receiver }
    }

    /// The next one that is done; `None` after the deadline, or when all have been.
    pub(super) fn next(&mut self, deadline: Option<Instant>) -> Option<usize> {
        if self.silent == 0 {
            return None;
        }
        let number = match deadline {
            Some(deadline) => self.receiver.recv_deadline(deadline).ok(),
            None => self.receiver.recv().ok(),
        }?;
        self.silent -= 1;
        Some(number)
    }

    /// How many have not said that they are done.
    pub(super) fn silent(&self) -> usize {
        self.silent
    }
}

impl<R> fmt::Debug for Watch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("futures", &self.futures)
            .field("silent", &self.silent)
            .finish_non_exhaustive()
    }
}

impl<R> Drop for Watch<R> {
    fn drop(&mut self) {
        for future in &self.futures {
            future.slot.unwatch(&self.sender);
        }
    }
}
