//! A started process, as far as only the driver has to do with it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use super::capture::Capture;
use crate::error::WorkerExit;
use crate::sys::child::{ChildProcess, Exit};
use crate::sys::socket::Socket;

/// One started worker.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) process: ChildProcess,
    pub(super) socket: Arc<Socket>,
    pub(super) stdout: Option<Capture>,
    pub(super) stderr: Option<Capture>,
    /// How it has ended, once it has.
    pub(super) exit: Option<Exit>,
    /// Whether it is dead for its pidfd, but not for its parent: it has to be asked now and then.
    pub(super) is_held: bool,
    /// When it is killed, having been told to end.
    pub(super) kill_at: Option<Instant>,
}

impl Peer {
    pub(super) fn new(
        process: ChildProcess,
        socket: Arc<Socket>,
        [stdout, stderr]: [Option<Capture>; 2],
    ) -> Self {
        Self { process, socket, stdout, stderr, exit: None, is_held: false, kill_at: None }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What becomes readable when it has ended, if there is such a thing.
    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.process.pidfd().filter(|_| !self.is_held && self.exit.is_none())
    }

    /// How the worker ended, as its last words have it.
    pub(super) fn worker_exit(mut self, exit: Exit, buffer: &mut [u8]) -> WorkerExit {
        let mut last_words = |capture: Option<Capture>| {
            capture.map(|mut capture| {
                capture.read(buffer);
                capture.into_text()
            })
        };
        WorkerExit {
            stdout_tail: last_words(self.stdout.take()),
            stderr_tail: last_words(self.stderr.take()),
            ..WorkerExit::new(self.pid(), exit.code, exit.signal)
        }
    }
}
