//! Delimited units: the header, writing one, and putting them together again from pieces.

use std::collections::VecDeque;

use super::WireError;
use crate::limits;

/// The length of a header.
pub(crate) const HEADER_BYTES: usize = 24;

/// The first four bytes of every frame. Output that strays into a channel does not begin so.
const MARK: [u8; 4] = *b"\xf5lky";

/// One unit: what kind it is of, which call it is about (its ticket; 0 if none), and its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) call: u64,
    pub(crate) body: Vec<u8>,
}

/// Starts a frame in `out`; the body is to be appended, then [`finish`] called.
pub(crate) fn begin(out: &mut Vec<u8>, kind: u8, call: u64) {
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[kind, 0, 0, 0]);
    out.extend_from_slice(&call.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
}

/// Completes the frame that starts at the front of `frame`.
pub(crate) fn finish(frame: &mut [u8]) {
    finish_before(frame, 0);
}

/// The kind and the body of a whole frame.
pub(crate) fn parts(frame: &[u8]) -> (u8, &[u8]) {
    (frame[MARK.len()], &frame[HEADER_BYTES..])
}

/// Completes the frame that starts at the front of `frame`, but for so many bytes of its body, which follow.
pub(crate) fn finish_before(frame: &mut [u8], rest_bytes: usize) {
    let body = (frame.len() - HEADER_BYTES + rest_bytes) as u64;
    frame[16..HEADER_BYTES].copy_from_slice(&body.to_le_bytes());
}

/// A parsed header.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: u8,
    call: u64,
    body_bytes: u64,
}

impl Header {
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, WireError> {
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        if bytes[..4] != MARK || bytes[5..8] != [0; 3] {
            return Err(WireError("bytes that begin no message"));
        }
        let header = Self { kind: bytes[4], call: number(8), body_bytes: number(16) };
        if header.body_bytes > limits::MAX_BODY_BYTES {
            return Err(WireError("a message that is longer than any may be"));
        }
        Ok(header)
    }
}

/// Puts frames together from pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    /// The frame whose body is being filled, and how long that is to be.
    current: Option<(Frame, u64)>,
    complete: VecDeque<Frame>,
}

impl Decoder {
    /// Takes the next piece. After an error the peer's bytes mean nothing any more.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) -> Result<(), WireError> {
        while !piece.is_empty() {
            piece = match &mut self.current {
                None => self.feed_header(piece)?,
                Some((frame, body_bytes)) => {
                    let missing = *body_bytes - frame.body.len() as u64;
                    let taken = piece.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
                    frame.body.extend_from_slice(&piece[..taken]);
                    &piece[taken..]
                }
            };
            self.complete_current();
        }
        Ok(())
    }

    fn feed_header<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], WireError> {
        let taken = piece.len().min(HEADER_BYTES - self.header_filled);
        self.header[self.header_filled..][..taken].copy_from_slice(&piece[..taken]);
        self.header_filled += taken;
        if self.header_filled == HEADER_BYTES {
            self.header_filled = 0;
            let Header { kind, call, body_bytes } = Header::parse(&self.header)?;
            let reserve =
                limits::BODY_RESERVE_BYTES.min(usize::try_from(body_bytes).unwrap_or(usize::MAX));
            let frame = Frame { kind, call, body: Vec::with_capacity(reserve) };
            self.current = Some((frame, body_bytes));
        }
        Ok(&piece[taken..])
    }

    fn complete_current(&mut self) {
        if let Some((frame, _)) =
            self.current.take_if(|(frame, body_bytes)| frame.body.len() as u64 == *body_bytes)
        {
            self.complete.push_back(frame);
        }
    }

    /// The next complete frame.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        self.complete.pop_front()
    }

    /// Whether there is a frame, or the beginning of one.
    pub(crate) fn has_begun(&self) -> bool {
        self.is_inside_frame() || !self.complete.is_empty()
    }

    /// Whether a frame has begun that is not complete.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.header_filled > 0 || self.current.is_some()
    }
}
