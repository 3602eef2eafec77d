//! Bytes to messages and back: pure, without any channel.
//!
//! A [frame] is a header of 24 bytes and a body; a [message] is what a frame means.
//!
//! ```text
//!        0      4      5        8        16       24
//!  frame │ mark │ kind │ zeros  │  call  │ length │ body …     all numbers little-endian
//! ```
//!
//! | message  | to     | call | body                                                     |
//! |----------|--------|------|----------------------------------------------------------|
//! | `Setup`  | worker | –    | version, index, depth, fingerprint                       |
//! | `Call`   | worker | yes  | name of the task, encoded arguments                      |
//! | `Hello`  | parent | –    | version, image, fingerprint, the table if it differs     |
//! | `Refuse` | parent | –    | why this process is no worker                            |
//! | `Skipped` | parent | yes | –                                                        |
//! | `Result` | parent | yes  | encoded result                                           |
//! | `Failed` | parent | yes  | what went wrong: a panic, a codec, an unknown task       |
//!
//! The call is told by its [`Ticket`](crate::id::Ticket). With `Setup` comes a descriptor: the page of slots that the tickets
//! are about.
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
