//! The memory that a pool shares with one worker: what lies where in it.
//!
//! | words              | what                                             | written by                 |
//! |--------------------|--------------------------------------------------|----------------------------|
//! | `WORKER_SLEEP`     | whether the worker sleeps ([`sleep`](super::lane::sleep))            | both                       |
//! | `WORKER_CPU`       | on which CPU it has last woken                   | the worker                 |
//! | `POOL_SLEEP`       | whether its reader sleeps ([`sleep`](super::lane::sleep))            | both                       |
//! | `ORDERS`           | how often the pool has told it something over the stream that is no call | the pool |
//! | from `SEQUENCE`    | the tickets of the last calls, in their order    | the pool                   |
//! | from `SLOT`        | of each slot: its word ([`slots`](super::slots)), the run time of its last call, how far the worker is in a chunk ([`items`](super::slots::items)), and its letter | both |
//! | from `LONG`        | of each slot: the room for a letter that is too long for the slot | both      |
//!
//! What is not written by both has a cache line without words of the other side. A *letter* is what a frame carries: first
//! the call, written by the pool before the slot is `Queued`, then, in the same place, its answer, written by the worker before
//! the slot is `Done`. It is copied in and out word by word, as numbers that may change at any time: so a worker that writes
//! where it should not can send rubbish, and no more. The answers of a chunk are written one after the other, each before the
//! next call of it begins, into the room for long letters, where they are found if the worker dies.
//!
//! Memory that is never written to is never there: a worker that has had short calls only takes some pages of this. What long
//! letters have taken the pool gives back when there have been none for a while.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::lane::adaptive_spin::AdaptiveSpin;
use super::lane::sleep::{PoolSleep, WorkerSleep};
use super::slots::PageCorrupt;
use crate::id::Ticket;
use crate::limits::{LETTER_BYTES, SLOTS};
use crate::sys::shared_words::SharedWords;

const WORKER_SLEEP: usize = 0;
const WORKER_CPU: usize = 8;
const POOL_SLEEP: usize = 16;
const ORDERS: usize = 24;
const SEQUENCE: usize = 32;
const SLOT: usize = SEQUENCE + SLOTS;
const LONG: usize = (SLOT + SLOTS * SLOT_WORDS).next_multiple_of(PAGE_WORDS);
const WORDS: usize = (LONG + SLOTS * LONG_WORDS).next_multiple_of(PAGE_WORDS);

/// Words of a page of memory, which is where what is not used ends.
const PAGE_WORDS: usize = 512;

/// Of each slot: its word, the run time, the letter's head, how far a chunk is, and room for a short letter. Pairs of cache
/// lines, which are fetched together.
const SLOT_WORDS: usize = 32;
const RUN_TIME: usize = 1;
const HEAD: usize = 2;
const ITEMS: usize = 3;
const SHORT: usize = 4;
const SHORT_BYTES: usize = (SLOT_WORDS - SHORT) * size_of::<u64>();

/// Of each slot: the room for a long letter, and some more, or they would all begin in the same set of the cache.
const LONG_WORDS: usize = LETTER_BYTES / size_of::<u64>() + 40;

/// What the memory is called in /proc.
const NAME: &str = "loky-lane";

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Page {
    words: SharedWords,
    is_shared: bool,
    /// How often the pool's reader was told to look at something else. No worker has a part in that, so it does not lie in what is
    /// shared.
    disturbances: AtomicU64,
    /// Its reader's, which is the pool's own as well.
    patience: AdaptiveSpin,
    /// Whether this side has seen a long letter since the memory was given back.
    has_long: AtomicBool,
}

/// What a letter's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    /// A frame of this kind, whose body lies here.
    Here { kind: u8, length: usize },
    /// It is too long, or has descriptors, and comes over the stream.
    OnStream,
}

impl Letter {
    /// What nothing else is likely to leave behind, and no length.
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
            Ok(length) if length <= LETTER_BYTES => Ok(Self::Here { kind, length }),
            _ => Err(PageCorrupt),
        }
    }
}

