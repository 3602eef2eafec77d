//! The last bytes of a captured stream.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::limits;

/// The read end of a worker's stdout or stderr, and the last bytes that came out of it.
#[derive(Debug)]
pub(super) struct Capture {
    pipe: File,
    tail: Vec<u8>,
    is_open: bool,
}

impl Capture {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { pipe: fd.into(), tail: Vec::new(), is_open: true }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Reads what is there now, up to [`limits::READ_TURN_BYTES`].
    pub(super) fn read(&mut self, buffer: &mut [u8]) {
        let mut turn = 0;
        // A process that a task started may hold the pipe open and write for ever.
        while self.is_open && turn < limits::READ_TURN_BYTES {
            match self.pipe.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => self.is_open = false,
                Ok(read) => {
                    self.keep(&buffer[..read]);
                    turn += read;
                }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let excess = self.tail.len().saturating_sub(limits::CAPTURE_BYTES);
        self.tail.drain(..excess);
    }

    /// The last lines as text.
    pub(super) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.tail).into_owned()
    }
}
