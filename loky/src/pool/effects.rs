//! The work that a change of the pool leaves for after the lock is released.
//!
//! Waking a thread is a system call, making an error's text and dropping long arguments take time, and wakers and callbacks are
//! the user's code. Under the lock they are only noted: [`Effects`] is the note of one change, [`Notifications`] the part of it
//! that runs the user's code.

use std::sync::Arc;

use super::outcome::{CallEnd, RawAnswers};
use crate::future::{Callback, Listeners, Promise, Publication};
use crate::sys::wake::Wake;
use crate::transport::lane::pool_side::PoolLane;
use crate::wire::args::CallArgs;

/// A thread that sleeps until a call is answered, and how it is woken earlier.
#[derive(Debug)]
pub(super) enum Sleeper {
    /// On the lane of the worker that has the call.
    OnLane(PoolLane),
    InPoll(Arc<Wake>),
}

impl Sleeper {
    fn wake(&self) {
        match self {
            Self::OnLane(lane) => lane.disturb(),
            Self::InPoll(wake) => wake.wake(),
        }
    }
}

/// A call that has ended, with what its future is to get.
pub(super) struct EndedCall {
    pub(super) promise: Promise,
    pub(super) ending: CallEnd,
    pub(super) worker_pid: Option<u32>,
    /// Much memory may go with them.
    pub(super) args: CallArgs,
}

impl EndedCall {
    /// Writes the outcome into its cell, which wakes the threads that are parked there. Arguments whose release takes long go to
    /// `long`. Returns the listeners.
    fn resolve(self, long: &mut Vec<Arc<Vec<u8>>>) -> Option<Listeners> {
        let Self { promise, ending, worker_pid, args } = self;
        let task = promise.task();
        // Descriptors go first: the thread that sees the outcome finds none of them left.
        match args {
            CallArgs::Chunk(_) => {
                let (answers, last) = ending.into_batch(task);
                return promise.resolve_batch(answers, last, worker_pid);
            }
            CallArgs::Shared(bytes) => long.push(bytes),
            others => drop(others),
        }
        promise.resolve(ending.into_outcome(task), worker_pid)
    }
}

/// The answers of the first calls of a batch that was divided.
pub(super) struct DividedBatch {
    pub(super) publication: Publication,
    pub(super) answers: Box<RawAnswers>,
    pub(super) worker_pid: Option<u32>,
}

/// What is to be written into a cell.
enum Writing {
    End(EndedCall),
    Publish(DividedBatch),
}

/// The work that is left for after the lock is released.
#[must_use]
#[derive(Default)]
pub(super) struct Effects {
    /// In the order of the decisions.
    writings: Vec<Writing>,
    /// Waiting threads whose calls are not where they were.
    sleepers: Vec<Sleeper>,
    wakes_pool_thread: bool,
}

impl Effects {
    /// A call has ended.
    pub(super) fn end(&mut self, ended: EndedCall) {
        self.writings.push(Writing::End(ended));
    }

    /// A batch was divided.
    pub(super) fn publish(&mut self, divided: DividedBatch) {
        self.writings.push(Writing::Publish(divided));
    }

    /// Whether there is anything to deliver.
    pub(super) fn has_outcomes(&self) -> bool {
        !self.writings.is_empty()
    }

    /// A waiting thread is to be woken.
    pub(super) fn wake(&mut self, sleeper: impl IntoIterator<Item = Sleeper>) {
        self.sleepers.extend(sleeper);
    }

    /// The pool thread is to be woken, if `wakes` says so.
    pub(super) fn wake_pool_thread(&mut self, wakes: bool) {
        self.wakes_pool_thread |= wakes;
    }

    pub(super) fn wakes_pool_thread(&self) -> bool {
        self.wakes_pool_thread
    }

    /// Wakes the waiting threads. The lock must be released.
    pub(super) fn wake_sleepers(&mut self) {
        self.sleepers.drain(..).for_each(|sleeper| sleeper.wake());
    }

    /// Writes the outcomes, which wakes the threads that are parked on them. Returns what is left: the user's code.
    pub(super) fn resolve(self) -> Notifications {
        let mut notifications = Notifications::default();
        for writing in self.writings {
            let listeners = match writing {
                Writing::End(ended) => ended.resolve(&mut notifications.long),
                Writing::Publish(DividedBatch { publication, answers, worker_pid }) => {
                    let answers = answers.into_answers(publication.task());
                    publication.publish(answers, worker_pid)
                }
            };
            if let Some(mut listeners) = listeners {
                notifications.callbacks.extend(listeners.take_callbacks());
                notifications.cancelled.extend(listeners.take_cancelled());
                notifications.listeners.push(listeners);
            }
        }
        notifications
    }
}

/// The listeners to outcomes that are there.
#[must_use = "listeners wait for it"]
#[derive(Default)]
pub(super) struct Notifications {
    pub(super) callbacks: Vec<Callback>,
    /// The callbacks of calls that were cancelled.
    pub(super) cancelled: Vec<Callback>,
    pub(super) listeners: Vec<Listeners>,
    /// Long arguments, to be dropped when other threads can deliver outcomes again.
    pub(super) long: Vec<Arc<Vec<u8>>>,
}
