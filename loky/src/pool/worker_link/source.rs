//! The right to read from a worker.

use crate::transport::stream::Inbox;

/// Where the answers of a worker come from. The thread that has taken it is the one that reads.
#[derive(Debug)]
pub(in crate::pool) enum Source {
    /// From the lane, which any thread may look into that has the pool's lock. The thread that has this sleeps on the lane.
    Lane,
    Stream(Box<Inbox>),
}

impl From<Source> for Option<Inbox> {
    fn from(source: Source) -> Self {
        match source {
            Source::Lane => None,
            Source::Stream(inbox) => Some(*inbox),
        }
    }
}
