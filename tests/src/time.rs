//! Durations that tests share.

use std::thread;
use std::time::{Duration, Instant};

/// The limit for an event that certainly happens. It is generous, for a machine with other work.
pub const LONG: Duration = Duration::from_secs(30);

/// The time in which the pool notices a death.
pub const NOTICED: Duration = Duration::from_secs(2);

/// Returns a duration of `count` milliseconds.
#[must_use]
pub fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Does nothing for a time. It serves tests of what happens while nothing happens.
pub fn rest(time: Duration) {
    let start = Instant::now();
    while let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
