//! The sleep words: which side sleeps, and which side wakes the other.
//!
//! ```text
//!            1. the worker is about to sleep                1. the reader is about to sleep
//!   Awake ──────────────────────────────▶ Asleep    Awake ────────────────────▶ OnFutex | InPoll, with the sequence it wants
//!     ▲                                     │         ▲                                     │
//!     └────── 3. the pool wakes it ─────────┘         └── 3. the worker answers that call ──┘
//! ```
//!
//! The pool's *reader* is the one thread that sleeps until the worker answers. It says which call it wants, so a worker with
//! more calls does not wake it for an earlier one.
//!
//! | side       | first it writes            | fence | then it reads                        |
//! |------------|----------------------------|-------|--------------------------------------|
//! | the pool   | a slot: Queued             |   ✓   | the worker's sleep word              |
//! | the worker | its sleep word: Asleep     |   ✓   | the next slot, and the count of orders |
//! | the worker | a slot: Done or Free       |   ✓   | the reader's sleep word              |
//! | the reader | its sleep word: OnFutex, InPoll |   ✓   | the slot of the call that it wants |
//!
//! **No wake-up is lost.** Take a side that has work for a sleeper. It writes the work (W1), passes its fence, and reads the sleep
//! word (R1). The sleeper writes the sleep word (W2), passes its fence, and reads the work (R2). Both fences are sequentially
//! consistent, so one comes first. If the first is the fence behind W1, R2 sees W1, and the sleeper does not sleep. If it is the
//! fence behind W2, R1 sees W2, and the sleeper is woken.
//!
//! **Each sleeper is woken once.** The waking side first sets the word to Awake, then wakes. A sleeper on the futex falls asleep
//! only while the kernel finds its value in the word. A sleeper in poll is woken by bytes on the stream, which stay until it
//! reads them.
//!
//! **A task may overwrite both words.** A value that is none of these counts as asleep and is woken in every way, so the price is
//! a system call. Only a task that writes exactly `Awake` over the word of a sleeper delays it, until the pool thread looks after
//! the lane ([`limits::LANE_WATCH`](crate::limits::LANE_WATCH)).
//!
//! `sleep_model.rs` checks this very source with loom.

use super::fence::fence;
use crate::transport::words::Word;

/// How the pool's reader sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SleepMode {
    /// On the word itself.
    Futex,
    /// In poll(2), for the stream and other descriptors.
    Poll,
    /// A task has written over the word.
    Unknown,
}

// Numbers that a stray write hardly produces.
const AWAKE: u32 = 0x656b_6177;

/// The low half of the worker's word while it sleeps.
pub(crate) const ASLEEP: u32 = 0x7065_656c;

/// The low half of the pool's word while its reader sleeps on it.
pub(crate) const ON_FUTEX: u32 = 0x7875_7466;

/// The low half of the pool's word while its reader sleeps in poll.
pub(crate) const IN_POLL: u32 = 0x6c6c_6f70;

/// Returns the half that the kernel compares. In the other half is the sequence that the reader wants.
fn low(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).expect("cut to it")
}

/// The worker's sleep word.
#[derive(Debug)]
pub(crate) struct WorkerSleep<'a, W>(pub(crate) &'a W);

impl<W: Word> WorkerSleep<'_, W> {
    /// Step 1: the worker is about to sleep. It must look for work once more behind this.
    pub(crate) fn begin_sleep(&self) {
        self.0.store(u64::from(ASLEEP));
        fence();
    }

    /// The worker does not sleep any more.
    pub(crate) fn end_sleep(&self) {
        self.0.store(u64::from(AWAKE));
    }

    /// Step 3, behind a call in a slot: returns whether the pool is to wake the worker.
    #[must_use]
    pub(crate) fn take_sleeper(&self) -> bool {
        fence();
        if low(self.0.load()) == AWAKE {
            return false;
        }
        self.end_sleep();
        true
    }
}

/// The sleep word of the pool's reader.
#[derive(Debug)]
pub(crate) struct PoolSleep<'a, W>(pub(crate) &'a W);

impl<W: Word> PoolSleep<'_, W> {
    /// Step 1: the reader is about to sleep until the call with the sequence `wanted` is answered. It must look for that answer
    /// once more behind this. `mode` is [`ON_FUTEX`] or [`IN_POLL`].
    pub(crate) fn begin_sleep(&self, mode: u32, wanted: u64) {
        self.0.store(wanted << 32 | u64::from(mode));
        fence();
    }

    /// The reader does not sleep any more.
    pub(crate) fn end_sleep(&self) {
        self.0.store(u64::from(AWAKE));
    }

    /// Takes back the sleep of a reader on the futex, which is woken behind this whatever the worker does. The reason to come back
    /// must be written before.
    ///
    /// Another reader may sleep in poll by now. It is not concerned, and still wants its answer.
    pub(crate) fn wake_futex(&self) {
        fence();
        let word = self.0.load();
        if low(word) != IN_POLL {
            // If the word has changed, the reader is awake, or has seen the reason.
            self.0.swap_if(word, u64::from(AWAKE));
        }
    }

    /// Step 3, behind the answer of the call with the sequence `finished`: returns how the reader sleeps that the worker is to wake.
    #[must_use]
    pub(crate) fn take_sleeper(&self, finished: u64) -> Option<SleepMode> {
        fence();
        let word = self.0.load();
        let mode = match low(word) {
            AWAKE => return None,
            ON_FUTEX => SleepMode::Futex,
            IN_POLL => SleepMode::Poll,
            _ => SleepMode::Unknown,
        };
        if mode != SleepMode::Unknown && !has_come_to(finished, word >> 32) {
            return None;
        }
        // If the word has changed, the reader is awake, or was woken.
        (self.0.swap_if(word, u64::from(AWAKE)) == word).then_some(mode)
    }
}

/// Returns whether `finished` is `wanted` or comes after it. Only their low halves are compared. One worker has far fewer calls at a
/// time than these can count.
fn has_come_to(finished: u64, wanted: u64) -> bool {
    low(finished).wrapping_sub(low(wanted)) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_compare_across_wrap() {
        let top = u64::from(u32::MAX);
        assert!(has_come_to(5, 5) && has_come_to(6, 5) && !has_come_to(4, 5));
        assert!(has_come_to(top + 2, top) && !has_come_to(top, top + 1));
        assert!(has_come_to(1 << 40 | 3, 3), "the high half is not known");
    }
}
