//! Frames: the header, writing, and the [`Decoder`] that puts frames together from pieces.

use std::collections::VecDeque;

use super::WireError;
use crate::codec::Attachments;
use crate::limits::{self, BATCH};
use crate::sys::socket::Batch;

/// The length of a header.
pub(crate) const HEADER_BYTES: usize = 24;

/// The first four bytes of every frame. Output of a program does not begin like this.
const MARK: [u8; 4] = *b"\xf5lky";

/// One frame: the kind of its message, the ticket of its call (0: none), its body and its attachments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) call: u64,
    pub(crate) body: Vec<u8>,
    pub(crate) attachments: Result<Attachments, CutOff>,
}

impl Default for Frame {
    fn default() -> Self {
        Self { kind: 0, call: 0, body: Vec::new(), attachments: Ok(Attachments::new()) }
    }
}

/// Descriptors of a frame are missing: this process has no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutOff;

/// Starts a frame at the end of `out`. The caller appends the body, then calls [`finish`].
pub(crate) fn begin(out: &mut Vec<u8>, kind: u8, call: u64) {
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[kind, 0, 0, 0]);
    out.extend_from_slice(&call.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
}

/// Completes the frame, which starts at the front of `frame`.
pub(crate) fn finish(frame: &mut [u8]) {
    finish_before(frame, 0);
}

/// Returns the kind and the body of a whole frame.
pub(crate) fn parts(frame: &[u8]) -> (u8, &[u8]) {
    (frame[MARK.len()], &frame[HEADER_BYTES..])
}

/// Completes a frame whose last `rest_bytes` bytes are not in `frame`. They follow it.
pub(crate) fn finish_before(frame: &mut [u8], rest_bytes: usize) {
    let body = (frame.len() - HEADER_BYTES + rest_bytes) as u64;
    frame[16..HEADER_BYTES].copy_from_slice(&body.to_le_bytes());
}

/// Sets the number of descriptors of the frame, which starts at the front of `frame`.
pub(crate) fn set_descriptors(frame: &mut [u8], n_descriptors: u16) {
    frame[6..8].copy_from_slice(&n_descriptors.to_le_bytes());
}

/// A parsed header.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: u8,
    call: u64,
    body_bytes: u64,
    n_descriptors: u16,
}

impl Header {
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, WireError> {
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        if bytes[..4] != MARK || bytes[5] != 0 {
            return Err(WireError("bytes begin no message"));
        }
        let n_descriptors = u16::from_le_bytes([bytes[6], bytes[7]]);
        let (call, body_bytes) = (number(8), number(16));
        let header = Self { kind: bytes[4], call, body_bytes, n_descriptors };
        if header.body_bytes > limits::MAX_BODY_BYTES {
            return Err(WireError("message is longer than the limit"));
        }
        Ok(header)
    }
}

/// Returns the number of descriptors in each write of a frame that has `n_descriptors`.
fn batches(n_descriptors: u16) -> impl ExactSizeIterator<Item = usize> {
    let n = usize::from(n_descriptors);
    (0..n.div_ceil(BATCH)).map(move |batch| BATCH.min(n - batch * BATCH))
}

/// Puts frames together from pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    current: Option<Unfinished>,
    /// The descriptors of frames that are not complete.
    #[expect(
        clippy::box_collection,
        reason = "decoders are passed around, and few have descriptors"
    )]
    batches: Option<Box<VecDeque<Batch>>>,
    complete: VecDeque<Frame>,
}

/// A frame whose body is being filled.
#[derive(Debug)]
struct Unfinished {
    header: Header,
    body: Vec<u8>,
}

impl Unfinished {
    fn missing_bytes(&self) -> u64 {
        self.header.body_bytes - self.body.len() as u64
    }
}

