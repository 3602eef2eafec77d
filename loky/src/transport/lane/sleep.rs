//! Who sleeps, and who has to be woken: a word for each side.
//!
//! Each side makes known what it has done, then looks whether the other side sleeps; each side makes known that it sleeps, then
//! looks whether there is something to do. With a fence of sequential consistency between the two steps, on both sides, one of
//! them sees the other: either who has done something finds a sleeper, or who wants to sleep finds what was done. So no wake-up
//! is lost, and nobody is woken who does not sleep.
//!
//! ```text
//!            the worker sleeps                             the pool's reader sleeps
//!   Awake ──────────────────────▶ Asleep        Awake ──────────────▶ OnFutex | InPoll, with the number that it wants
//!     ▲   has given a call, or an   │             ▲    has answered that number, or has nothing more to do   │
//!     └── order, and wakes: the pool┘             └── and wakes: the worker ─────────────────────────────────┘
//! ```
//!
//! | who            | makes known                | fence | then looks at                    |
//! |----------------|----------------------------|-------|----------------------------------|
//! | the pool       | a slot is `Queued`         |   ✓   | the worker's word                |
//! | the worker     | `Asleep`                   |   ✓   | the next slot, and the orders    |
//! | the worker     | a slot is `Done` or `Free` |   ✓   | the pool's word                  |
//! | the pool       | `OnFutex`, `InPoll`        |   ✓   | the slot of the number it wants  |
//!
//! The pool's reader says which answer it wants: a worker that has more to do does not wake it for an earlier one. Whoever finds
//! the other side asleep sets its word to `Awake` first and wakes it then, so it is woken once. A sleeper on the futex falls
//! asleep only while its word still says so, which the kernel looks at; a sleeper in poll is woken by bytes, which stay.
//!
//! A task can overwrite both words. Whatever is none of these values counts as asleep, and is woken in every way (zeros are, and
//! random numbers), so the price of that is a system call; only who writes just `Awake` over the word of a sleeper is not woken, until the pool's thread
//! looks after it ([`limits::LANE_WATCH`](crate::limits::LANE_WATCH)).
//!
//! Modelled with loom in `model.rs`, over this very source.

use super::fence::fence;
use crate::transport::slots::Word;

/// Where a reader of the pool was found asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SleepMode {
    /// It sleeps on the word.
    Futex,
    /// It waits for the stream, and for other things.
    Poll,
    /// A task has written over the word.
    Unknown,
}

// Numbers that nothing else is likely to leave behind.
const AWAKE: u32 = 0x656b_6177;

/// The low half of the worker's word while it sleeps.
pub(crate) const ASLEEP: u32 = 0x7065_656c;

/// The low half of the pool's word while its reader sleeps on it.
pub(crate) const ON_FUTEX: u32 = 0x7875_7466;

/// The low half of the pool's word while its reader sleeps in poll.
pub(crate) const IN_POLL: u32 = 0x6c6c_6f70;

/// The half that the kernel compares; above it stands the number that is wanted.
fn low(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).expect("cut to it")
}

/// The worker's word.
#[derive(Debug)]
pub(crate) struct WorkerSleep<'a, W>(pub(crate) &'a W);

impl<W: Word> WorkerSleep<'_, W> {
    /// The worker is about to sleep: then it looks once more whether there is something to do.
    pub(crate) fn fall_asleep(&self) {
        self.0.store(u64::from(ASLEEP));
        fence();
    }

    /// The worker does not sleep.
    pub(crate) fn wake_up(&self) {
        self.0.store(u64::from(AWAKE));
    }

    /// The pool has made known what there is to do: whether the worker is to be woken.
    #[must_use]
    pub(crate) fn is_to_be_woken(&self) -> bool {
        fence();
        if low(self.0.load()) == AWAKE {
            return false;
        }
        self.wake_up();
        true
    }
}

/// The word of whoever reads for the pool.
#[derive(Debug)]
pub(crate) struct PoolSleep<'a, W>(pub(crate) &'a W);

impl<W: Word> PoolSleep<'_, W> {
    /// The reader is about to sleep until the call with this number is answered: then it looks once more whether it is.
    pub(crate) fn fall_asleep(&self, bed: u32, wanted: u64) {
        self.0.store(wanted << 32 | u64::from(bed));
        fence();
    }

    /// The reader does not sleep.
    pub(crate) fn wake_up(&self) {
        self.0.store(u64::from(AWAKE));
    }

    /// It was made known that a reader is not to sleep on the futex: it is woken after this.
    ///
    /// By now another one may be there, in poll, which is woken in another way, and goes on to want what it wants.
    pub(crate) fn wake_futex(&self) {
        fence();
        let word = self.0.load();
        if low(word) != IN_POLL {
            // If it is another one by now the reader has woken up, or has seen what was made known.
            self.0.swap_if(word, u64::from(AWAKE));
        }
    }

    /// The worker has made known that it is through with all calls up to this number: whom it is to wake.
    #[must_use]
    pub(crate) fn to_be_woken(&self, finished: u64) -> Option<SleepMode> {
        fence();
        let word = self.0.load();
        let bed = match low(word) {
            AWAKE => return None,
            ON_FUTEX => SleepMode::Futex,
            IN_POLL => SleepMode::Poll,
            _ => SleepMode::Unknown,
        };
        if bed != SleepMode::Unknown && !has_come_to(finished, word >> 32) {
            return None;
        }
        // If it is another one by now the reader has woken up, or was woken.
        (self.0.swap_if(word, u64::from(AWAKE)) == word).then_some(bed)
    }
}

/// Whether `finished` is `wanted` or comes after it. Only the low halves are known; what lies with one worker at a time is far
/// less than what they can count.
fn has_come_to(finished: u64, wanted: u64) -> bool {
    low(finished).wrapping_sub(low(wanted)) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_round() {
        let top = u64::from(u32::MAX);
        assert!(has_come_to(5, 5) && has_come_to(6, 5) && !has_come_to(4, 5));
        assert!(has_come_to(top + 2, top) && !has_come_to(top, top + 1));
        assert!(has_come_to(1 << 40 | 3, 3), "the high half is not known");
    }
}
