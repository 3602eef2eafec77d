//! The set of segments, and the decisions about it: which one to lend, which to keep, which to free.
//!
//! It does no I/O: the caller creates and drops the memory. Tested in `tests.rs`, by way of [`Segments`](super::Segments).

use std::cmp::Reverse;
use std::time::Instant;

use crate::id::Ticket;
use crate::limits;
use crate::sys::segment_memory::SegmentMemory;

/// The segments that are not on lease, and the number of those that are.
#[derive(Debug)]
pub(super) struct SegmentPool {
    /// In the order of their return.
    kept: Vec<Kept>,
    n_lent: usize,
    limit: usize,
    phase: Phase,
    /// The time of the next visit, as the last one returned it.
    visit: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// No more leases.
    Closed,
    /// No more leases and no more visits.
    Ended,
}

#[derive(Debug)]
struct Kept {
    memory: SegmentMemory,
    since: Instant,
    /// The call with whose result it was sent.
    sent_for: Option<Ticket>,
}

impl Kept {
    /// Whether no receiver holds it any more.
    fn is_free(&self) -> bool {
        !self.memory.is_out()
    }

    /// The time at which to look at it. A segment that a receiver holds is looked at less often, the longer it is held.
    fn due(&self, now: Instant) -> Instant {
        if self.is_free() {
            self.since + limits::SEGMENT_IDLE
        } else {
            now + limits::SEGMENT_IDLE.max(now.saturating_duration_since(self.since))
        }
    }
}

impl SegmentPool {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), n_lent: 0, limit, phase: Phase::Open, visit: None }
    }

    pub(super) fn allow(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Lends a segment for a value of this size: the best fitting, and of several the last used. `Some(None)` lets the caller
    /// create one. `None` if the limit is reached.
    pub(super) fn lend(&mut self, class: usize) -> Option<Option<SegmentMemory>> {
        let n_held = self.kept.iter().filter(|kept| !kept.is_free()).count();
        if self.phase != Phase::Open || self.n_lent + n_held >= self.limit {
            return None;
        }
        self.n_lent += 1;
        let sizes = class..=class.saturating_mul(limits::SEGMENT_EXCESS);
        let fits = |kept: &Kept| sizes.contains(&kept.memory.capacity()) && kept.is_free();
        let fitting = self.kept.iter().enumerate().filter(|(_, kept)| fits(kept));
        let best = fitting.min_by_key(|(index, kept)| (kept.memory.capacity(), Reverse(*index)));
        let best = best.map(|(index, _)| index);
        Some(best.map(|index| self.kept.remove(index).memory))
    }

    /// Counts a lease whose segment could not be created or filled.
    pub(super) fn lost(&mut self) {
        self.n_lent -= 1;
    }

    /// Takes a segment back. Returns whether the visiting thread must be woken, or the segment if there are no more visits.
    pub(super) fn give_back(
        &mut self,
        now: Instant,
        memory: SegmentMemory,
        sent_for: Option<Ticket>,
    ) -> Result<bool, SegmentMemory> {
        self.n_lent -= 1;
        if self.phase == Phase::Ended {
            return Err(memory);
        }
        self.kept.push(Kept { memory, since: now, sent_for });
        Ok(self.is_due_early(now))
    }

    /// Frees the segments that were sent for this call and did not arrive: no receiver will do it. Ends leasing, since later ones
    /// would not arrive either. Returns whether the visiting thread must be woken.
    pub(super) fn not_received(&mut self, now: Instant, call: Ticket) -> bool {
        self.limit = 0;
        let lost = self.kept.iter().filter(|kept| kept.sent_for == Some(call));
        lost.for_each(|kept| kept.memory.set_back());
        self.is_due_early(now)
    }

    /// Whether a visit is due before the one that the thread knows of.
    fn is_due_early(&mut self, now: Instant) -> bool {
        let due = self.due(now);
        let is_early = due.is_some_and(|due| self.visit.is_none_or(|visit| due < visit));
        if is_early {
            self.visit = due;
        }
        is_early
    }

    /// Returns the segments to free, and the time of the next visit.
    pub(super) fn visit(&mut self, now: Instant) -> (Vec<SegmentMemory>, Option<Instant>) {
        let first_kept = self.first_kept();
        let mut index = 0;
        let is_removed = |kept: &mut Kept| {
            let is_too_much = index < first_kept;
            index += 1;
            kept.is_free() && (is_too_much || kept.since + limits::SEGMENT_IDLE <= now)
        };
        let removed = self.kept.extract_if(.., is_removed).map(|kept| kept.memory).collect();
        self.visit = self.due(now);
        (removed, self.visit)
    }

    /// Ends leasing.
    pub(super) fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closed;
        }
    }

    /// Ends leasing and visits. Returns the kept segments.
    pub(super) fn end(&mut self) -> Vec<SegmentMemory> {
        self.phase = Phase::Ended;
        std::mem::take(&mut self.kept).into_iter().map(|kept| kept.memory).collect()
    }

    #[cfg(test)]
    pub(super) fn n_kept(&self) -> usize {
        self.kept.len()
    }

    /// The time at which a visit is due.
    fn due(&self, now: Instant) -> Option<Instant> {
        let has_too_much = self.kept[..self.first_kept()].iter().any(Kept::is_free);
        if has_too_much { Some(now) } else { self.kept.iter().map(|kept| kept.due(now)).min() }
    }

    /// The index of the first kept segment that is within the limits. Free ones before it are to go.
    fn first_kept(&self) -> usize {
        if self.phase != Phase::Open {
            return self.kept.len();
        }
        let (mut n_kept, mut bytes) = (0, 0_usize);
        for (index, kept) in self.kept.iter().enumerate().rev() {
            if kept.is_free() {
                n_kept += 1;
                bytes = bytes.saturating_add(kept.memory.backed_bytes());
            }
            if n_kept > limits::KEPT_SEGMENTS || bytes > limits::KEPT_SEGMENT_BYTES {
                return index + 1;
            }
        }
        0
    }
}
