//! The memory that a pool shares with one worker: which word lies where.
//!
//! | words           | content | written by |
//! |-----------------|---------|------------|
//! | `WORKER_SLEEP`  | the worker's [sleep word](super::words::sleep) | both |
//! | `WORKER_CPU`    | the CPU on which the worker last woke | the worker |
//! | `POOL_SLEEP`    | the [sleep word](super::words::sleep) of the pool's reader | both |
//! | `ORDERS`        | a count of orders: messages on the stream that are no calls | the pool |
//! | from `SEQUENCE` | the tickets of the last calls, in the order of dispatch | the pool |
//! | from `SLOT`     | for each slot its [slot word](super::words::slot), the run time of its last call, the head of its frame, the [batch word](super::words::batch), and room for a short frame | both |
//! | from `LONG`     | for each slot the room for a long frame | both |
//!
//! Words that only one side writes have a cache line without words of the other side.
//!
//! A slot holds a frame. The pool writes the call there before the slot is Queued. The worker writes the answer over it before the
//! slot is Done. Bytes are copied word by word as numbers that may change at any time, so a worker that writes where it should
//! not can produce garbage, and nothing worse. The answers of a batch are written one behind the other into the room for long
//! frames, each before the next call begins. The pool finds them there when the worker dies.
//!
//! Memory that is never written takes no room: a worker that has had short calls only holds a few pages of the system. The pool
//! gives the room for long frames back when the worker has had no call for a while.
//!
//! Where the system allows no shared memory, the pool has a [private](Page::private) page for each worker. The pool then keeps the
//! slot words itself, by what the worker says on the stream.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::words::PageCorrupt;
use crate::id::Ticket;
use crate::limits::{SLOT_FRAME_BYTES, SLOTS};
use crate::sys::shared_words::SharedWords;

const WORKER_SLEEP: usize = 0;
const WORKER_CPU: usize = 8;
const POOL_SLEEP: usize = 16;
const ORDERS: usize = 24;
const SEQUENCE: usize = 32;
const SLOT: usize = SEQUENCE + SLOTS;
const LONG: usize = (SLOT + SLOTS * SLOT_WORDS).next_multiple_of(PAGE_WORDS);
const WORDS: usize = (LONG + SLOTS * LONG_WORDS).next_multiple_of(PAGE_WORDS);

/// The words of a page of the system. Only whole ones can be given back.
const PAGE_WORDS: usize = 512;

/// The words of a slot. They fill pairs of cache lines, which the processor fetches together.
const SLOT_WORDS: usize = 32;
const RUN_TIME: usize = 1;
const HEAD: usize = 2;
const BATCH: usize = 3;
const SHORT: usize = 4;
const SHORT_BYTES: usize = (SLOT_WORDS - SHORT) * size_of::<u64>();

/// The room for a long frame, and some more: otherwise all rooms would begin in one set of the cache.
const LONG_WORDS: usize = SLOT_FRAME_BYTES / size_of::<u64>() + 40;

/// The name of the memory in /proc.
const NAME: &str = "loky-lane";

/// One side's mapping of a page.
#[derive(Debug)]
pub(crate) struct Page {
    words: SharedWords,
    is_shared: bool,
    /// Whether this side has used the room for long frames since it was given back.
    has_long: AtomicBool,
}

/// The head of the frame in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotFrame {
    /// The frame is in the slot.
    Here { kind: u8, length: usize },
    /// The frame is too long or has descriptors. It comes over the stream.
    OnStream,
}

impl SlotFrame {
    /// No length, and a number that a stray write hardly produces.
    const ON_STREAM: u64 = 0x6d61_6572_7473_6e6f;

    fn to_word(self) -> u64 {
        match self {
            Self::Here { kind, length } => (length as u64) << 8 | u64::from(kind),
            Self::OnStream => Self::ON_STREAM,
        }
    }

    fn from_word(word: u64) -> Result<Self, PageCorrupt> {
        if word == Self::ON_STREAM {
            return Ok(Self::OnStream);
        }
        let [kind, ..] = word.to_le_bytes();
        match usize::try_from(word >> 8) {
            Ok(length) if length <= SLOT_FRAME_BYTES => Ok(Self::Here { kind, length }),
            _ => Err(PageCorrupt),
        }
    }
}

