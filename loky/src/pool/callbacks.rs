//! The thread that callbacks and the observer run on.
//!
//! The thread starts with the first callback, or with the pool if that has an observer, and ends with the pool. It runs the
//! user's code, which may take its time, submit, wait for other futures and drop handles: the pool does not wait for it before
//! its own end. The observer is kept here and nowhere else. So an observer that holds a handle of its own executor holds that
//! no longer than until the pool's end.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};

use super::thread_guard;
use crate::future::{Callback, run_callbacks};
use crate::observer::{Event, Observer};

/// The way to the thread.
pub(super) struct Callbacks {
    state: Mutex<State>,
}

/// Work for the thread.
pub(super) enum Work {
    Callbacks(Vec<Callback>),
    Events(Vec<Event>),
}

enum State {
    Unstarted { sender: Sender<Work>, receiver: Receiver<Work>, observer: Option<Observer> },
    Running { sender: Sender<Work>, thread: JoinHandle<()> },
    Finished,
}

impl Callbacks {
    /// Without a thread yet. If there is an observer, the sender of its events comes with it, which has to be dropped before
    /// [`finish`](Self::finish).
    pub(super) fn new(observer: Option<Observer>) -> (Self, Option<Sender<Work>>) {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let events = observer.as_ref().map(|_| sender.clone());
        let state = Mutex::new(State::Unstarted { sender, receiver, observer });
        (Self { state }, events)
    }

    /// Starts the thread, if it was not.
    pub(super) fn start(&self, pool: u64) -> io::Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).start(pool)
    }

    /// Has `callbacks` of this pool run, after those before them. Returns them if the system gives no thread: the caller runs
    /// them.
    #[must_use = "they are still to be run"]
    pub(super) fn send(&self, pool: u64, callbacks: Vec<Callback>) -> Vec<Callback> {
        if callbacks.is_empty() {
            return callbacks;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = state.start(pool);
        let work = Work::Callbacks(callbacks);
        let unsent = match &*state {
            State::Running { sender, .. } => sender.send(work).err().map(|unsent| unsent.0),
            State::Unstarted { .. } | State::Finished => Some(work),
        };
        match unsent {
            Some(Work::Callbacks(callbacks)) => callbacks,
            Some(Work::Events(_)) | None => Vec::new(),
        }
    }

    /// Waits for the work that is left, and ends the thread for good.
    pub(super) fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let finished = std::mem::replace(&mut *state, State::Finished);
        drop(state);
        if let State::Running { sender, thread } = finished {
            drop(sender);
            let _ = thread.join();
        }
    }
}

impl State {
    fn start(&mut self, pool: u64) -> io::Result<()> {
        let Self::Unstarted { sender, receiver, observer } = self else { return Ok(()) };
        let (sender, receiver, observer) = (sender.clone(), receiver.clone(), observer.clone());
        let body = move || {
            // The observer, or a thread local, may own the last handle of the pool, whose end waits for this thread.
            thread_guard::become_own_of(pool);
            receiver.into_iter().for_each(|work| work.perform(observer.as_ref()));
        };
        let thread = thread::Builder::new().name("loky-callbacks".into()).spawn(body)?;
        *self = Self::Running { sender, thread };
        Ok(())
    }
}

impl Work {
    fn perform(self, observer: Option<&Observer>) {
        match self {
            Self::Callbacks(callbacks) => run_callbacks(callbacks),
            Self::Events(events) => {
                for event in &events {
                    observer.into_iter().for_each(|observer| observer.tell(event));
                }
            }
        }
    }
}
