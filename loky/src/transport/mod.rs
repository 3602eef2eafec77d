//! The way that frames travel between a pool and one worker.
//!
//! Each worker has a channel of its own: one that dies, hangs or writes rubbish hurts nobody else. The pool's end never
//! blocks when it writes ([`stream::Outbox`]), and when it reads ([`stream::Inbox`]) only where it says so; the worker's end
//! ([`WorkerEnd`]) has nothing else to do and does. Beside the channel lies a page of [`slots`], by which the two sides agree
//! on who has a call. Descriptors go with the bytes of their frame, in [`batches`]. What the frames mean is not known here. Tested in `tests.rs`.

mod batches;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod slots;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

use std::io;

use self::slots::SlotPage;
use crate::codec::Parcel;
use crate::wire::frame::Frame;

/// The worker's end of a channel.
pub(crate) trait WorkerEnd {
    /// Waits for the next frame; `None` when the pool has no more to say.
    fn receive(&mut self) -> io::Result<Option<Frame>>;

    /// Sends one whole frame.
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;

    /// Sends one whole frame, and what travels beside it.
    fn send_parcel(&mut self, frame: &Parcel) -> io::Result<()>;

    /// The page that has come with the first frame. Asked once.
    fn slots(&mut self) -> io::Result<SlotPage>;
}
