//! Which thread reads from a worker: at any time one thread at most, and some thread soon whenever something is to come.
//!
//! The thread that holds the source is the reader. The source is taken and given back under the pool's lock. Where there is a
//! lane, any thread that has the lock takes out what lies there
//! ([`lane_reader`](super::worker_link::lane_reader)), and the stream is the pool thread's: then the reader is the thread that
//! sleeps until there is more.
//!
//! ```text
//!           a waiting thread takes           a waiting thread takes
//!   Unread ──────────────────────▶ Waiter ◀────────────────────────── Background
//!     │  ◀──────────────────────────  ▲ gives back                      ▲   │
//!     └────── unread for PICK_UP, or a listener ────────────────────────┘   └──▶ Unread, once nothing is to come
//! ```
//!
//! | reader             | reads                                              | takes over                                          |
//! |--------------------|----------------------------------------------------|-----------------------------------------------------|
//! | a *waiting thread* | the worker that has the call that it waits for     | unread workers, and from the background; beside it  |
//! |                    |                                                    | workers that are unread for `limits::NEGLECTED`     |
//! | the *background*   | in the pool thread, with poll(2)                   | workers that are unread for `limits::PICK_UP`; at   |
//! |                    |                                                    | once those with a listener (callback, waker, `wait`) |
//!
//! **Why no answer lies unread.** A worker with calls and without a reader has `unread_since`, and the pool thread sleeps no
//! longer than until `PICK_UP` after it. A dispatch that makes a worker so, or a reader that leaves, sees under that lock until
//! when the pool thread sleeps, and wakes it if that is later. So the pool thread itself reads any answer within `PICK_UP`,
//! whatever waiting threads do. (A waker that blocks in the pool thread would delay it; no waker may block.) Everything else only
//! makes it faster:
//!
//! * a waiting thread that leaves while others are parked on calls of that worker unparks one of them, which then reads itself;
//! * so does a dispatch of a call that a thread is parked on, if its worker has no reader;
//! * answers are acted upon before their reader gives the source back, so a worker that gets its next calls by that keeps the
//!   background as its reader.
//!
//! **Why no reader oversleeps on a lane.** A waiting thread sleeps until the answer that it wants, by the word in the page from
//! which the worker knows that ([`sleep`](crate::transport::lane::sleep)). It may want a later answer than its own, if calls are
//! short. What ends its call in another way disturbs the lane: another thread that took the answer out, a cancel, a take-back, a
//! death, the end of the pool. The pool thread sleeps in poll with the word of the lane, and is woken over the stream. If a call
//! runs long behind answers that no thread was woken for, the pool thread looks when it takes back the calls behind it.
//!
//! **Why no reader oversleeps on a stream.** A waiting thread blocks in a plain read only while its call runs, and without a
//! deadline. A call that runs can end by its answer (which the thread reads), by the death or the killing of its worker, and by
//! the end of the pool, which kills the worker. In the last two the pool shuts its own end of the channel, at which the read
//! returns, also when a child of the worker holds the other end. In every other case the thread polls the channel together with
//! a descriptor of its own. What takes its call away writes to that: a cancel, a take-back, the end of the pool. The descriptor
//! is noted with the call, and only its owner removes that note: another thread that waits for the call may poll by then, where
//! the call lies now.
//!
//! Modelled with loom in `model.rs`.

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Unread,
    Waiter,
    Background,
}

/// Which thread reads from one worker. `T` is the source that it reads from.
#[derive(Debug)]
pub(super) struct Readership<T> {
    /// Gone while a thread reads.
    inbox: Option<T>,
    reader: Reader,
    /// Since when no thread reads, if the reader is `Unread`.
    unread_since: Instant,
    /// Whether the pool thread wants the source for good, and is to be woken when it is back.
    is_wanted: bool,
}

impl<T> Readership<T> {
    /// For a worker that was just started: its first messages are read in the background.
    pub(super) fn new(now: Instant, inbox: T) -> Self {
        Self { inbox: Some(inbox), reader: Reader::Background, unread_since: now, is_wanted: false }
    }

    /// For a thread that waits for a call of the worker. `None` if another one is reading.
    pub(super) fn take_as_waiter(&mut self) -> Option<T> {
        let inbox = self.inbox.take()?;
        self.reader = Reader::Waiter;
        Some(inbox)
    }

    /// For the pool thread, if it is the reader.
    pub(super) fn take_as_background(&mut self) -> Option<T> {
        if self.is_background() { self.inbox.take() } else { None }
    }

    /// For the pool thread, when the worker is dead. If another thread has the source, the pool thread is woken when it is back.
    pub(super) fn take_for_good(&mut self) -> Option<T> {
        self.is_wanted = self.inbox.is_none();
        self.inbox.take()
    }

    /// The reader has read. Returns whether the pool thread waits for that.
    #[must_use]
    pub(super) fn give_back(&mut self, now: Instant, inbox: T) -> bool {
        self.inbox = Some(inbox);
        if self.reader == Reader::Waiter {
            self.reader = Reader::Unread;
            self.unread_since = now;
        }
        self.is_wanted
    }

    /// Leaves the worker to a waiting thread: it had nothing to answer and was given a call, for which the submitting thread may
    /// come and wait; or a parked thread is to read rather than the pool thread. A thread that reads right now stays the reader:
    /// then an answer has brought the worker its next call, and perhaps no thread comes.
    pub(super) fn leave_unread(&mut self, now: Instant) {
        if self.inbox.is_some() {
            self.reader = Reader::Unread;
            self.unread_since = now;
        }
    }

    /// Has the pool thread read from now on, if no thread does. Returns whether that is a change.
    pub(super) fn read_in_background(&mut self) -> bool {
        let is_change = self.reader == Reader::Unread;
        if is_change {
            self.reader = Reader::Background;
        }
        is_change
    }

    /// The worker has nothing more to answer: the pool thread need not read.
    pub(super) fn rest(&mut self) {
        if self.reader == Reader::Background {
            self.reader = Reader::Unread;
        }
    }

    pub(super) fn is_background(&self) -> bool {
        self.reader == Reader::Background
    }

    pub(super) fn is_waiter(&self) -> bool {
        self.reader == Reader::Waiter
    }

    /// Since when no thread reads, if none does.
    pub(super) fn unread_since(&self) -> Option<Instant> {
        (self.reader == Reader::Unread).then_some(self.unread_since)
    }
}
