//! Frames over a stream socket.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::id::Ticket;
use crate::limits;
use crate::sys::socket::Socket;
use crate::wire::args::CallArgs;
use crate::wire::frame::{Decoder, Frame};
use crate::wire::{WireError, message};

/// What is still to be written to a worker. Writes never block: what does not fit into the channel stays here until there is
/// room, so two sides that both write cannot block each other.
#[derive(Debug)]
pub(crate) struct Outbox {
    socket: Arc<Socket>,
    pieces: VecDeque<Piece>,
    /// How much of the first piece is written.
    written: usize,
    /// Room for the next frames that are put together.
    spare: Vec<u8>,
}

/// Some of the bytes that are to be written.
#[derive(Debug)]
enum Piece {
    /// Frames that were put together, so that many small ones take one system call.
    Gathered(Vec<u8>),
    /// The rest of a frame, too long to be copied.
    Shared(Arc<Vec<u8>>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Gathered(bytes) => bytes,
            Self::Shared(args) => args,
        }
    }
}

impl Outbox {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, pieces: VecDeque::new(), written: 0, spare: Vec::new() }
    }

    /// Adds the frame of a call, under this ticket. Nothing is written before [`flush`](Self::flush).
    pub(crate) fn push(&mut self, ticket: Ticket, task: &str, args: &CallArgs) {
        let gathered = self.gathered();
        message::begin_call(gathered, ticket, task, args.len());
        match args {
            CallArgs::Shared(args) => self.pieces.push_back(Piece::Shared(Arc::clone(args))),
            CallArgs::Short { .. } | CallArgs::Copied(_) => gathered.extend_from_slice(args),
        }
    }

    /// Where small pieces are put together: at the end.
    fn gathered(&mut self) -> &mut Vec<u8> {
        let is_open = |piece: &Piece| matches!(piece, Piece::Gathered(bytes) if bytes.len() < limits::READ_BYTES);
        if !self.pieces.back().is_some_and(is_open) {
            self.pieces.push_back(Piece::Gathered(std::mem::take(&mut self.spare)));
        }
        match self.pieces.back_mut() {
            Some(Piece::Gathered(bytes)) => bytes,
            _ => unreachable!("it was just put there"),
        }
    }

    /// Writes as much as fits now, for one turn: a worker may read as fast as this is written.
    ///
    /// # Errors
    /// The worker takes nothing any more; its end of the channel is closed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut turn = 0;
        while let Some(piece) = self.pieces.front()
            && turn < limits::WRITE_TURN_BYTES
        {
            let bytes = piece.bytes();
            match self.socket.try_send(&bytes[self.written..]) {
                Ok(sent) => {
                    self.written += sent;
                    turn += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    self.pieces.clear();
                    self.written = 0;
                    return Err(error);
                }
            }
            if self.written == bytes.len() {
                self.written = 0;
                if let Some(Piece::Gathered(mut bytes)) = self.pieces.pop_front() {
                    bytes.clear();
                    self.spare = bytes;
                }
            }
        }
        Ok(())
    }

    /// Whether something waits for room in the channel.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pieces.is_empty()
    }
}

/// Whether there may be more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Now, or later.
    Open,
    /// The channel is at its end.
    Closed,
}

/// What comes from a worker. Whoever has it is the one who reads.
#[derive(Debug)]
pub(crate) struct Inbox {
    socket: Arc<Socket>,
    decoder: Decoder,
    buffer: Box<[u8]>,
}

impl Inbox {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        // Pages that are never written to take no memory, and most answers are short.
        let buffer = vec![0; limits::READ_BYTES].into_boxed_slice();
        Self { socket, decoder: Decoder::default(), buffer }
    }

    /// Where it reads from.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Reads once, as much as one system call gives. Waits for the first byte if `waits`.
    ///
    /// # Errors
    /// The bytes are no frames.
    pub(crate) fn receive(&mut self, waits: bool) -> Result<Progress, WireError> {
        let received = if waits {
            self.socket.recv(&mut self.buffer)
        } else {
            self.socket.try_recv(&mut self.buffer)
        };
        match received {
            Ok(0) => Ok(Progress::Closed),
            Ok(read) => {
                self.decoder.feed(&self.buffer[..read])?;
                Ok(Progress::Open)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Progress::Open),
            Err(_) => Ok(Progress::Closed), // Reset: what was unread there is lost.
        }
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
    /// What came with the first bytes.
    page: Option<OwnedFd>,
    /// Whether a descriptor may still come.
    is_new: bool,
}

impl WorkerStream {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        let buffer = vec![0; limits::READ_BYTES].into_boxed_slice();
        Self { socket, decoder: Decoder::default(), buffer, page: None, is_new: true }
    }

    fn read(&mut self) -> io::Result<usize> {
        if !self.is_new {
            return self.socket.recv(&mut self.buffer);
        }
        self.is_new = false;
        let (read, fd) = self.socket.recv_with_fd(&mut self.buffer)?;
        self.page = fd;
        Ok(read)
    }

    /// Waits for the next frame, and puts it into `frame`. False at the end.
    pub(crate) fn receive(&mut self, frame: &mut Frame) -> io::Result<bool> {
        loop {
            if let Some(next) = self.decoder.next_frame() {
                *frame = next;
                return Ok(true);
            }
            match self.read()? {
                0 => return Ok(false),
                read => self.feed(read)?,
            }
        }
    }

    /// The same if there is anything now; else `None`. What has begun is waited for.
    pub(crate) fn try_receive(&mut self, frame: &mut Frame) -> io::Result<Option<bool>> {
        if !self.decoder.has_begun() {
            match self.socket.try_recv(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Ok(0) => return Ok(Some(false)),
                read => self.feed(read?)?,
            }
        }
        self.receive(frame).map(Some)
    }

    fn feed(&mut self, read: usize) -> io::Result<()> {
        let fed = self.decoder.feed(&self.buffer[..read]);
        fed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))
    }

    /// Sends one whole frame.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send_all(frame)
    }

    /// Sends one frame that is short, if there is room for it.
    pub(crate) fn try_send(&self, frame: &[u8]) {
        let _ = self.socket.try_send(frame);
    }

    /// The descriptor that has come with the first bytes.
    pub(crate) fn take_fd(&mut self) -> Option<OwnedFd> {
        self.page.take()
    }
}
