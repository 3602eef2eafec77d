//! The thread that callbacks run on.
//!
//! It starts with the first callback that is to run and ends with the pool. Callbacks are the user's code: they may take
//! their time, submit, wait for other futures and drop handles, and nothing of the pool waits for them until its end.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::Sender;

use super::membership;
use crate::future::slot::{Callback, run_callbacks};

/// The way to the thread.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    running: Mutex<Option<Running>>,
}

struct Running {
    sender: Sender<Vec<Callback>>,
    thread: JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.thread.fmt(f)
    }
}

impl Callbacks {
    /// Has `callbacks` of this pool run, after those before them.
    pub(super) fn run(&self, pool: u64, callbacks: Vec<Callback>) {
        if callbacks.is_empty() {
            return;
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            let (sender, receiver) = crossbeam_channel::unbounded();
            let body = move || {
                membership::join(pool);
                receiver.into_iter().for_each(run_callbacks);
            };
            let thread = thread::Builder::new().name("loky-callbacks".into()).spawn(body);
            *running = thread.ok().map(|thread| Running { sender, thread });
        }
        let unsent = match &*running {
            Some(running) => running.sender.send(callbacks).err().map(|unsent| unsent.0),
            None => Some(callbacks),
        };
        drop(running);
        // No thread to be had: here, then. Better late than never.
        if let Some(callbacks) = unsent {
            run_callbacks(callbacks);
        }
    }

    /// Waits for the callbacks that are there, and ends the thread.
    pub(super) fn finish(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { sender, thread }) = running {
            drop(sender);
            let _ = thread.join();
        }
    }
}
