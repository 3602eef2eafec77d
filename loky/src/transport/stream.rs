//! Frames over a stream socket.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::WorkerEnd;
use crate::limits;
use crate::sys::socket::Socket;
use crate::wire::WireError;
use crate::wire::frame::{Decoder, Frame};

/// What is still to be written to a worker. Holds what does not fit into the channel; whoever reads from the worker
/// flushes it when the channel takes more, so two sides that both write cannot block each other.
#[derive(Debug)]
pub(crate) struct Outbox {
    socket: Arc<Socket>,
    frames: VecDeque<Arc<Vec<u8>>>,
    /// How much of the first frame is written.
    written: usize,
}

impl Outbox {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, frames: VecDeque::new(), written: 0 }
    }

    /// Writes the frame, or as much of it as fits now.
    ///
    /// # Errors
    /// The worker takes nothing any more; its end of the channel is closed.
    pub(crate) fn send(&mut self, frame: Arc<Vec<u8>>) -> io::Result<()> {
        self.frames.push_back(frame);
        self.flush()
    }

    /// Writes as much as fits now, for one turn: a worker may read as fast as this is written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut turn = 0;
        while let Some(frame) = self.frames.front()
            && turn < limits::WRITE_TURN_BYTES
        {
            match self.socket.try_send(&frame[self.written..]) {
                Ok(sent) => {
                    self.written += sent;
                    turn += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    self.frames.clear();
                    return Err(error);
                }
            }
            if self.written == frame.len() {
                self.frames.pop_front();
                self.written = 0;
            }
        }
        Ok(())
    }

    /// Whether something waits for room in the channel.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.frames.is_empty()
    }
}

/// Whether there may be more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All that was there is read.
    Empty,
    /// This worker's turn is over; there may be more.
    TurnOver,
    /// The channel is at its end.
    Closed,
}

/// What comes from a worker.
#[derive(Debug)]
pub(crate) struct Inbox {
    socket: Arc<Socket>,
    decoder: Decoder,
}

impl Inbox {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, decoder: Decoder::default() }
    }

    /// Reads what is there, for one turn, into complete frames. `buffer` is scratch space.
    ///
    /// # Errors
    /// The bytes are no frames.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<Progress, WireError> {
        let mut turn = 0;
        while turn < limits::READ_TURN_BYTES {
            match self.socket.try_recv(buffer) {
                Ok(0) => return Ok(Progress::Closed),
                Ok(read) => {
                    self.decoder.feed(&buffer[..read])?;
                    turn += read;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Empty);
                }
                Err(_) => return Ok(Progress::Closed), // Reset: what was unread there is lost.
            }
        }
        Ok(Progress::TurnOver)
    }

    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        self.decoder.next_frame()
    }

    /// Whether the worker stopped in the middle of a frame.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.decoder.is_inside_frame()
    }
}

/// The worker's end, over the same socket.
#[derive(Debug)]
pub(crate) struct WorkerStream {
    socket: Arc<Socket>,
    decoder: Decoder,
    buffer: Box<[u8]>,
}

impl WorkerStream {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        let buffer = vec![0; limits::READ_BYTES].into_boxed_slice();
        Self { socket, decoder: Decoder::default(), buffer }
    }
}

impl WorkerEnd for WorkerStream {
    fn receive(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoder.next_frame() {
                return Ok(Some(frame));
            }
            match self.socket.recv(&mut self.buffer)? {
                0 => return Ok(None),
                read => self
                    .decoder
                    .feed(&self.buffer[..read])
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))?,
            }
        }
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.socket.send_all(frame)
    }
}
