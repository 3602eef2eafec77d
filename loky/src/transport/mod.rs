//! The channel between a pool and one worker: how frames travel.
//!
//! Each worker has a channel of its own. A worker that dies, hangs or writes garbage harms no other. The channel is chosen once
//! per process, by what the system allows ([`probe`]):
//!
//! | the system allows | calls and answers | claim and revoke | calls per worker |
//! |---|---|---|---|
//! | a shared page | through the [`lane`]; the long ones, and those with descriptors, over the [`stream`] | in the [`slots`], without a system call | up to [`limits::SLOTS`](crate::limits::SLOTS) |
//! | the stream alone | over the [`stream`] | the worker says `Begun` before a call; nothing is revoked | 1 |
//!
//! Both work alike for the user. The plain stream costs two more messages and a wake-up for each call, and calls never travel in
//! batches. `Setup` tells the worker which of them its pool uses. `--cfg loky_force_stream` forces the stream, so that the suite
//! runs on it.
//!
//! Messages that are no calls or answers always go over the stream, and its end tells the death of the other side. The pool's
//! end never blocks when it writes, and blocks in a read only where its caller says so. The worker's end ([`worker_end`],
//! [`worker_channel`]) blocks in both: it has nothing else to do.
//!
//! Files, in the order in which they import each other:
//!
//! | file | content |
//! |---|---|
//! | [`words`] | the protocols of the words in a page: slot, batch, sleep |
//! | [`page`] | where each word lies |
//! | [`slots`] | which side has a call: the worker's steps, and the pool's record |
//! | [`lane`] | both ends of the lane |
//! | [`descriptors`], [`stream`] | both ends of the stream |
//! | [`worker_end`], [`worker_channel`] | the worker's end of the whole channel |
//! | [`probe`] | whether the system allows a page |
//!
//! This module does not know what a frame means. Tested in `tests.rs` and beside the code.

mod descriptors;
pub(crate) mod lane;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod page;
pub(crate) mod probe;
pub(crate) mod slots;
pub(crate) mod stream;
#[cfg(test)]
mod tests;
mod words;
pub(crate) mod worker_channel;
pub(crate) mod worker_end;
