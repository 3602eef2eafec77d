//! Awaiting a future.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Future;
use super::slot::{Outcome, Slot};
use crate::error::Result;

/// The place that a polled handle has in the slot, which goes with the handle.
pub(super) struct Polled {
    slot: Arc<Slot>,
    key: Option<u64>,
}

impl Polled {
    fn poll(&mut self, context: &Context<'_>) -> Option<Outcome> {
        self.slot.poll(&mut self.key, context.waker())
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.slot.forget_waker(key);
        }
    }
}

impl<R: 'static> std::future::Future for Future<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Err(error) = self.check_process() {
            return Poll::Ready(Err(error));
        }
        let slot = Arc::clone(&self.slot);
        let polled = self.polled.get_or_insert_with(|| Polled { slot, key: None });
        match polled.poll(context) {
            Some(outcome) => Poll::Ready(self.decode(outcome)),
            None => {
                self.attend();
                Poll::Pending
            }
        }
    }
}