impl Page {
    /// A new one, and the descriptor that goes to the worker.
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        let (words, fd) = SharedWords::create(NAME, WORDS)?;
        let page = Self::of(words);
        page.pool_sleep().wake_up();
        Ok((page, fd))
    }

    /// The one that a pool has created.
    pub(crate) fn open(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let words = SharedWords::open(fd, WORDS)?;
        Ok(Self::of(words))
    }

    /// A page that no worker maps. The pool keeps its record of a worker there that it reaches over the stream alone.
    pub(crate) fn private() -> io::Result<Self> {
        Ok(Self { is_shared: false, ..Self::of(SharedWords::private(LONG)?) })
    }

    fn of(words: SharedWords) -> Self {
        let (disturbances, patience) = (AtomicU64::new(0), AdaptiveSpin::default());
        let has_long = AtomicBool::new(false);
        Self { words, is_shared: true, disturbances, patience, has_long }
    }

    /// Whether a worker has the page as well.
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

    /// The slot's word.
    pub(super) fn state(&self, ticket: Ticket) -> &AtomicU64 {
        &self.slot(ticket)[0]
    }

    /// In nanoseconds.
    pub(super) fn run_time(&self, ticket: Ticket) -> &AtomicU64 {
        &self.slot(ticket)[RUN_TIME]
    }

    /// How far the worker is in the chunk that the slot has.
    pub(super) fn items(&self, ticket: Ticket) -> &AtomicU64 {
        &self.slot(ticket)[ITEMS]
    }

    /// Where the ticket of the call with this number stands.
    pub(super) fn sequence(&self, number: u64) -> &AtomicU64 {
        self.word(SEQUENCE + usize::try_from(number % SLOTS as u64).expect("less than the slots"))
    }

    /// See [`WORKER_CPU`].
    pub(super) fn worker_cpu(&self) -> &AtomicU64 {
        self.word(WORKER_CPU)
    }

    /// See [`ORDERS`].
    pub(super) fn orders(&self) -> &AtomicU64 {
        self.word(ORDERS)
    }

    /// See the field.
    pub(super) fn disturbances(&self) -> &AtomicU64 {
        &self.disturbances
    }

    /// See the field.
    pub(super) fn patience(&self) -> &AdaptiveSpin {
        &self.patience
    }

    pub(super) fn worker_sleep(&self) -> WorkerSleep<'_, AtomicU64> {
        WorkerSleep(self.word(WORKER_SLEEP))
    }

    pub(super) fn pool_sleep(&self) -> PoolSleep<'_, AtomicU64> {
        PoolSleep(self.word(POOL_SLEEP))
    }

    /// Where a letter of so many bytes lies.
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

    /// Whether long letters take memory, as far as this side has seen any.
    pub(super) fn has_long(&self) -> bool {
        self.has_long.load(Ordering::Relaxed)
    }

    /// Gives the memory of long letters back, of which there must be none on either side. A worker that writes there all the
    /// same spoils its own answers.
    pub(super) fn give_back_long(&self) {
        self.has_long.store(false, Ordering::Relaxed);
        // Where pages are larger than these it stays.
        let _ = self.words.give_back(LONG..WORDS);
    }

    /// Writes a frame of this kind, if its body is not too long. False if it is to go over the stream.
    pub(super) fn write(&self, ticket: Ticket, kind: u8, body: &[u8]) -> bool {
        if body.len() > LETTER_BYTES {
            self.write_on_stream(ticket);
            return false;
        }
        store(self.room(ticket, body.len()), body);
        self.write_head(ticket, Letter::Here { kind, length: body.len() });
        true
    }

    /// Says that the frame goes over the stream.
    pub(super) fn write_on_stream(&self, ticket: Ticket) {
        self.write_head(ticket, Letter::OnStream);
    }

    fn write_head(&self, ticket: Ticket, letter: Letter) {
        self.slot(ticket)[HEAD].store(letter.to_word(), Ordering::Relaxed);
    }

    /// What is written there.
    pub(super) fn letter(&self, ticket: Ticket) -> Result<Letter, PageCorrupt> {
        Letter::from_word(self.slot(ticket)[HEAD].load(Ordering::Relaxed))
    }

    /// Appends the body of a letter that is here and so long.
    pub(super) fn read(&self, ticket: Ticket, length: usize, out: &mut Vec<u8>) {
        load(self.room(ticket, length), length, out);
    }

    /// Writes the answers of a chunk so far, of which so many bytes are written already. False if they are too long.
    pub(super) fn write_answers(&self, ticket: Ticket, answers: &[u8], written: usize) -> bool {
        let Some(room) = (answers.len() <= LETTER_BYTES).then(|| self.long_room(ticket)) else {
            return false;
        };
        // The last word that was written may not have been full.
        let first = written / size_of::<u64>();
        store(&room[first..], &answers[first * size_of::<u64>()..]);
        true
    }

    /// Says that all answers of a chunk are written, so many bytes.
    pub(super) fn write_answers_head(&self, ticket: Ticket, kind: u8, length: usize) {
        self.write_head(ticket, Letter::Here { kind, length });
    }

    /// Appends the first bytes of the answers of a chunk.
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

/// Appends so many bytes that are read word by word.
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
    fn letters_of_any_length_arrive() {
        let (ours, fd) = Page::create().unwrap();
        let theirs = Page::open(fd.as_fd()).unwrap();
        let lengths =
            [0, 1, 7, 8, 9, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 5000, LETTER_BYTES];
        for (slot, length) in lengths.into_iter().enumerate() {
            let ticket = Ticket(slot as u64);
            let body: Vec<u8> = (1..=251).cycle().take(length).collect();
            assert!(ours.write(ticket, 9, &body));
            assert_eq!(theirs.letter(ticket), Ok(Letter::Here { kind: 9, length }));
            let mut read = vec![1, 2];
            theirs.read(ticket, length, &mut read);
            assert_eq!(read[2..], body);
        }
        assert!(!ours.write(Ticket(0), 9, &[0; LETTER_BYTES + 1]));
        assert_eq!(theirs.letter(Ticket(0)), Ok(Letter::OnStream));
    }

    #[test]
    fn slots_do_not_overlap() {
        let (page, _fd) = Page::create().unwrap();
        let body = |slot: u64, length: usize| vec![u8::try_from(slot).unwrap(); length];
        for length in [SHORT_BYTES, LETTER_BYTES] {
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
    fn the_memory_of_long_letters_is_given_back() {
        let (page, fd) = Page::create().unwrap();
        let taken = || rustix::fs::fstat(&fd).unwrap().st_blocks * 512;
        page.write(Ticket(1), 1, &[7; SHORT_BYTES]);
        let before = taken();
        assert!(!page.has_long());
        page.write(Ticket(2), 1, &[7; LETTER_BYTES]);
        assert!(page.has_long() && taken() >= before + LETTER_BYTES as i64);
        page.give_back_long();
        assert!(!page.has_long() && taken() == before);
        let mut read = Vec::new();
        page.read(Ticket(1), SHORT_BYTES, &mut read);
        assert_eq!(read, [7; SHORT_BYTES]);
    }

    #[test]
    fn a_head_that_lies_is_not_believed() {
        for word in [(LETTER_BYTES as u64 + 1) << 8, u64::MAX, 1 << 63] {
            assert_eq!(Letter::from_word(word), Err(PageCorrupt));
        }
    }
}
