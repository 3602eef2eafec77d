//! Taking items and submitting their calls.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use super::gather::Gathering;
use super::pace::{Bounds, Pace};
use super::source::Source;
use crate::codec::ValueCodec;
use crate::executor::ProcessPoolExecutor;
use crate::future::MapPart;
use crate::limits;

/// The items of one map that have no call yet, and the executor that runs their calls.
pub(super) struct Supply<'a, R> {
    source: Box<dyn Source + 'a>,
    /// Whether the source is at its end, or has panicked. It is not asked again.
    is_dry: bool,
    taken: usize,
    pub(super) task: &'static str,
    output: ValueCodec<R>,
    pub(super) pace: Pace,
    /// Dropped after the source: it may be the last handle, whose drop waits for the end of the pool.
    executor: ProcessPoolExecutor,
}

impl<'a, R: 'static> Supply<'a, R> {
    pub(super) fn new(
        executor: ProcessPoolExecutor,
        task: &'static str,
        output: ValueCodec<R>,
        source: Box<dyn Source + 'a>,
    ) -> Self {
        Self { source, is_dry: false, taken: 0, task, output, pace: Pace::default(), executor }
    }

    /// How many items were taken. This is the index of the next one.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn is_dry(&self) -> bool {
        self.is_dry
    }

    pub(super) fn bounds(&self) -> Bounds {
        let executor = &self.executor;
        self.pace.bounds(executor.map_window(), executor.max_workers(), executor.map_chunk())
    }

    /// Takes the items of a chunk and submits their calls. If the iterable panics, the items before the panic are submitted.
    pub(super) fn submit_chunk(
        &mut self,
        chunk: usize,
        now: Instant,
        mut add: impl FnMut(usize, MapPart<R>),
    ) {
        let until = self.pace.chunksize.is_none().then(|| now + limits::MAP_GATHER);
        // A batch never has more calls than are known to be short, however large the chunk is.
        let mut calls = Gathering::new(self.task, chunk.min(self.executor.map_chunk()));
        let asked = catch_unwind(AssertUnwindSafe(|| self.source.take(chunk, until, &mut calls)));
        self.is_dry = !matches!(asked, Ok(true));
        for part in self.executor.submit_all(self.task, self.output, calls.finish()) {
            let count = part.count();
            add(self.taken, part);
            self.taken += count;
        }
        if let Err(payload) = asked {
            resume_unwind(payload);
        }
    }

    /// Whether there is another item. The item is lost, so this is only for a map that ends.
    pub(super) fn has_more(&mut self) -> bool {
        let mut calls = Gathering::new(self.task, 1);
        if !self.is_dry {
            self.is_dry = true;
            self.source.take(1, None, &mut calls);
        }
        calls.len() > 0
    }

    /// The size hint of the items that were not taken.
    pub(super) fn size_hint(&self) -> (usize, Option<usize>) {
        if self.is_dry { (0, Some(0)) } else { self.source.size_hint() }
    }
}
