//! The iterable behind a map. It hands out encoded calls, so no other file depends on the types of the items.

use std::time::Instant;

use super::gather::Gathering;
use crate::clock;
use crate::error::Result;
use crate::segments::Segments;
use crate::task::Task;

/// The supplier of a map's calls.
pub(super) trait Source: Send {
    /// Adds the next calls: `at_most` of them, and none once it is `until`. False at the end of the iterable.
    ///
    /// Runs code of the user. If that panics, `calls` has the items that were taken before.
    fn take(&mut self, at_most: usize, until: Option<Instant>, calls: &mut Gathering) -> bool;

    /// See [`Iterator::size_hint`].
    fn size_hint(&self) -> (usize, Option<usize>);
}

/// The items of an iterable as arguments of a task. If the function is no task, each item fails.
pub(super) struct Items<I, Args, R> {
    pub(super) items: I,
    pub(super) task: Result<Task<Args, R>>,
    /// The memory for large arguments.
    pub(super) segments: Option<Segments>,
}

impl<I: Iterator<Item = Args> + Send, Args, R> Source for Items<I, Args, R> {
    fn take(&mut self, at_most: usize, until: Option<Instant>, calls: &mut Gathering) -> bool {
        for taken in 1..=at_most {
            let Some(args) = self.items.next() else { return false };
            match &self.task {
                Ok(task) => calls.encode(*task, &args, self.segments.as_ref()),
                Err(error) => calls.fail(error.clone()),
            }
            // Their drop may panic too, so it comes after the call was added.
            drop(args);
            // Reading the clock costs about as much as encoding a small number, so it is not read for each item.
            let reads_clock = taken < at_most && taken.is_power_of_two();
            if reads_clock && until.is_some_and(|until| clock::now() >= until) {
                break;
            }
        }
        true
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}
