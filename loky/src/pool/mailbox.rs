//! What the pool thread is asked to do, and whether it must be woken for that.
//!
//! Other threads post [`Job`]s under the pool's lock. The pool thread takes them at the start of its round, and notes here how
//! long it is going to sleep. Each change of the pool asks [`Mailbox::note_change`] whether that is too long. Waking itself is
//! a system call, which is made after the lock is released ([`effects`](super::effects)).

use std::time::Instant;

use crate::codec::EncodedValue;
use crate::id::WorkerId;
use crate::limits;
use crate::observer::Retirement;

/// Work that may block, and is therefore left to the pool thread.
#[derive(Debug)]
pub(super) enum Job {
    Start {
        worker: WorkerId,
        index: usize,
    },
    /// Decode what the initializer has returned.
    Judge {
        worker: WorkerId,
        result: EncodedValue,
    },
    Retire {
        worker: WorkerId,
        why: Retirement,
    },
    Kill {
        worker: WorkerId,
    },
}

/// Whether the pool thread exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existence {
    Unstarted,
    Running,
    Ended,
}

/// When the pool thread looks at the pool by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attention {
    /// It is about to look.
    Awake,
    /// First it does something that may take long.
    Busy,
    SleepsUntil(Instant),
    SleepsForever,
}

/// The pool's side of the pool thread.
#[derive(Debug)]
pub(super) struct Mailbox {
    jobs: Vec<Job>,
    existence: Existence,
    attention: Attention,
    /// Whether something has happened since the pool thread planned its last sleep.
    has_changed: bool,
    /// Whether the scheduler has ended: no worker is left, and none will come.
    is_over: bool,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        Self {
            jobs: Vec::new(),
            existence: Existence::Unstarted,
            attention: Attention::Awake,
            has_changed: false,
            is_over: false,
        }
    }

    /// Adds a job. Jobs are done in the order in which they were posted, kills last.
    pub(super) fn post(&mut self, job: Job) {
        self.jobs.push(job);
    }

    /// The scheduler has ended: the pool thread ends with its last worker process.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Notes that something has happened. Returns whether the pool thread is to be woken: because the change `wants` that,
    /// because of a job, or because it would sleep past [`limits::PICK_UP`].
    #[must_use]
    pub(super) fn note_change(&mut self, now: Instant, wants: bool) -> bool {
        self.has_changed = true;
        let oversleeps = match self.attention {
            Attention::Awake | Attention::Busy => false,
            Attention::SleepsUntil(at) => at > now + limits::PICK_UP,
            Attention::SleepsForever => true,
        };
        let wakes = wants || oversleeps || !self.jobs.is_empty() || self.is_over;
        if wakes && self.attention != Attention::Busy {
            self.attention = Attention::Awake;
        }
        wakes
    }

    /// Whether the pool thread was never started.
    pub(super) fn is_unstarted(&self) -> bool {
        self.existence == Existence::Unstarted
    }

    pub(super) fn thread_started(&mut self) {
        self.existence = Existence::Running;
    }

    pub(super) fn thread_ended(&mut self) {
        self.existence = Existence::Ended;
    }

    /// The pool thread starts a round. Returns its jobs, and whether the scheduler has ended.
    pub(super) fn begin_round(&mut self) -> (Vec<Job>, bool) {
        self.attention = Attention::Awake;
        (std::mem::take(&mut self.jobs), self.is_over)
    }

    pub(super) fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Whether anything has happened since this was asked last.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// The pool thread is about to do something that may take long: until it sleeps again nothing may rely on it.
    pub(super) fn thread_is_busy(&mut self) {
        self.attention = Attention::Busy;
    }

    pub(super) fn is_thread_busy(&self) -> bool {
        self.attention == Attention::Busy
    }

    /// The pool thread is about to sleep until it is woken, or until `deadline`.
    pub(super) fn thread_sleeps(&mut self, deadline: Option<Instant>) {
        self.attention = deadline.map_or(Attention::SleepsForever, Attention::SleepsUntil);
    }

    /// The pool thread has slept.
    pub(super) fn thread_woke(&mut self) {
        self.attention = Attention::Awake;
    }

    #[cfg(test)]
    pub(super) fn set_attention(&mut self, attention: Attention) {
        self.attention = attention;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn change_wakes_only_a_thread_that_would_oversleep() {
        let now = clock::now();
        let late = now + limits::PICK_UP * 2;
        for (attention, wakes) in [
            (Attention::Awake, false),
            (Attention::Busy, false),
            (Attention::SleepsUntil(now + limits::PICK_UP), false),
            (Attention::SleepsUntil(late), true),
            (Attention::SleepsForever, true),
        ] {
            let mut mailbox = Mailbox::new();
            mailbox.set_attention(attention);
            assert_eq!(mailbox.note_change(now, false), wakes, "{attention:?}");
            // Woken once, it is about to look.
            assert!(!mailbox.note_change(now, false), "{attention:?}");
        }
    }

    #[test]
    fn job_wakes_until_a_round_takes_it() {
        let now = clock::now();
        let mut mailbox = Mailbox::new();
        mailbox.post(Job::Kill { worker: WorkerId(1) });
        assert!(mailbox.note_change(now, false) && mailbox.note_change(now, false));
        let (jobs, is_over) = mailbox.begin_round();
        assert_eq!((jobs.len(), is_over, mailbox.has_jobs()), (1, false, false));
        assert!(!mailbox.note_change(now, false));
        assert!(mailbox.take_change() && !mailbox.take_change());
    }

    #[test]
    fn busy_thread_stays_busy_when_it_is_woken() {
        let now = clock::now();
        let mut mailbox = Mailbox::new();
        mailbox.thread_is_busy();
        assert!(mailbox.note_change(now, true) && mailbox.is_thread_busy());
        mailbox.end();
        assert!(mailbox.note_change(now, false) && mailbox.begin_round().1);
        assert!(!mailbox.is_thread_busy());
    }
}