impl Page {
    /// Creates a page. The worker maps it by the descriptor.
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        let (words, fd) = SharedWords::create(NAME, WORDS)?;
        Ok((Self::of(words), fd))
    }

    /// Maps the page that a pool has created.
    pub(crate) fn open(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let words = SharedWords::open(fd, WORDS)?;
        Ok(Self::of(words))
    }

    /// Creates a page that no worker maps. It has no room for long frames.
    pub(crate) fn private() -> io::Result<Self> {
        Ok(Self { is_shared: false, ..Self::of(SharedWords::private(LONG)?) })
    }

    fn of(words: SharedWords) -> Self {
        Self { words, is_shared: true, has_long: AtomicBool::new(false) }
    }

    /// Returns whether a worker maps the page as well.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.words.words()[at]
    }

    fn slot(&self, ticket: Ticket) -> &[AtomicU64] {
        let at = SLOT + ticket.slot() * SLOT_WORDS;
        &self.words.words()[at..at + SLOT_WORDS]
    }

    /// Returns the slot word.
    pub(super) fn state(&self, ticket: Ticket) -> &AtomicU64 {
        &self.slot(ticket)[0]
    }

    /// Returns the run time of the slot's last call, in nanoseconds.
    pub(super) fn run_time(&self, ticket: Ticket) -> &AtomicU64 {
        &self.slot(ticket)[RUN_TIME]
    }

    /// Returns the batch word.
    pub(super) fn batch(&self, ticket: Ticket) -> &AtomicU64 {
        &self.slot(ticket)[BATCH]
    }

    /// Returns the word for the ticket of the `number`-th call.
    pub(super) fn sequence(&self, number: u64) -> &AtomicU64 {
        self.word(SEQUENCE + usize::try_from(number % SLOTS as u64).expect("less than the slots"))
    }

    /// Returns the CPU on which the worker last woke.
    pub(super) fn worker_cpu(&self) -> &AtomicU64 {
        self.word(WORKER_CPU)
    }

    /// Returns the count of orders.
    pub(super) fn orders(&self) -> &AtomicU64 {
        self.word(ORDERS)
    }

    /// Returns the worker's sleep word.
    pub(super) fn worker_sleep(&self) -> &AtomicU64 {
        self.word(WORKER_SLEEP)
    }

    /// Returns the sleep word of the pool's reader.
    pub(super) fn pool_sleep(&self) -> &AtomicU64 {
        self.word(POOL_SLEEP)
    }

    /// Returns the room for a frame of `length` bytes.
    fn room(&self, ticket: Ticket, length: usize) -> &[AtomicU64] {
        if length <= SHORT_BYTES {
            return &self.slot(ticket)[SHORT..];
        }
        self.long_room(ticket)
    }

    fn long_room(&self, ticket: Ticket) -> &[AtomicU64] {
        self.has_long.store(true, Ordering::Relaxed);
        let at = LONG + ticket.slot() * LONG_WORDS;
        &self.words.words()[at..at + LONG_WORDS]
    }

    /// Returns whether long frames take memory, as far as this side has seen any.
    pub(super) fn has_long(&self) -> bool {
        self.has_long.load(Ordering::Relaxed)
    }

    /// Gives the memory of long frames back. No slot may have a frame there. A worker that writes there nevertheless spoils its own
    /// answers.
    pub(super) fn give_back_long(&self) {
        self.has_long.store(false, Ordering::Relaxed);
        // Where the pages of the system are larger than `PAGE_WORDS` the memory stays.
        let _ = self.words.give_back(LONG..WORDS);
    }

    /// Writes a frame. Returns false if it is too long, and must go over the stream.
    pub(super) fn write(&self, ticket: Ticket, kind: u8, body: &[u8]) -> bool {
        if body.len() > SLOT_FRAME_BYTES {
            self.write_on_stream(ticket);
            return false;
        }
        store(self.room(ticket, body.len()), body);
        self.write_head(ticket, SlotFrame::Here { kind, length: body.len() });
        true
    }

    /// Notes in the slot that the frame goes over the stream.
    pub(super) fn write_on_stream(&self, ticket: Ticket) {
        self.write_head(ticket, SlotFrame::OnStream);
    }

    fn write_head(&self, ticket: Ticket, frame: SlotFrame) {
        self.slot(ticket)[HEAD].store(frame.to_word(), Ordering::Relaxed);
    }

    /// Returns the head of the frame in the slot.
    pub(super) fn frame(&self, ticket: Ticket) -> Result<SlotFrame, PageCorrupt> {
        SlotFrame::from_word(self.slot(ticket)[HEAD].load(Ordering::Relaxed))
    }

    /// Appends the bytes of a frame of `length` bytes to `out`.
    pub(super) fn read(&self, ticket: Ticket, length: usize, out: &mut Vec<u8>) {
        load(self.room(ticket, length), length, out);
    }

    /// Writes the answers of a batch so far. The first `written` bytes are there already. Returns false if they are too long.
    pub(super) fn write_answers(&self, ticket: Ticket, answers: &[u8], written: usize) -> bool {
        let Some(room) = (answers.len() <= SLOT_FRAME_BYTES).then(|| self.long_room(ticket)) else {
            return false;
        };
        // The last word may be half full.
        let first = written / size_of::<u64>();
        store(&room[first..], &answers[first * size_of::<u64>()..]);
        true
    }

    /// Writes the head for the answers of a batch, which have `length` bytes.
    pub(super) fn write_answers_head(&self, ticket: Ticket, kind: u8, length: usize) {
        self.write_head(ticket, SlotFrame::Here { kind, length });
    }

    /// Appends the first `length` bytes of the answers of a batch to `out`.
    pub(super) fn read_answers(&self, ticket: Ticket, length: usize, out: &mut Vec<u8>) {
        load(self.long_room(ticket), length, out);
    }
}

