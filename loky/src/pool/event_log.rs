//! The events that the observer is to see: noted under the pool's lock, as they happen, and sent from under it to the thread
//! that runs callbacks.
//!
//! So the order of events is the order of what happened, although any thread may cause some: sending never blocks, and the
//! user's code runs elsewhere. Without an observer no event is made; that costs a branch.

use crossbeam_channel::Sender;

use super::callbacks::Work;
use crate::error::Error;
use crate::observer::Event;

/// The way from the lock to the observer, if there is one.
#[derive(Default)]
pub(super) struct EventLog {
    sink: Option<EventSink>,
}

struct EventSink {
    noted: Vec<Event>,
    sender: Sender<Work>,
    is_break_noted: bool,
}

impl EventLog {
    /// A log that sends its events on, or one that makes none.
    pub(super) fn new(sender: Option<Sender<Work>>) -> Self {
        let sink =
            sender.map(|sender| EventSink { noted: Vec::new(), sender, is_break_noted: false });
        Self { sink }
    }

    /// Whether there is an observer.
    pub(super) fn is_observed(&self) -> bool {
        self.sink.is_some()
    }

    pub(super) fn note(&mut self, event: impl FnOnce() -> Event) {
        if let Some(sink) = &mut self.sink {
            sink.noted.push(event());
        }
    }

    /// Notes that the pool is broken, the first time that there is a `cause`.
    pub(super) fn note_break(&mut self, cause: impl FnOnce() -> Option<Error>) {
        if let Some(sink) = &mut self.sink
            && !sink.is_break_noted
            && let Some(cause) = cause()
        {
            sink.is_break_noted = true;
            sink.noted.push(Event::Broken { cause });
        }
    }

    /// Sends what was noted. The lock is still held, or another thread's events could overtake these.
    pub(super) fn send(&mut self) {
        if let Some(sink) = &mut self.sink
            && !sink.noted.is_empty()
        {
            // After the pool's end nothing receives them.
            let _ = sink.sender.send(Work::Events(std::mem::take(&mut sink.noted)));
        }
    }

    /// Sends the last events. No later one is made, so the receiving thread can end.
    pub(super) fn close(&mut self) {
        self.send();
        self.sink = None;
    }
}
