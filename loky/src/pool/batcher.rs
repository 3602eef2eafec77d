//! Decides which calls of `submit` travel together: the batch that later calls may join, and the rate of submissions.
//!
//! A call joins the batch at the end of the queue: so where a worker would find one call behind the other, many go to it
//! together. That takes a queue, calls that are known to be short, and the task of the batch: the order of the calls stays.
//!
//! A call for which a worker is idle is dispatched at once. The exception is a *burst*: calls in close succession that no
//! thread waits for. Where workers keep up with a burst there would never be a queue, and each call would wake a worker that has just
//! gone to sleep, which takes longer than running many calls. So the dispatch of a batch of these is *deferred*: until a call
//! comes that finds it full, until a thread asks for a call, or until the pool thread looks, [`limits::PICK_UP`] later
//! at most. While the pool thread does something that may take longer, nothing is deferred. What a cancel has taken back from
//! a worker is likewise deferred, so that no other worker begins it while it is being cancelled.
//!
//! Pure: the core tells the batcher what happens, and asks it what is to be done.

use std::time::Instant;

use crate::id::CallId;
use crate::limits;

/// How a call that may travel with others is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// By itself.
    Alone,
    /// As a batch that others may join, to be dispatched when a worker has room for it.
    Batch,
    /// As a batch whose dispatch is deferred.
    Deferred,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Batcher {
    /// The batch that calls may join, as long as it is the last in the queue.
    open: Option<CallId>,
    rate: SubmitRate,
    /// Whether the scheduler may not have been asked yet which workers are to have the last calls.
    is_deferring: bool,
}

impl Batcher {
    /// A call was submitted that may travel with others as far as its arguments go.
    pub(super) fn note_submitted(&mut self, now: Instant) {
        self.rate.note(now);
    }

    /// A call has joined the open batch.
    pub(super) fn note_joined(&mut self) {
        self.rate.note_untimed();
    }

    /// A thread waits for a call, or a listener is to be told of its outcome: the burst is over.
    pub(super) fn note_waited_for(&mut self) {
        self.rate.end();
    }

    /// How a short call is taken in that found no batch to join.
    pub(super) fn admit(&mut self, is_any_queued: bool, is_pool_thread_busy: bool) -> Admission {
        if self.rate.is_burst() && !is_pool_thread_busy {
            self.is_deferring = true;
            Admission::Deferred
        } else if is_any_queued {
            Admission::Batch
        } else {
            Admission::Alone
        }
    }

    /// This batch is the one that calls may join.
    pub(super) fn open(&mut self, batch: CallId) {
        self.open = Some(batch);
    }

    /// The batch that calls may join, given the last call in the queue.
    pub(super) fn open_batch(&mut self, last_queued: Option<CallId>) -> Option<CallId> {
        self.open = self.open.filter(|open| last_queued == Some(*open));
        self.open
    }

    /// Defers the dispatch of the queued calls until a thread looks.
    pub(super) fn defer(&mut self) {
        self.is_deferring = true;
    }

    pub(super) fn is_deferring(&self) -> bool {
        self.is_deferring
    }

    /// Ends the deferral. Returns whether there was one: then the scheduler is to advance.
    #[must_use]
    pub(super) fn end_deferral(&mut self) -> bool {
        std::mem::take(&mut self.is_deferring)
    }
}

/// In which succession calls come.
#[derive(Debug, Default)]
struct SubmitRate {
    /// How many have come in close succession.
    calls: u32,
    /// How many of these since the clock was read.
    untimed: u32,
    last: Option<Instant>,
}

impl SubmitRate {
    fn note(&mut self, now: Instant) {
        let gap = limits::BURST_GAP * (self.untimed + 1);
        if self.last.is_none_or(|last| now.saturating_duration_since(last) > gap) {
            self.calls = 0;
        }
        (self.calls, self.untimed, self.last) = (self.calls.saturating_add(1), 0, Some(now));
    }

    fn note_untimed(&mut self) {
        (self.calls, self.untimed) = (self.calls.saturating_add(1), self.untimed.saturating_add(1));
    }

    fn end(&mut self) {
        self.calls = 0;
    }

    fn is_burst(&self) -> bool {
        self.calls >= limits::BURST_CALLS
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn calls_in_close_succession_are_a_burst_until_a_gap_or_a_waiter() {
        let mut now = clock::now();
        let mut rate = SubmitRate::default();
        let mut calls = |rate: &mut SubmitRate, count: u32, gap: Duration| {
            for _ in 0..count {
                now += gap;
                rate.note(now);
            }
        };
        calls(&mut rate, limits::BURST_CALLS - 1, limits::BURST_GAP);
        assert!(!rate.is_burst());
        calls(&mut rate, 1, limits::BURST_GAP);
        assert!(rate.is_burst());
        // The clock is not read for calls that join, which take their time nevertheless.
        (0..99).for_each(|_| rate.note_untimed());
        calls(&mut rate, 1, limits::BURST_GAP * 100);
        assert!(rate.is_burst());
        calls(&mut rate, 1, limits::BURST_GAP * 2);
        assert!(!rate.is_burst(), "a gap");
        calls(&mut rate, limits::BURST_CALLS, Duration::ZERO);
        assert!(rate.is_burst());
        rate.end();
        calls(&mut rate, limits::BURST_CALLS - 1, Duration::ZERO);
        assert!(!rate.is_burst());
    }

    #[test]
    fn burst_defers_unless_the_pool_thread_is_busy() {
        let now = clock::now();
        let mut batcher = Batcher::default();
        assert_eq!(batcher.admit(false, false), Admission::Alone);
        assert_eq!(batcher.admit(true, false), Admission::Batch);
        assert!(!batcher.is_deferring());
        (0..limits::BURST_CALLS).for_each(|_| batcher.note_submitted(now));
        assert_eq!(batcher.admit(true, true), Admission::Batch);
        assert_eq!(batcher.admit(false, true), Admission::Alone);
        assert!(!batcher.is_deferring());
        assert_eq!(batcher.admit(false, false), Admission::Deferred);
        assert!(batcher.end_deferral() && !batcher.end_deferral());
        batcher.note_waited_for();
        assert_eq!(batcher.admit(false, false), Admission::Alone);
    }

    #[test]
    fn batch_is_open_only_while_it_is_last_in_the_queue() {
        let (batch, other) = (CallId::nth(1), CallId::nth(2));
        let mut batcher = Batcher::default();
        assert_eq!(batcher.open_batch(Some(batch)), None);
        batcher.open(batch);
        assert_eq!(batcher.open_batch(Some(batch)), Some(batch));
        assert_eq!(batcher.open_batch(Some(other)), None);
        assert_eq!(batcher.open_batch(Some(batch)), None, "once closed it stays so");
    }
}
