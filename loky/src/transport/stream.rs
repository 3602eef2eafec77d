//! Frames over a stream socket.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::batches::send_next;
use crate::codec::{Attachments, EncodedValue};
use crate::id::Ticket;
use crate::limits;
use crate::sys::is_shortage;
use crate::sys::socket::{Batch, Socket};
use crate::wire::WireError;
use crate::wire::args::CallArgs;
use crate::wire::frame::{self, Decoder, Frame};
use crate::wire::message::{self, FromWorker};

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

/// Some of the bytes that are to be written.
#[derive(Debug)]
enum Piece {
    /// Frames that were put together, so that many small ones take one system call.
    Gathered(Vec<u8>),
    /// The rest of a frame, too long to be copied.
    Shared(Arc<Vec<u8>>),
    /// A frame, or so much of its beginning that all its descriptors can go with it.
    Attached(Vec<u8>, Attachments),
    /// The rest of such a frame: the arguments from here on.
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

    /// The same with the message that what travelled beside the result of a call has not come through.
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

    /// Waits for the next frame, and puts it into `frame`. False at the end.
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

    /// The same if there is anything now; else `None`. What has begun is waited for.
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

    /// Takes a frame back, which is the next one again.
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

    /// The same with what travels beside it.
    pub(crate) fn send_parcel(&self, frame: &EncodedValue) -> io::Result<()> {
        let EncodedValue { bytes, attachments } = frame;
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

    /// Sends the answer of a call that ran for `ran`, behind the message that it has returned.
    pub(crate) fn send_answer(
        &self,
        ticket: Ticket,
        ran: Duration,
        frame: &EncodedValue,
    ) -> io::Result<()> {
        let mut bytes = FromWorker::Returned(ticket, ran).to_bytes();
        if frame.attachments.is_empty() && frame.bytes.len() <= limits::GATHER_BYTES {
            // Together they take one system call, and wake the reader once.
            bytes.extend_from_slice(&frame.bytes);
            return self.send(&bytes);
        }
        self.send(&bytes)?;
        self.send_parcel(frame)
    }

    /// Sends one frame that is short, if there is room for it.
    pub(crate) fn try_send(&self, frame: &[u8]) {
        let _ = self.socket.try_send(frame);
    }

    /// What has come with the first frame.
    pub(crate) fn take_page(&mut self) -> Option<Attachments> {
        self.page.take()
    }
}
