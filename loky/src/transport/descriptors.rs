//! Writing a frame with descriptors: which descriptors go with which bytes. [`wire`](crate::wire) describes the rule; this is the
//! writer's side of it.

use std::io;
use std::os::fd::BorrowedFd;

use crate::codec::attachments::Attachment;
use crate::limits::BATCH;

/// Writes the next bytes of a frame, behind the first `written` bytes, through `send`. Returns `None` if no descriptors are left
/// to go with them.
pub(super) fn send_next(
    frame: &[u8],
    attachments: &[Attachment],
    written: usize,
    send: impl FnOnce(&[u8], &[BorrowedFd<'_>]) -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let left = attachments.get(written * BATCH..).filter(|left| !left.is_empty())?;
    let (now, later) = left.split_at(left.len().min(BATCH));
    let end = if later.is_empty() { frame.len() } else { written + 1 };
    let fds: Vec<_> = now.iter().map(Attachment::fd).collect();
    Some(send(&frame[written..end], &fds))
}
