//! The iterable behind a map, as calls that are ready to be submitted: of its types nothing is left beyond this file.

use std::time::Instant;

use super::gather::Gathering;
use crate::clock;
use crate::error::Result;
use crate::segments::Segments;
use crate::task::Task;

/// Where the calls of a map come from.
pub(super) trait Source: Send {
    /// Adds the next calls, so many at most, and no more once it is `until`. False at the end of the iterable.
    ///
    /// Runs code of the user, which may panic: then what was taken before is in `calls`.
    fn take(&mut self, at_most: usize, until: Option<Instant>, calls: &mut Gathering) -> bool;

    /// As that of an iterator.
    fn size_hint(&self) -> (usize, Option<usize>);
}

/// The items of an iterable, to be the arguments of a task; or to fail all, if that is none.
pub(super) struct Items<I, Args, R> {
    pub(super) items: I,
    pub(super) task: Result<Task<Args, R>>,
    /// Where long arguments lie.
    pub(super) segments: Option<Segments>,
}

impl<I: Iterator<Item = Args> + Send, Args, R> Source for Items<I, Args, R> {
    fn take(&mut self, at_most: usize, until: Option<Instant>, calls: &mut Gathering) -> bool {
        for taken in 1..=at_most {
            let Some(args) = self.items.next() else { return false };
            match &self.task {
                Ok(task) => calls.encode(*task, &args, self.segments.as_ref()),
                Err(error) => calls.refuse(error.clone()),
            }
            // The arguments go only now, since their drop may panic as well.
            drop(args);
            // Looking at the clock costs about as much as encoding a small number: not for each.
            let looks = taken < at_most && taken.is_power_of_two();
            if looks && until.is_some_and(|until| clock::now() >= until) {
                break;
            }
        }
        true
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}
