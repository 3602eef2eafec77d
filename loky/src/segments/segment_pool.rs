//! Which segments there are, and what becomes of one that comes back. Decides only: what is to be unmapped is handed out.

use std::cmp::Reverse;
use std::time::Instant;

use crate::id::Ticket;
use crate::limits;
use crate::sys::segment_memory::SegmentMemory;

/// Those that are not lent, and how many are.
#[derive(Debug)]
pub(super) struct SegmentPool {
    /// In the order in which they were given back.
    kept: Vec<Kept>,
    n_lent: usize,
    limit: usize,
    phase: Phase,
    /// When somebody comes, as far as he knows.
    visit: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// None are lent any more.
    Closed,
    /// Nobody comes any more either.
    Ended,
}

#[derive(Debug)]
struct Kept {
    carrier: SegmentMemory,
    since: Instant,
    /// The call with whose result it went out.
    sent_for: Option<Ticket>,
}

impl Kept {
    /// Whether nobody reads it any more.
    fn is_free(&self) -> bool {
        !self.carrier.is_out()
    }

    /// When it is to be looked at. One that is still read is looked at ever more seldom, the longer that takes.
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

    /// Lends the one that fits best a value of this size, of those the one that was used last; or, if there is none, a new one,
    /// which is to be made. `None` if there can be no more.
    pub(super) fn lend(&mut self, class: usize) -> Option<Option<SegmentMemory>> {
        let still_read = self.kept.iter().filter(|kept| !kept.is_free()).count();
        if self.phase != Phase::Open || self.n_lent + still_read >= self.limit {
            return None;
        }
        self.n_lent += 1;
        let sizes = class..=class.saturating_mul(limits::SEGMENT_EXCESS);
        let fits = |kept: &Kept| sizes.contains(&kept.carrier.capacity()) && kept.is_free();
        let fitting = self.kept.iter().enumerate().filter(|(_, kept)| fits(kept));
        let best = fitting.min_by_key(|(place, kept)| (kept.carrier.capacity(), Reverse(*place)));
        let best = best.map(|(place, _)| place);
        Some(best.map(|place| self.kept.remove(place).carrier))
    }

    /// One that was lent is not there any more.
    pub(super) fn lost(&mut self) {
        self.n_lent -= 1;
    }

    /// One that was lent comes back. Whether somebody is to come who would not come in time, or, where nobody would, the segment.
    pub(super) fn give_back(
        &mut self,
        now: Instant,
        carrier: SegmentMemory,
        sent_for: Option<Ticket>,
    ) -> Result<bool, SegmentMemory> {
        self.n_lent -= 1;
        if self.phase == Phase::Ended {
            return Err(carrier);
        }
        self.kept.push(Kept { carrier, since: now, sent_for });
        Ok(self.is_due_early(now))
    }

    /// Those that were sent for this call have not come through: nobody will say that he is through with them. No more are lent,
    /// which would not come through either. As [`give_back`](Self::give_back), whether somebody is to come.
    pub(super) fn not_received(&mut self, now: Instant, call: Ticket) -> bool {
        self.limit = 0;
        let theirs = self.kept.iter().filter(|kept| kept.sent_for == Some(call));
        theirs.for_each(|kept| kept.carrier.set_back());
        self.is_due_early(now)
    }

    /// Whether somebody is to come who would not come in time.
    fn is_due_early(&mut self, now: Instant) -> bool {
        let due = self.due(now);
        let is_early = due.is_some_and(|due| self.visit.is_none_or(|visit| due < visit));
        if is_early {
            self.visit = due;
        }
        is_early
    }

    /// Somebody has come: what he is to take away, and when he comes next.
    pub(super) fn visit(&mut self, now: Instant) -> (Vec<SegmentMemory>, Option<Instant>) {
        let first_kept = self.first_kept();
        let mut place = 0;
        let is_taken = |kept: &mut Kept| {
            let is_too_much = place < first_kept;
            place += 1;
            kept.is_free() && (is_too_much || kept.since + limits::SEGMENT_IDLE <= now)
        };
        let taken = self.kept.extract_if(.., is_taken).map(|kept| kept.carrier).collect();
        self.visit = self.due(now);
        (taken, self.visit)
    }

    /// None are lent any more.
    pub(super) fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closed;
        }
    }

    /// Nothing is kept any more: what was.
    pub(super) fn end(&mut self) -> Vec<SegmentMemory> {
        self.phase = Phase::Ended;
        std::mem::take(&mut self.kept).into_iter().map(|kept| kept.carrier).collect()
    }

    #[cfg(test)]
    pub(super) fn n_kept(&self) -> usize {
        self.kept.len()
    }

    /// When somebody is to come.
    fn due(&self, now: Instant) -> Option<Instant> {
        let has_too_much = self.kept[..self.first_kept()].iter().any(Kept::is_free);
        if has_too_much { Some(now) } else { self.kept.iter().map(|kept| kept.due(now)).min() }
    }

    /// What is free and lies before this place is too much to be kept.
    fn first_kept(&self) -> usize {
        if self.phase != Phase::Open {
            return self.kept.len();
        }
        let (mut n_kept, mut bytes) = (0, 0_usize);
        for (place, kept) in self.kept.iter().enumerate().rev() {
            if kept.is_free() {
                n_kept += 1;
                bytes = bytes.saturating_add(kept.carrier.backed_bytes());
            }
            if n_kept > limits::KEPT_SEGMENTS || bytes > limits::KEPT_SEGMENT_BYTES {
                return place + 1;
            }
        }
        0
    }
}
