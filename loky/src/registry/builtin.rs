//! The one task that every program has, so that the table is never empty: an empty one breaks some linkers.
//!
//! # Safety
//! What is unsafe is to choose a section of the image, which linkme does, and here in its own crate rustc says so.
#![allow(unsafe_code, reason = "the row goes into a section of its own")]

/// Does nothing. Answers as every task does, which is what it is good for.
#[crate::task(name = "loky.ping")]
fn ping() {}
