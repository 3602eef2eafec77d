//! The only reader of the clock. All other modules get the time as an argument, so tests choose it.

use std::time::{Duration, Instant};

/// Returns the current time.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the time `timeout` from now. `None` means never, and so does a time beyond the clock's range.
pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    now().checked_add(timeout?)
}
