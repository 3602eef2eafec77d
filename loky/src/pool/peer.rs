//! The reading side of a started worker, which only the driver touches.

use std::sync::Arc;

use super::capture::Capture;
use crate::error::WorkerExit;
use crate::spawn::Launched;
use crate::sys::child::{ChildProcess, Exit};
use crate::sys::socket::Socket;
use crate::transport::stream::{Inbox, Progress};
use crate::wire::message::FromWorker;

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
        }
    }

    /// Reads for one turn. What was said, and if it ended in something that means nothing: what that was.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> (Vec<FromWorker>, Option<&'static str>) {
        let mut said = Vec::new();
        let mut fault = None;
        match self.inbox.receive(buffer) {
            Ok(Progress::Empty | Progress::TurnOver) => {}
            Ok(Progress::Closed) => self.is_open = false,
            Err(error) => fault = Some(error.0),
        }
        while let Some(frame) = self.inbox.next_frame() {
            match FromWorker::parse(frame) {
                Ok(message) => said.push(message),
                Err(error) => {
                    fault = Some(error.0);
                    break;
                }
            }
        }
        if fault.is_some() {
            self.is_open = false;
        }
        (said, fault)
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
            pid: self.process.pid(),
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
