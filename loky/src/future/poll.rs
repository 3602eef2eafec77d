//! Awaiting a future.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::Future;
use super::chunk::{CallRef, Lookup};
use super::slot::Outcome;
use crate::error::Result;

/// The place that a polled handle has in the slot, which goes with the handle.
pub(super) struct Polled {
    seat: CallRef,
    key: Option<u64>,
}

impl Polled {
    fn new(seat: CallRef) -> Self {
        Self { seat, key: None }
    }

    fn poll(&mut self, context: &Context<'_>) -> Option<Outcome> {
        loop {
            let CallRef { slot, number } = &self.seat;
            match slot.poll(*number, &mut self.key, context.waker()) {
                Lookup::Here(outcome) => return outcome,
                Lookup::Elsewhere(seat) => *self = Self::new(seat),
            }
        }
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.seat.slot.forget_waker(key);
        }
    }
}

impl<R: 'static> std::future::Future for Future<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Err(error) = self.check_process() {
            return Poll::Ready(Err(error));
        }
        let seat = self.seat.clone();
        let polled = self.polled.get_or_insert_with(|| Polled::new(seat));
        match polled.poll(context) {
            Some(outcome) => Poll::Ready(self.decode(outcome)),
            None => {
                self.request_background_read();
                Poll::Pending
            }
        }
    }
}
