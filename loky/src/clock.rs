//! The only reader of time: everything else is told what time it is.

use std::time::{Duration, Instant};

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The moment `timeout` from now; `None` is never, and so is what lies beyond the clock's range.
pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    now().checked_add(timeout?)
}
