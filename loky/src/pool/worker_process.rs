//! A started worker process, as far as the pool thread alone has to do with it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use super::capture::Capture;
use crate::error::WorkerExit;
use crate::sys::child::{ChildProcess, Exit};
use crate::sys::socket::Socket;

/// A started worker process.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    pub(super) child: ChildProcess,
    pub(super) socket: Arc<Socket>,
    pub(super) stdout: Option<Capture>,
    pub(super) stderr: Option<Capture>,
    /// How it has ended, if it has.
    pub(super) exit: Option<Exit>,
    /// Whether it has ended by its pidfd, but not by waitid: it is asked now and then.
    pub(super) is_held: bool,
    /// When it is killed, if it was told to end.
    pub(super) kill_at: Option<Instant>,
}

impl WorkerProcess {
    pub(super) fn new(
        child: ChildProcess,
        socket: Arc<Socket>,
        [stdout, stderr]: [Option<Capture>; 2],
    ) -> Self {
        Self { child, socket, stdout, stderr, exit: None, is_held: false, kill_at: None }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The descriptor that becomes readable when the process has ended, if there is one.
    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.child.pidfd().filter(|_| !self.is_held && self.exit.is_none())
    }

    /// How the worker ended, with the last lines that it has written.
    pub(super) fn worker_exit(mut self, exit: Exit, buffer: &mut [u8]) -> WorkerExit {
        let mut last_lines = |capture: Option<Capture>| {
            capture.map(|mut capture| {
                capture.read(buffer);
                capture.into_text()
            })
        };
        WorkerExit {
            stdout_tail: last_lines(self.stdout.take()),
            stderr_tail: last_lines(self.stderr.take()),
            ..WorkerExit::new(self.pid(), exit.code, exit.signal)
        }
    }
}
