//! Frames over a stream socket: the pool's [`Outbox`] and [`Inbox`], and the worker's [`WorkerStream`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::descriptors::send_next;
use crate::codec::{Attachments, EncodedValue};
use crate::id::Ticket;
use crate::limits;
use crate::sys::is_shortage;
use crate::sys::socket::{Batch, Socket};
use crate::wire::WireError;
use crate::wire::args::CallArgs;
use crate::wire::frame::{self, Decoder, Frame};
use crate::wire::message::{self, FromWorker};

/// The bytes that wait to be written to a worker. A write never blocks: bytes that do not fit into the socket stay here until it
/// has room. So two sides that both write cannot block each other.
#[derive(Debug)]
pub(crate) struct Outbox {
    socket: Arc<Socket>,
    pieces: VecDeque<Piece>,
    /// The number of bytes of the first piece that are written.
    written: usize,
    /// An empty buffer for the next gathered frames.
    spare: Vec<u8>,
    /// Whether the system had no room for the last write, though the socket had.
    is_held_up: bool,
}

/// A part of the bytes that wait.
#[derive(Debug)]
enum Piece {
    /// Small frames, put together so that they take one system call.
    Gathered(Vec<u8>),
    /// The rest of a frame that is too long to be copied.
    Shared(Arc<Vec<u8>>),
    /// A frame with descriptors, or as much of its beginning as these need to go with.
    Attached(Vec<u8>, Attachments),
    /// The rest of such a frame: the arguments from this byte on.
    Rest(Arc<EncodedValue>, usize),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Gathered(bytes) | Self::Attached(bytes, _) => bytes,
            Self::Shared(args) => args,
            Self::Rest(args, from) => &args.bytes[*from..],
        }
    }

    /// Writes as much as fits now, behind the first `written` bytes.
    fn send(&self, socket: &Socket, written: usize) -> io::Result<usize> {
        let bytes = self.bytes();
        if let Self::Attached(_, attachments) = self
            && let Some(sent) = send_next(bytes, attachments.as_slice(), written, |bytes, fds| {
                socket.try_send_with(bytes, fds)
            })
        {
            return sent;
        }
        socket.try_send(&bytes[written..])
    }
}

impl Outbox {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        let (pieces, spare) = (VecDeque::new(), Vec::new());
        Self { socket, pieces, written: 0, spare, is_held_up: false }
    }

    /// Adds the frame of a call. [`flush`](Self::flush) writes it.
    pub(crate) fn push(&mut self, ticket: Ticket, task: &str, args: &CallArgs) {
        if let CallArgs::Attached(args) = args {
            return self.push_attached(ticket, task, args);
        }
        let gathered = self.gathered();
        if let CallArgs::Chunk(chunk) = args {
            return message::put_chunk(gathered, ticket, task, chunk.items());
        }
        message::begin_call(gathered, ticket, task, args.len());
        if let CallArgs::Shared(args) = args {
            self.pieces.push_back(Piece::Shared(Arc::clone(args)));
        } else {
            gathered.extend_from_slice(args);
        }
    }

    /// Adds the message that the attachments of a result have not arrived.
    pub(crate) fn push_not_received(&mut self, ticket: Ticket) {
        message::put_not_received(self.gathered(), ticket);
    }

    fn push_attached(&mut self, ticket: Ticket, task: &str, args: &Arc<EncodedValue>) {
        let EncodedValue { bytes, attachments } = &**args;
        let copied = bytes.len().min(limits::GATHER_BYTES);
        let mut beginning = Vec::new();
        message::begin_call(&mut beginning, ticket, task, bytes.len());
        frame::set_descriptors(&mut beginning, attachments.count());
        beginning.extend_from_slice(&bytes[..copied]);
        self.pieces.push_back(Piece::Attached(beginning, attachments.clone()));
        if copied < bytes.len() {
            self.pieces.push_back(Piece::Rest(Arc::clone(args), copied));
        }
    }

    /// Returns the buffer at the end, in which small frames are put together.
    fn gathered(&mut self) -> &mut Vec<u8> {
        let is_open = |piece: &Piece| matches!(piece, Piece::Gathered(bytes) if bytes.len() < limits::READ_BYTES);
        if !self.pieces.back().is_some_and(is_open) {
            self.pieces.push_back(Piece::Gathered(std::mem::take(&mut self.spare)));
        }
        match self.pieces.back_mut() {
            Some(Piece::Gathered(bytes)) => bytes,
            _ => unreachable!("it was just pushed"),
        }
    }

    /// Writes as much as fits now, up to the limit of one turn: a worker may read as fast as this process writes.
    ///
    /// # Errors
    /// The worker's end of the channel is closed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut turn = 0;
        self.is_held_up = false;
        while let Some(piece) = self.pieces.front()
            && turn < limits::WRITE_TURN_BYTES
        {
            let length = piece.bytes().len();
            match piece.send(&self.socket, self.written) {
                Ok(sent) => {
                    self.written += sent;
                    turn += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_shortage(&error) => {
                    self.is_held_up = true;
                    return Ok(());
                }
                Err(error) => {
                    self.pieces.clear();
                    self.written = 0;
                    return Err(error);
                }
            }
            if self.written == length {
                self.written = 0;
                if let Some(Piece::Gathered(mut bytes)) = self.pieces.pop_front() {
                    bytes.clear();
                    self.spare = bytes;
                }
            }
        }
        Ok(())
    }

    /// Returns whether bytes wait for room.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Returns whether to try again after [`limits::NO_ROOM_PAUSE`]. poll(2) does not tell when the system has room.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_held_up
    }
}

