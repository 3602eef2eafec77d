//! Awaiting a future.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::Future;
use crate::error::Result;

impl<R: 'static> std::future::Future for Future<R> {
    type Output = Result<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Err(error) = self.check_process() {
            return Poll::Ready(Err(error));
        }
        match self.slot.poll(context.waker()) {
            Some(outcome) => Poll::Ready(self.decode(outcome)),
            None => Poll::Pending,
        }
    }
}
