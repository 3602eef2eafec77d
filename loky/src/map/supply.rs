//! Taking items and submitting their calls.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use super::pace::{Bounds, Pace};
use super::source::Source;
use crate::codec::Witness;
use crate::executor::ProcessPoolExecutor;
use crate::future::Future;
use crate::limits;

/// The items of one map that have no call yet, and the executor that their calls go to.
pub(super) struct Supply<'a, R> {
    source: Box<dyn Source + 'a>,
    /// Whether the source is at its end, or has panicked: it is not asked again.
    is_dry: bool,
    taken: usize,
    pub(super) task: &'static str,
    output: Witness<R>,
    pub(super) pace: Pace,
    /// Behind the source: it may be the last handle, whose drop waits for the pool's end.
    executor: ProcessPoolExecutor,
}

impl<'a, R: 'static> Supply<'a, R> {
    pub(super) fn new(
        executor: ProcessPoolExecutor,
        task: &'static str,
        output: Witness<R>,
        source: Box<dyn Source + 'a>,
    ) -> Self {
        Self { source, is_dry: false, taken: 0, task, output, pace: Pace::default(), executor }
    }

    /// How many items were taken: the index of the next one.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn is_dry(&self) -> bool {
        self.is_dry
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.pace.bounds(self.executor.map_window(), self.executor.max_workers())
    }

    /// Takes the items of a chunk and submits their calls: also those that were taken when the iterable panics.
    pub(super) fn submit_chunk(
        &mut self,
        chunk: usize,
        now: Instant,
        mut add: impl FnMut(usize, Future<R>),
    ) {
        let until = self.pace.chunksize.is_none().then(|| now + limits::MAP_GATHER);
        let mut calls = Vec::new();
        let asked = catch_unwind(AssertUnwindSafe(|| self.source.take(chunk, until, &mut calls)));
        self.is_dry = !matches!(asked, Ok(true));
        for future in self.executor.submit_all(self.task, self.output, calls) {
            add(self.taken, future);
            self.taken += 1;
        }
        if let Err(payload) = asked {
            resume_unwind(payload);
        }
    }

    /// Whether there is another item. Takes it, for nothing: so it is for those who will not go on.
    pub(super) fn has_more(&mut self) -> bool {
        let mut calls = Vec::new();
        if !self.is_dry {
            self.is_dry = true;
            self.source.take(1, None, &mut calls);
        }
        !calls.is_empty()
    }

    /// Of the items that are not taken.
    pub(super) fn size_hint(&self) -> (usize, Option<usize>) {
        if self.is_dry { (0, Some(0)) } else { self.source.size_hint() }
    }
}
