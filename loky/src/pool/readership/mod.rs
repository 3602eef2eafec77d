//! Who reads from a worker: at any time one thread at most, and somebody soon whenever there is something to come.
//!
//! Whoever holds the source is the reader; it is taken and given back under the pool's lock. Where there are lanes, anybody who
//! has the lock takes out what lies there ([`lane_reader`](super::lane_reader)), and the streams are the pool's thread's: then to be the
//! reader is to be the one who sleeps until there is more.
//!
//! ```text
//!              a waiter takes                a waiter takes
//!   Nobody ──────────────────▶ Waiter ◀────────────────────── Background
//!     │  ◀──────────────────────   ▲ gives back                  ▲   │
//!     └────── unread for PICK_UP, or attended ───────────────────┘   └──▶ Nobody, once nothing is to come
//! ```
//!
//! | who          | reads                                                   | takes over                                           |
//! |--------------|---------------------------------------------------------|------------------------------------------------------|
//! | *a waiter*   | the worker that has the call whose outcome it waits for | from nobody and from the background; along with it   |
//! |              |                                                         | what nobody has read for `limits::NEGLECTED`         |
//! | *background* | in the pool's own thread, with poll(2)                  | what nobody has read for `limits::PICK_UP`; at once  |
//! |              |                                                         | what is attended (a callback, a waker, `wait`)       |
//!
//! **Why no answer lies unread.** A worker with calls and without a reader has `unread_since`, and the pool's thread sleeps
//! no longer than until `PICK_UP` after it: whoever makes a worker so (a dispatch, a reader that leaves) sees under the same
//! lock until when the thread sleeps, and wakes it if that is later. So any answer is read within `PICK_UP` by the thread
//! itself, whatever waiters do (but for a waker that blocks in that thread, which no waker may). Everything else is only
//! quicker:
//!
//! * a waiter that leaves while others are parked on calls of the same worker nudges one of them, which then reads itself;
//! * so does a dispatch of a call that somebody is parked on, if its worker has no reader;
//! * answers are acted upon before their reader gives the inbox back, so a worker that is given its next calls by that keeps
//!   the background as its reader.
//!
//! **Why no reader sleeps on, on a lane.** A waiter sleeps until an answer that it was said to want, with the word by which the
//! worker knows of that ([`sleep`](crate::transport::lane::sleep)); it may want a later one than its own, if calls are short. Whatever
//! ends its call in another way (somebody else who took the answer out, a cancel, a take-back, a death, the end of the pool)
//! disturbs it. The pool's thread sleeps in poll with the same word, and is knocked for over the stream. If a call runs long
//! behind answers that nobody was woken for, the pool's thread looks when it takes back what lies behind that.
//!
//! **Why no reader sleeps on, on a stream.** A waiter blocks in a plain read only while its call runs, and without a deadline. A call that
//! runs can end in these ways: by its answer (which it reads), by the death or the killing of its worker, and by the end of
//! the pool, which kills the worker. In the last two the pool shuts its own end of the channel, at which the read
//! returns, also when a child of the worker holds the other end. In every other case the waiter polls the channel
//! together with a descriptor of its own, which is written to by whatever takes its call away: a cancel, a take-back, the
//! end of the pool. The descriptor is noted with the call, and only its owner takes that note away: another thread that waits
//! for the same call may poll by then, where the call lies now.
//!
//! Modelled with loom in `model.rs`.

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Nobody,
    Waiter,
    Background,
}

/// Who reads from one worker. `T` is what is read from.
#[derive(Debug)]
pub(super) struct Readership<T> {
    /// Gone while somebody reads.
    inbox: Option<T>,
    reader: Reader,
    /// Since when there was nobody, if there is nobody.
    unread_since: Instant,
    /// Whether the pool's thread wants the inbox for good, and is to be told when it is back.
    is_wanted: bool,
}

impl<T> Readership<T> {
    /// Of a worker that has just been started: what it says first is read in the background.
    pub(super) fn new(now: Instant, inbox: T) -> Self {
        Self { inbox: Some(inbox), reader: Reader::Background, unread_since: now, is_wanted: false }
    }

    /// For a thread that waits for a call of the worker. `None` if another one is reading.
    pub(super) fn take_as_waiter(&mut self) -> Option<T> {
        let inbox = self.inbox.take()?;
        self.reader = Reader::Waiter;
        Some(inbox)
    }

    /// For the pool's thread, if it is the reader.
    pub(super) fn take_as_background(&mut self) -> Option<T> {
        if self.is_background() { self.inbox.take() } else { None }
    }

    /// For the pool's thread, when the worker is dead. If it is not there, the thread is woken when it is.
    pub(super) fn take_for_good(&mut self) -> Option<T> {
        self.is_wanted = self.inbox.is_none();
        self.inbox.take()
    }

    /// The reader has read. True if the pool's thread waits for that.
    #[must_use]
    pub(super) fn give_back(&mut self, now: Instant, inbox: T) -> bool {
        self.inbox = Some(inbox);
        if self.reader == Reader::Waiter {
            self.reader = Reader::Nobody;
            self.unread_since = now;
        }
        self.is_wanted
    }

    /// The worker, which had nothing to answer, was given a call, which whoever submitted it may come and wait for; or a
    /// waiter is to read rather than the pool's thread. Whoever is reading right now stays the reader: then it is an answer
    /// that has brought the worker its next call, and nobody may come.
    pub(super) fn leave_unread(&mut self, now: Instant) {
        if self.inbox.is_some() {
            self.reader = Reader::Nobody;
            self.unread_since = now;
        }
    }

    /// Nobody reads, and so does the pool's thread from now on. True if that is a change.
    pub(super) fn read_in_background(&mut self) -> bool {
        let is_change = self.reader == Reader::Nobody;
        if is_change {
            self.reader = Reader::Background;
        }
        is_change
    }

    /// The worker has nothing more to answer: the pool's thread need not listen.
    pub(super) fn rest(&mut self) {
        if self.reader == Reader::Background {
            self.reader = Reader::Nobody;
        }
    }

    pub(super) fn is_background(&self) -> bool {
        self.reader == Reader::Background
    }

    pub(super) fn is_waiter(&self) -> bool {
        self.reader == Reader::Waiter
    }

    /// Since when nobody reads, if nobody does.
    pub(super) fn unread_since(&self) -> Option<Instant> {
        (self.reader == Reader::Nobody).then_some(self.unread_since)
    }
}
