//! The role of this process, as the entry has found it. No worker starts before the entry has run.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::limits;
use crate::worker::{self, Calling};

/// Whether the entry has run in this process.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// Notes that the entry has run, so copies of this program become workers.
pub(crate) fn set_entered() {
    IS_ENTERED.store(true, Ordering::Release);
}

/// The error of a program without an entry.
const NO_ENTRY: &str = "this program cannot start workers, since its copies would run its `main` again: \
    write `#[loky::entry]` on `fn main`, or `loky::main! { fn main() { … } }`, or call `loky::init()` as the first statement of `main`, \
    or, for tests, benches and examples, put `loky::enable_test_support!();` at the root of the crate";

/// Checks that copies of this program become workers, and that executors are not nested too deep.
pub(crate) fn check() -> Result<()> {
    match worker::calling() {
        Calling::None if IS_ENTERED.load(Ordering::Acquire) => check_depth(),
        Calling::None => Err(Error::new(ErrorKind::InvalidConfig, NO_ENTRY)),
        // This process, or one above it, was started as a worker. To go on would start processes without end.
        Calling::Worker(_) => {
            // In this order, since the parent kills this process when it gets the message.
            say(NO_ENTRY);
            worker::refuse(NO_ENTRY);
            Err(Error::new(ErrorKind::Handshake, NO_ENTRY))
        }
        Calling::BelowOrphan => {
            let message =
                format!("a process above this one was started as a worker but is none; {NO_ENTRY}");
            Err(Error::new(ErrorKind::Handshake, message))
        }
    }
}

/// Checks the depth of nested executors. Most likely a task that exceeds it calls itself without end.
fn check_depth() -> Result<()> {
    let most = match std::env::var(MAX_DEPTH_ENV) {
        Err(std::env::VarError::NotPresent) => i64::from(limits::MAX_DEPTH),
        Err(std::env::VarError::NotUnicode(value)) => {
            return Err(not_a_depth(&value.to_string_lossy()));
        }
        Ok(value) => value.trim().parse().map_err(|_| not_a_depth(&value))?,
    };
    if most <= 0 || i64::from(worker::depth()) < most {
        return Ok(());
    }
    let message = format!(
        "an executor cannot be nested deeper than {most} levels; if this is intended, set `{MAX_DEPTH_ENV}` (0: no limit)"
    );
    Err(Error::new(ErrorKind::Recursion, message))
}

const MAX_DEPTH_ENV: &str = "LOKY_MAX_DEPTH";

fn not_a_depth(value: &str) -> Error {
    let message = format!("`{MAX_DEPTH_ENV}` must be a number, not `{}`", value.escape_debug());
    Error::new(ErrorKind::InvalidConfig, message)
}

/// Prints to stderr, which the library does here only. A program that was started as a worker, and has no entry, would otherwise
/// end without a message if the error of its parent is not shown.
#[expect(clippy::print_stderr, reason = "see above")]
fn say(text: &str) {
    eprintln!("loky: {text}");
}
