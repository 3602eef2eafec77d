//! The one task that every program has. Without it the table of a program could be empty, which some linkers do not support.
//!
//! # Safety
//! The unsafe part is the choice of a section of the image. linkme does it in the expansion, where rustc finds it in this crate.
#![allow(unsafe_code, reason = "the row goes into a section of its own")]

/// Does nothing, and answers as every task does.
#[crate::task(name = "loky.ping")]
fn ping() {}
