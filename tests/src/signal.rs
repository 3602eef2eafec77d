//! Signals to workers and other processes.

use crate::time::LONG;
use crate::{process, until};

/// Sends a signal to a process. Returns whether the process exists.
pub fn kill(pid: u32, signal: i32) -> bool {
    #[expect(unsafe_code, reason = "std signals only what it has started")]
    // SAFETY: the function takes two numbers.
    let sent = unsafe { libc::kill(pid.cast_signed(), signal) };
    sent == 0
}

/// Sends a signal to a process that must exist.
#[track_caller]
pub fn send_signal(pid: u32, signal: i32) {
    assert!(kill(pid, signal), "no process {pid}");
}

/// Stops a process, and returns when it is stopped.
#[track_caller]
pub fn stop(pid: u32) {
    send_signal(pid, libc::SIGSTOP);
    until("the process is stopped", LONG, || process(pid).is_some_and(|it| it.state == 'T'));
}

/// A stopped process. It continues when this value is dropped.
#[derive(Debug)]
pub struct Stopped(u32);

impl Stopped {
    /// Stops a process, and returns when it is stopped.
    #[track_caller]
    #[must_use]
    pub fn new(pid: u32) -> Self {
        stop(pid);
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, libc::SIGCONT);
    }
}
