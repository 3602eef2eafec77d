//! Frames and messages as bytes. This module is pure: it knows no channel.
//!
//! A [frame] is a header of 24 bytes and a body. A [message] is the meaning of a frame.
//!
//! ```text
//!        0      4      5   6             8        16       24
//!  frame │ mark │ kind │ 0 │ descriptors │  call  │ length │ body …     all numbers little-endian
//! ```
//!
//! | message        | to     | call | body |
//! |----------------|--------|------|------|
//! | `Setup`        | worker | –    | version, index, depth, memory limit, whether a page comes with it, segments, fingerprint |
//! | `Call`         | worker | yes  | name of the task, encoded arguments |
//! | `Chunk`        | worker | yes  | name of the task, encoded arguments of a batch ([`entries`](crate::codec::entries)) |
//! | `NotReceived`  | worker | –    | the ticket of a call whose result came without its attachments |
//! | `Hello`        | pool   | –    | version, image, fingerprint, the table of tasks if it differs |
//! | `Refuse`       | pool   | –    | the reason why this process is no worker |
//! | `Initializing` | pool   | –    | – |
//! | `Begun`        | pool   | yes  | –; only from a worker without a page |
//! | `Returned`     | pool   | yes  | the run time; only from a worker without a page |
//! | `Result`       | pool   | yes  | encoded result |
//! | `Failed`       | pool   | yes  | the failure: a panic, an error of the codec, an unknown task, … |
//! | `Results`      | pool   | yes  | answers of a batch; only in a lane |
//! | `Outgrown`     | pool   | –    | – |
//! | `Lingering`    | pool   | –    | – |
//! | `LaneReady`    | pool   | –    | – |
//!
//! A call is named by its [`Ticket`](crate::id::Ticket). With `Setup` comes the descriptor of the page, if there is one. With
//! `Call` and `Result` come the descriptors that the values have [attached](crate::codec::attachments).
//!
//! **Which descriptors belong to which frame.** Up to [`BATCH`](crate::limits::BATCH) descriptors go with the first byte of a frame,
//! as many with the second byte, and so on. The last of them go with the rest of the frame. So all have arrived, in order, when
//! the frame is complete. The kernel tells the [`Decoder`](frame::Decoder) of a read whose descriptors it dropped, because this
//! process has no room for more. Only that call fails ([`CutOff`](frame::CutOff)).
//!
//! Bytes from a peer cannot cause a panic here, and get memory only as they arrive. Tested in `tests.rs` with round trips,
//! truncations, flipped bytes and random bytes.

pub(crate) mod args;
pub(crate) mod cookie;
pub(crate) mod frame;
pub(crate) mod message;
mod reader;
#[cfg(test)]
mod tests;

use std::fmt;

/// The reason why bytes are no message. Later bytes of that peer mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WireError(pub(crate) &'static str);

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
