//! The way that frames travel between a pool and one worker.
//!
//! Each worker has a channel of its own: one that dies, hangs or writes rubbish hurts nobody else. The pool's end never
//! blocks ([`stream::Outbox`], [`stream::Inbox`]); the worker's end ([`WorkerEnd`]) has nothing else to do and does.
//! What the frames mean is not known here. Tested in `tests.rs`.

#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

use std::io;

use crate::wire::frame::Frame;

/// The worker's end of a channel.
pub(crate) trait WorkerEnd {
    /// Waits for the next frame; `None` when the pool has no more to say.
    fn receive(&mut self) -> io::Result<Option<Frame>>;

    /// Sends one whole frame.
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;
}
