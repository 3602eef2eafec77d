//! What can be seen of a pool from outside: how much of everything there is and was.
//!
//! Plain data; who collects it is the [`pool`](crate::pool). Tested in the package `tests`.

mod stats;

pub use self::stats::Stats;