/// Writes bytes word by word.
fn store(room: &[AtomicU64], bytes: &[u8]) {
    let (words, rest) = bytes.as_chunks();
    for (word, bytes) in room.iter().zip(words) {
        word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; size_of::<u64>()];
        last[..rest.len()].copy_from_slice(rest);
        room[words.len()].store(u64::from_ne_bytes(last), Ordering::Relaxed);
    }
}

/// Appends `length` bytes that are read word by word.
fn load(room: &[AtomicU64], length: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + length, 0);
    let (words, rest) = out[start..].as_chunks_mut();
    let mut room = room.iter().map(|word| word.load(Ordering::Relaxed));
    for (bytes, word) in words.iter_mut().zip(&mut room) {
        *bytes = word.to_ne_bytes();
    }
    if let Some(last) = room.next() {
        rest.copy_from_slice(&last.to_ne_bytes()[..rest.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn frame_of_any_length_arrives() {
        let (ours, fd) = Page::create().unwrap();
        let theirs = Page::open(fd.as_fd()).unwrap();
        let lengths =
            [0, 1, 7, 8, 9, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 5000, SLOT_FRAME_BYTES];
        for (slot, length) in lengths.into_iter().enumerate() {
            let ticket = Ticket(slot as u64);
            let body: Vec<u8> = (1..=251).cycle().take(length).collect();
            assert!(ours.write(ticket, 9, &body));
            assert_eq!(theirs.frame(ticket), Ok(SlotFrame::Here { kind: 9, length }));
            let mut read = vec![1, 2];
            theirs.read(ticket, length, &mut read);
            assert_eq!(read[2..], body);
        }
        assert!(!ours.write(Ticket(0), 9, &[0; SLOT_FRAME_BYTES + 1]));
        assert_eq!(theirs.frame(Ticket(0)), Ok(SlotFrame::OnStream));
    }

    #[test]
    fn frames_of_all_slots_do_not_overlap() {
        let (page, _fd) = Page::create().unwrap();
        let body = |slot: u64, length: usize| vec![u8::try_from(slot).unwrap(); length];
        for length in [SHORT_BYTES, SLOT_FRAME_BYTES] {
            let tickets = || (0..SLOTS as u64).map(Ticket);
            tickets().for_each(|ticket| assert!(page.write(ticket, 1, &body(ticket.0, length))));
            for ticket in tickets() {
                let mut read = Vec::new();
                page.read(ticket, length, &mut read);
                assert_eq!(read, body(ticket.0, length));
                assert_eq!(page.state(ticket).load(Ordering::Relaxed), 0);
            }
        }
    }

    #[test]
    fn long_frames_are_given_back() {
        let (page, fd) = Page::create().unwrap();
        let taken = || rustix::fs::fstat(&fd).unwrap().st_blocks * 512;
        page.write(Ticket(1), 1, &[7; SHORT_BYTES]);
        let before = taken();
        assert!(!page.has_long());
        page.write(Ticket(2), 1, &[7; SLOT_FRAME_BYTES]);
        assert!(page.has_long() && taken() >= before + SLOT_FRAME_BYTES as i64);
        page.give_back_long();
        assert!(!page.has_long() && taken() == before);
        let mut read = Vec::new();
        page.read(Ticket(1), SHORT_BYTES, &mut read);
        assert_eq!(read, [7; SHORT_BYTES]);
    }

    #[test]
    fn impossible_head_is_corrupt() {
        for word in [(SLOT_FRAME_BYTES as u64 + 1) << 8, u64::MAX, 1 << 63] {
            assert_eq!(SlotFrame::from_word(word), Err(PageCorrupt));
        }
    }
}