impl Decoder {
    /// Takes the next piece. After an error, later bytes of the peer mean nothing.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) -> Result<(), WireError> {
        while !piece.is_empty() {
            piece = match &mut self.current {
                None => self.feed_header(piece)?,
                Some(current) => {
                    let missing = usize::try_from(current.missing_bytes()).unwrap_or(usize::MAX);
                    let (taken, rest) = piece.split_at(piece.len().min(missing));
                    current.body.extend_from_slice(taken);
                    rest
                }
            };
            self.complete_current()?;
        }
        self.check_batches()
    }

    /// Takes the next piece, and the descriptors that came with one of its bytes.
    pub(crate) fn feed_with(&mut self, batch: Batch, piece: &[u8]) -> Result<(), WireError> {
        if !batch.is_none() {
            self.batches.get_or_insert_default().push_back(batch);
        }
        self.feed(piece)
    }

    /// Checks that all descriptors belong to the frame that has begun.
    fn check_batches(&self) -> Result<(), WireError> {
        let Some(here) = &self.batches else { return Ok(()) };
        let due = match &self.current {
            Some(current) => batches(current.header.n_descriptors).len(),
            // Their number is not known yet. With each byte of the header at most one batch comes.
            None => self.header_filled,
        };
        if here.len() > due { Err(UNASKED) } else { Ok(()) }
    }

    fn feed_header<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], WireError> {
        let taken = piece.len().min(HEADER_BYTES - self.header_filled);
        self.header[self.header_filled..][..taken].copy_from_slice(&piece[..taken]);
        self.header_filled += taken;
        if self.header_filled == HEADER_BYTES {
            self.header_filled = 0;
            let header = Header::parse(&self.header)?;
            let body_bytes = usize::try_from(header.body_bytes).unwrap_or(usize::MAX);
            let body = Vec::with_capacity(limits::BODY_RESERVE_BYTES.min(body_bytes));
            self.current = Some(Unfinished { header, body });
        }
        Ok(&piece[taken..])
    }

    fn complete_current(&mut self) -> Result<(), WireError> {
        if let Some(Unfinished { header, body }) =
            self.current.take_if(|current| current.missing_bytes() == 0)
        {
            let Header { kind, call, n_descriptors, .. } = header;
            let attachments = match n_descriptors {
                0 => Ok(Attachments::new()),
                n => self.take_batches(n)?,
            };
            self.complete.push_back(Frame { kind, call, body, attachments });
        }
        Ok(())
    }

    /// Takes the descriptors of a complete frame. All have arrived, since they came with its bytes.
    fn take_batches(
        &mut self,
        n_descriptors: u16,
    ) -> Result<Result<Attachments, CutOff>, WireError> {
        let mut descriptors = Vec::new();
        let mut is_cut_off = false;
        for due in batches(n_descriptors) {
            let batch = self.batches.as_mut().and_then(|batches| batches.pop_front());
            let Batch { fds, is_cut_off: is_short } = batch.ok_or(MISSING)?;
            is_cut_off |= is_short;
            // Of a batch that was cut off the full number is unknown, and its descriptors are dropped.
            if fds.len() != due && !is_short {
                return Err(if fds.len() < due { MISSING } else { UNASKED });
            }
            descriptors.extend(fds);
        }
        Ok(if is_cut_off { Err(CutOff) } else { Ok(descriptors.into_iter().collect()) })
    }

    /// Returns the next complete frame.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        self.complete.pop_front()
    }

    /// Makes a frame the next one again.
    pub(crate) fn put_back(&mut self, frame: Frame) {
        self.complete.push_front(frame);
    }

    /// Returns whether there is a frame, or the beginning of one.
    pub(crate) fn has_begun(&self) -> bool {
        self.is_inside_frame() || !self.complete.is_empty()
    }

    /// Returns whether a frame has begun that is not complete.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.header_filled > 0 || self.current.is_some()
    }
}

const MISSING: WireError = WireError("descriptors of a message are missing");

const UNASKED: WireError = WireError("descriptors came that no message announces");
