//! The reading side of a started worker, which only the driver touches.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use super::capture::Capture;
use crate::error::WorkerExit;
use crate::spawn::Launched;
use crate::sys::child::{ChildProcess, Exit};
use crate::sys::socket::Socket;
use crate::transport::stream::{Inbox, Progress};
use crate::wire::message::FromWorker;

/// What came of reading from a worker.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) said: Vec<FromWorker>,
    /// If it ended in something that means nothing: what that was.
    pub(super) fault: Option<&'static str>,
    /// Whether there may be more.
    pub(super) is_turn_over: bool,
}

/// One started worker.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) process: ChildProcess,
    pub(super) socket: Arc<Socket>,
    inbox: Inbox,
    pub(super) stdout: Option<Capture>,
    pub(super) stderr: Option<Capture>,
    /// Whether there may be more to read.
    pub(super) is_open: bool,
    /// Whether what it says still counts.
    pub(super) is_trusted: bool,
    /// Whether it has said hello.
    pub(super) is_greeted: bool,
    /// Whether it is dead for its pidfd, but not for its parent: it has to be asked now and then.
    pub(super) is_held: bool,
    /// When it is killed, having been told to end.
    pub(super) kill_at: Option<Instant>,
}

impl Peer {
    pub(super) fn new(launched: Launched) -> Self {
        let Launched { process, socket, stdout, stderr } = launched;
        let socket = Arc::new(socket);
        Self {
            process,
            inbox: Inbox::new(Arc::clone(&socket)),
            socket,
            stdout: stdout.map(Capture::new),
            stderr: stderr.map(Capture::new),
            is_open: true,
            is_trusted: true,
            is_greeted: false,
            is_held: false,
            kill_at: None,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What becomes readable when it has ended, if there is such a thing.
    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.process.pidfd().filter(|_| !self.is_held)
    }

    /// Reads for one turn.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        let mut said = Vec::new();
        let mut fault = None;
        let progress = self.inbox.receive(buffer);
        while let Some(frame) = self.inbox.next_frame() {
            match FromWorker::parse(frame) {
                Ok(message) => said.push(message),
                Err(error) => {
                    fault = Some(error.0);
                    break;
                }
            }
        }
        let fault = fault.or_else(|| progress.err().map(|error| error.0));
        if fault.is_some() || progress == Ok(Progress::Closed) {
            self.is_open = false;
        }
        Received { said, fault, is_turn_over: self.is_open && progress == Ok(Progress::TurnOver) }
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
            pid: self.pid(),
            code: exit.code,
            signal: exit.signal,
            task: None,
            remark: None,
            stdout_tail: last_words(self.stdout.take()),
            stderr_tail: last_words(self.stderr.take()),
        }
    }

    /// Whether it stopped in the middle of a message.
    pub(super) fn is_cut_off(&self) -> bool {
        self.inbox.is_inside_frame()
    }
}
