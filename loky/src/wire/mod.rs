//! Bytes to messages and back: pure, without any channel.
//!
//! A [frame] is a header of 24 bytes and a body; a [message] is what a frame means.
//!
//! ```text
//!        0      4      5   6             8        16       24
//!  frame │ mark │ kind │ 0 │ descriptors │  call  │ length │ body …     all numbers little-endian
//! ```
//!
//! | message  | to     | call | body                                                     |
//! |----------|--------|------|----------------------------------------------------------|
//! | `Setup`  | worker | –    | version, index, depth, fingerprint                       |
//! | `Call`   | worker | yes  | name of the task, encoded arguments                      |
//! | `Chunk`  | worker | yes  | name of the task, encoded arguments of several calls ([`entries`](crate::codec::entries)) |
//! | `Hello`  | parent | –    | version, image, fingerprint, the table if it differs     |
//! | `Refuse` | parent | –    | why this process is no worker                            |
//! | `Skipped` | parent | yes | –                                                        |
//! | `Result` | parent | yes  | encoded result                                           |
//! | `Results` | parent | yes | answers of the calls of a chunk; in a lane alone         |
//! | `Failed` | parent | yes  | what went wrong: a panic, a codec, an unknown task, …    |
//!
//! The call is told by its [`Ticket`](crate::id::Ticket). With `Setup` comes a descriptor: the page of slots that the tickets
//! are about. With `Call` and `Result` come those that the values have [attached](crate::codec::attachments).
//!
//! Descriptors go with bytes of their frame: [`BATCH`](crate::limits::BATCH) with the first byte, as many with the second,
//! and so on, the rest with the rest of the frame. So they are there when the frame is complete, in order, and a
//! [`Decoder`](frame::Decoder) knows of each read whose descriptors it has brought, also where the kernel says that it had to
//! drop some, because this process has no room for more. That is a failure of the call alone ([`CutOff`](frame::CutOff)).
//!
//! Nothing that arrives can panic here, nor get memory for bytes that did not arrive. Tested in `tests.rs` with round
//! trips, truncations, flipped bytes and random ones.

pub(crate) mod args;
pub(crate) mod cookie;
pub(crate) mod frame;
pub(crate) mod message;
mod reader;
#[cfg(test)]
mod tests;

use std::fmt;

/// Bytes that are no message: why, in words. The peer that sent them is beyond trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WireError(pub(crate) &'static str);

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