/// Whether more bytes may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamState {
    /// More may come, now or later.
    Open,
    /// The worker's end is closed.
    Closed,
}

/// The pool's reading end. The thread that holds it is the reader.
#[derive(Debug)]
pub(crate) struct Inbox {
    socket: Arc<Socket>,
    decoder: Decoder,
    buffer: Box<[u8]>,
}

impl Inbox {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        // Memory that is never written takes no room, and most answers are short.
        let buffer = vec![0; limits::READ_BYTES].into_boxed_slice();
        Self { socket, decoder: Decoder::default(), buffer }
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Reads once, as much as one system call returns. Waits for the first byte if `waits`.
    ///
    /// # Errors
    /// The bytes are no frames.
    pub(crate) fn receive(&mut self, waits: bool) -> Result<StreamState, WireError> {
        let received = if waits {
            self.socket.recv(&mut self.buffer)
        } else {
            self.socket.try_recv(&mut self.buffer)
        };
        match received {
            Ok((0, _)) => Ok(StreamState::Closed),
            Ok((read, batch)) => {
                self.decoder.feed_with(batch, &self.buffer[..read])?;
                Ok(StreamState::Open)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(StreamState::Open),
            Err(_) => Ok(StreamState::Closed), // The worker died with unread bytes.
        }
    }

    /// Returns the next complete frame.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        self.decoder.next_frame()
    }

    /// Returns whether the worker has stopped in the middle of a frame.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.decoder.is_inside_frame()
    }
}

/// The worker's end of the stream.
#[derive(Debug)]
pub(crate) struct WorkerStream {
    socket: Arc<Socket>,
    decoder: Decoder,
    buffer: Box<[u8]>,
    /// The attachments of the first frame.
    page: Option<Attachments>,
    is_new: bool,
}

impl WorkerStream {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        let buffer = vec![0; limits::READ_BYTES].into_boxed_slice();
        Self { socket, decoder: Decoder::default(), buffer, page: None, is_new: true }
    }

    /// Waits for the next frame, and puts it into `frame`. Returns false when the pool has closed the channel.
    pub(crate) fn receive(&mut self, frame: &mut Frame) -> io::Result<bool> {
        loop {
            if let Some(next) = self.decoder.next_frame() {
                *frame = next;
                if std::mem::take(&mut self.is_new) {
                    self.page = frame.attachments.clone().ok();
                }
                return Ok(true);
            }
            match self.socket.recv(&mut self.buffer)? {
                (0, _) => return Ok(false),
                (read, batch) => self.feed(read, batch)?,
            }
        }
    }

    /// As [`receive`](Self::receive), but returns `None` if no byte of a frame is there.
    pub(crate) fn try_receive(&mut self, frame: &mut Frame) -> io::Result<Option<bool>> {
        if !self.decoder.has_begun() {
            match self.socket.try_recv(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Ok((0, _)) => return Ok(Some(false)),
                received => {
                    let (read, batch) = received?;
                    self.feed(read, batch)?;
                }
            }
        }
        self.receive(frame).map(Some)
    }

    /// Makes a received frame the next one again.
    pub(crate) fn put_back(&mut self, frame: Frame) {
        self.decoder.put_back(frame);
    }

    fn feed(&mut self, read: usize, batch: Batch) -> io::Result<()> {
        let fed = self.decoder.feed_with(batch, &self.buffer[..read]);
        fed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))
    }

    /// Sends one whole frame.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send_all(frame)
    }

    /// Sends one whole frame with its attachments.
    pub(crate) fn send_with(&self, frame: &EncodedValue) -> io::Result<()> {
        let EncodedValue { bytes, attachments } = frame;
        let mut written = 0;
        while let Some(sent) = send_next(bytes, attachments.as_slice(), written, |bytes, fds| {
            self.socket.send_with(bytes, fds)
        }) {
            match sent {
                Ok(sent) => written += sent,
                // No event tells when other processes have received descriptors.
                Err(error) if is_shortage(&error) => thread::park_timeout(limits::NO_ROOM_PAUSE),
                Err(error) => return Err(error),
            }
        }
        self.socket.send_all(&bytes[written..])
    }

    /// Sends `Returned` and the answer of a call, which ran for the time `ran`.
    pub(crate) fn send_answer(
        &self,
        ticket: Ticket,
        ran: Duration,
        frame: &EncodedValue,
    ) -> io::Result<()> {
        let mut bytes = FromWorker::Returned(ticket, ran).to_bytes();
        if frame.attachments.is_empty() && frame.bytes.len() <= limits::GATHER_BYTES {
            // In one system call, which wakes the reader once.
            bytes.extend_from_slice(&frame.bytes);
            return self.send(&bytes);
        }
        self.send(&bytes)?;
        self.send_with(frame)
    }

    /// Sends a short frame if there is room.
    pub(crate) fn try_send(&self, frame: &[u8]) {
        let _ = self.socket.try_send(frame);
    }

    /// Takes the attachments of the first frame.
    pub(crate) fn take_page(&mut self) -> Option<Attachments> {
        self.page.take()
    }
}
