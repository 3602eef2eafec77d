//! The thread that callbacks run on.
//!
//! It starts with the first callback that is to run and ends with the pool. Callbacks are the user's code: they may take
//! their time, submit, wait for other futures and drop handles, and nothing of the pool waits for them until its end.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::Sender;

use super::membership::Membership;
use crate::future::slot::{Callback, run_callbacks};

/// The way to the thread.
#[derive(Default)]
pub(super) struct Callbacks {
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Unstarted,
    Running {
        sender: Sender<Vec<Callback>>,
        thread: JoinHandle<()>,
    },
    Finished,
}

impl Callbacks {
    /// Has `callbacks` of this pool run, after those before them.
    pub(super) fn run(&self, pool: u64, callbacks: Vec<Callback>) {
        if callbacks.is_empty() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Unstarted) {
            let (sender, receiver) = crossbeam_channel::unbounded();
            let body = move || {
                let _member = Membership::of(pool);
                receiver.into_iter().for_each(run_callbacks);
            };
            let thread = thread::Builder::new().name("loky-callbacks".into()).spawn(body);
            if let Ok(thread) = thread {
                *state = State::Running { sender, thread };
            }
        }
        let unsent = match &*state {
            State::Running { sender, .. } => sender.send(callbacks).err().map(|unsent| unsent.0),
            State::Unstarted | State::Finished => Some(callbacks),
        };
        drop(state);
        // No thread to be had: here, then. Better late than never.
        if let Some(callbacks) = unsent {
            run_callbacks(callbacks);
        }
    }

    /// Waits for the callbacks that are there, and ends the thread for good.
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
