//! What this process is, as far as the entry has found out: nothing is spawned before it has.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::limits;
use crate::worker::{self, Calling};

/// Whether the entry has run, and found that this is the user's process, or made it a worker.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// The entry has run: copies of this program become workers.
pub(crate) fn set_entered() {
    IS_ENTERED.store(true, Ordering::Release);
}

/// What a program lacks.
const NO_ENTRY: &str = "this program cannot start workers, since its copies would run its `main` again: \
    write `loky::main! { fn main() { … } }`, or call `loky::init()` as the first statement of `main`, \
    or, for tests, benches and examples, put `loky::enable_test_support!();` at the root of the crate";

/// Refuses to build an executor where copies of this program would not become workers.
pub(crate) fn check() -> Result<()> {
    match worker::calling() {
        Calling::None if IS_ENTERED.load(Ordering::Acquire) => check_depth(),
        Calling::None => Err(Error::new(ErrorKind::InvalidConfig, NO_ENTRY)),
        // Somebody's worker was to be here, or above: going on would start processes without end.
        Calling::Worker(_) => {
            // In this order: who hears the refusal kills this process.
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

/// Refuses what is nested deeper than allowed, which is most likely a task that calls itself without end.
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

/// The one thing that is printed: by a program that was started as a worker, cannot be one, and would otherwise end without
/// a word where nobody sees the error of its parent.
#[expect(clippy::print_stderr, reason = "see above")]
fn say(text: &str) {
    eprintln!("loky: {text}");
}
