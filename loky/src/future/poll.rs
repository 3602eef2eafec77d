//! The registration of a polled handle's waker.

use std::task::Context;

use super::call_ref::{CallRef, Lookup};
use super::cell::OutcomeCell;
use super::payload::Outcome;

/// The waker that a polled handle has left in a cell. It is removed with the handle.
pub(super) struct Polled {
    call: CallRef<OutcomeCell>,
    /// Names the waker in that cell, once it has one.
    key: Option<u64>,
}

impl Polled {
    pub(super) fn new(call: CallRef<OutcomeCell>) -> Self {
        Self { call, key: None }
    }

    /// Returns the outcome, or leaves the waker in the cell that has the call now.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Option<Outcome> {
        loop {
            let CallRef { cell, number } = &self.call;
            match cell.poll(*number, &mut self.key, context.waker()) {
                Lookup::Here(outcome) => return outcome,
                Lookup::Moved(call) => *self = Self::new(call),
            }
        }
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.call.cell.remove_waker(key);
        }
    }
}
