//! Frames over a stream socket.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;

use super::WorkerEnd;
use super::batches::send_next;
use super::slots::SlotPage;
use crate::codec::{Attachments, Parcel};
use crate::id::Ticket;
use crate::limits;
use crate::sys::is_shortage;
use crate::sys::socket::Socket;
use crate::wire::WireError;
use crate::wire::frame::{self, Decoder, Frame};

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
    /// Whether it is the system that had no room, rather than the channel.
    is_held_up: bool,
}

/// The frame of a call, for as often as it has to be written.
#[derive(Debug)]
pub(crate) enum CallBytes {
    /// Short enough to be copied.
    Short(Vec<u8>),
    Long(Arc<Vec<u8>>),
    /// With what travels beside it.
    Attached(Arc<Vec<u8>>, Attachments),
}

impl From<Vec<u8>> for CallBytes {
    fn from(frame: Vec<u8>) -> Self {
        if frame.len() <= limits::GATHER_BYTES {
            Self::Short(frame)
        } else {
            Self::Long(Arc::new(frame))
        }
    }
}

impl From<Parcel> for CallBytes {
    fn from(frame: Parcel) -> Self {
        let Parcel { bytes, attachments } = frame;
        match attachments.is_empty() {
            true => bytes.into(),
            false => Self::Attached(Arc::new(bytes), attachments),
        }
    }
}

/// Some of the bytes that are to be written.
#[derive(Debug)]
enum Piece {
    /// Frames that were put together, so that many small ones take one system call.
    Gathered(Vec<u8>),
    /// The rest of a frame, from here on, that is too long to be copied.
    Shared(Arc<Vec<u8>>, usize),
    /// A frame, or so much of its beginning that all its descriptors can go with it.
    Attached(Vec<u8>, Attachments),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Gathered(bytes) | Self::Attached(bytes, _) => bytes,
            Self::Shared(frame, from) => &frame[*from..],
        }
    }

    /// Writes what fits now, behind what is written.
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

    /// Adds the frame of a call, under this ticket. Nothing is written before [`flush`](Self::flush).
    pub(crate) fn push(&mut self, call: &CallBytes, ticket: Ticket) {
        let (copied, rest) = match call {
            CallBytes::Short(frame) => (&frame[..], None),
            CallBytes::Long(frame) => (&frame[..frame::HEADER_BYTES], Some(frame)),
            CallBytes::Attached(frame, attachments) => {
                return self.push_attached(frame, attachments.clone(), ticket);
            }
        };
        let gathered = self.gathered();
        let start = gathered.len();
        gathered.extend_from_slice(copied);
        frame::set_call(&mut gathered[start..], ticket.0);
        if let Some(frame) = rest {
            self.pieces.push_back(Piece::Shared(Arc::clone(frame), frame::HEADER_BYTES));
        }
    }

    fn push_attached(&mut self, frame: &Arc<Vec<u8>>, attachments: Attachments, ticket: Ticket) {
        let copied = frame.len().min(limits::GATHER_BYTES);
        let mut beginning = frame[..copied].to_vec();
        frame::set_call(&mut beginning, ticket.0);
        self.pieces.push_back(Piece::Attached(beginning, attachments));
        if copied < frame.len() {
            self.pieces.push_back(Piece::Shared(Arc::clone(frame), copied));
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

    /// Whether something waits for room in the channel.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Whether what waits is to be tried again after [`limits::NO_ROOM_PAUSE`], whatever poll(2) says of the channel.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_held_up
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
            Ok((0, _)) => Ok(Progress::Closed),
            Ok((read, batch)) => {
                self.decoder.feed_with(batch, &self.buffer[..read])?;
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
    /// What came with the first frame.
    page: Option<Attachments>,
    is_new: bool,
}

impl WorkerStream {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        let buffer = vec![0; limits::READ_BYTES].into_boxed_slice();
        Self { socket, decoder: Decoder::default(), buffer, page: None, is_new: true }
    }
}

impl WorkerEnd for WorkerStream {
    fn receive(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.decoder.next_frame() {
                if std::mem::take(&mut self.is_new) {
                    self.page = frame.attachments.clone().ok();
                }
                return Ok(Some(frame));
            }
            match self.socket.recv(&mut self.buffer)? {
                (0, _) => return Ok(None),
                (read, batch) => self
                    .decoder
                    .feed_with(batch, &self.buffer[..read])
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))?,
            }
        }
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.socket.send_all(frame)
    }

    fn send_parcel(&mut self, frame: &Parcel) -> io::Result<()> {
        let Parcel { bytes, attachments } = frame;
        let mut written = 0;
        while let Some(sent) = send_next(bytes, attachments.as_slice(), written, |bytes, fds| {
            self.socket.send_with(bytes, fds)
        }) {
            match sent {
                Ok(sent) => written += sent,
                // Nothing tells when the others have received what is on its way to them.
                Err(error) if is_shortage(&error) => thread::park_timeout(limits::NO_ROOM_PAUSE),
                Err(error) => return Err(error),
            }
        }
        self.socket.send_all(&bytes[written..])
    }

    fn slots(&mut self) -> io::Result<SlotPage> {
        // Nothing came, or this process had no descriptor left for it.
        let page = self.page.take().ok_or(io::ErrorKind::NotFound)?;
        let page = page.as_slice().first().ok_or(io::ErrorKind::NotFound)?;
        SlotPage::open(page.fd())
    }
}
