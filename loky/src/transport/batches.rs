//! Writing a frame with descriptors: which of them go with which bytes. What [`wire`](crate::wire) says of it, from the writer's
//! side.

use std::io;
use std::os::fd::BorrowedFd;

use crate::codec::attachments::Attachment;
use crate::limits::BATCH;

/// Writes the next bytes of a frame of which `written` are written, through `send`, if there are descriptors left to go with
/// them. `None` if not.
pub(super) fn send_next(
    frame: &[u8],
    attachments: &[Attachment],
    written: usize,
    send: impl FnOnce(&[u8], &[BorrowedFd<'_>]) -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let left = attachments.get(written * BATCH..).filter(|left| !left.is_empty())?;
    let (batch, later) = left.split_at(left.len().min(BATCH));
    let end = if later.is_empty() { frame.len() } else { written + 1 };
    let fds: Vec<_> = batch.iter().map(Attachment::fd).collect();
    Some(send(&frame[written..end], &fds))
}
