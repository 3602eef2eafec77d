//! The report of a panic in a task: the message from its payload, place and backtrace from a panic hook.
//!
//! The hook prints nothing for a call's own thread, since the report travels to the caller. A panic in a thread that a task
//! started has no caller: the previous hook prints it. That hook also prints all panics of a program that is built to abort on
//! them, since such a process can send no report. Tested through real workers in the package `tests`.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{self, PanicHookInfo};

use crate::error::PanicReport;
use crate::unwind::{self, PanicPayload};

thread_local! {
    /// Whether this thread is running a call.
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
    /// The facts of the last panic in a call on this thread.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
    /// Whether `SEEN` has a value. To look there each time would cost as much as a short call.
    static HAS_SEEN: Cell<bool> = const { Cell::new(false) };
}

struct Seen {
    message: String,
    location: Option<String>,
    backtrace: Option<String>,
}

/// Installs the hook. Called once in a process, before the first call.
pub(super) fn install_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if IN_CALL.get() && cfg!(panic = "unwind") {
            remember(info);
        } else {
            previous(info);
        }
    }));
}

fn remember(info: &PanicHookInfo<'_>) {
    let backtrace = if is_backtrace_wanted() {
        let backtrace = Backtrace::force_capture();
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string())
    } else {
        None
    };
    let seen = Seen {
        message: info.payload_as_str().map_or_else(String::new, ToOwned::to_owned),
        location: info.location().map(ToString::to_string),
        backtrace,
    };
    SEEN.set(Some(seen));
    HAS_SEEN.set(true);
}

/// Reads the variables that std reads. The default is the opposite one, since the caller of a task has no other stack to look at.
fn is_backtrace_wanted() -> bool {
    let variable = ["RUST_LIB_BACKTRACE", "RUST_BACKTRACE"].into_iter().find_map(std::env::var_os);
    variable.is_none_or(|value| value != "0")
}

/// Runs a call, with the hook recording its panics.
pub(super) fn watched<T>(call: impl FnOnce() -> T) -> T {
    if HAS_SEEN.take() {
        SEEN.set(None);
    }
    IN_CALL.set(true);
    let answer = call();
    IN_CALL.set(false);
    answer
}

/// Makes the report of a panic that ended a call.
pub(super) fn report(payload: PanicPayload) -> PanicReport {
    let message = unwind::into_text(payload);
    // `resume_unwind` does not run the hook: then the recorded panic may be an earlier one.
    let seen = SEEN.take().filter(|seen| seen.message.is_empty() || seen.message == message);
    let (location, backtrace) = seen.map_or((None, None), |seen| (seen.location, seen.backtrace));
    PanicReport { message, location, backtrace, worker_pid: std::process::id() }
}
