//! Memory in which long values go to another process, one after the other: a memfd that its writer has mapped, and of which its
//! reader has the descriptor. See memfd_create(2), fcntl(2), fallocate(2), pread(2).
//!
//! ```text
//!  0                                     capacity
//!  │ the value …                         │ word │   both as long as the memfd, which can neither grow nor shrink
//! ```
//!
//! **The reader never maps it.** It has the kernel copy the value into memory of its own, and that is the one copy that it makes:
//! numbers arrive in their `Vec`. So nothing that a task writes by mistake can land in memory of its pool, whoever decodes has
//! before him what can no more change, and nothing that the other side does is a `SIGBUS`. It is faster, too: of 64 MiB the
//! writer's copy into memory that is warm takes 10 ms, and to read that into fresh huge pages 19, where a mapping has to be made,
//! filled with its pages and taken away each time.
//!
//! The reader makes sure, before it makes room, that there is so much memory as there is said to be of the value, and that it is
//! memory: reading from it can neither block nor take for ever.
//!
//! | whose | the others may write | the word |
//! |---|---|---|
//! | [`Release::Known`]: the pool's, with arguments | nothing: the kernel lets only the mapping do it, which was there before | – |
//! | [`Release::EventSink`]: a worker's, with results | anything: the pool need not be protected from itself | says whether the reader has it |
//!
//! New memory is filled by write(2), for which no page need be zeroed or faulted in, and which is told if there is none;
//! the mapping is used for pages that are there already, which it gets at once (madvise(2)). Its pages are small ones: it is used
//! again, so faults are few, and after a pause fresh huge pages may take long to come by (on a virtual machine whose host has to
//! find them, a call with 64 MiB took 150 to 320 ms by these, 90 to 210 by small ones; later ones 28 and 35).
//!
//! # Safety
//! The mapping is as long as its memfd and owned by the [`SegmentMemory`]. It is written to by `&mut self`, within its bounds, through
//! raw pointers, and never read; but for the word, which is only ever seen as an `AtomicU64`. What is read from elsewhere goes
//! into memory that nobody else has, and any bytes are a [`Pod`].
#![allow(unsafe_code, reason = "memory that others read has to be mapped by hand")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{ptr, slice};

use rustix::fs::{FallocateFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

use super::huge_pages;
use super::mapping::Mapping;
use super::pod::Pod;
use super::segment::{self, FIXED};

/// What /proc shows of such memory.
const NAME: &str = "loky-segment";

/// What advice about memory is aligned to: the largest pages that the architectures of Linux have.
const PAGE_BYTES: usize = 64 << 10;

const WORD_BYTES: usize = size_of::<u64>();

/// The word while a reader has what lies there. A number that nothing else is likely to leave behind.
const OUT: u64 = 0x7475_6f2d_796b_6f6c;

/// How the writer comes to know that nobody reads it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// In another way.
    Known,
    /// By the word, which the reader overwrites.
    EventSink,
}

/// The writer's side.
#[derive(Debug)]
pub(crate) struct SegmentMemory {
    fd: Arc<OwnedFd>,
    mapping: Mapping,
    /// How much of it has memory.
    backed: usize,
    /// How much of that was used through the mapping.
    mapped: usize,
}

impl SegmentMemory {
    /// A new one with these bytes, and room for `capacity`, which is a multiple of a page.
    ///
    /// # Errors
    /// There are no descriptors, or no memory.
    pub(crate) fn create(bytes: &[u8], capacity: usize, release: Release) -> io::Result<Self> {
        let backed = bytes.len();
        assert!(backed <= capacity && capacity.is_multiple_of(WORD_BYTES), "room for the bytes");
        let length = capacity.checked_add(WORD_BYTES).ok_or(io::ErrorKind::OutOfMemory)?;
        let fd = segment::create(NAME)?;
        rustix::fs::ftruncate(&fd, length as u64)?;
        segment::write(&fd, bytes)?;
        rustix::io::pwrite(&fd, &[0; WORD_BYTES], capacity as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let mapping = Mapping::new(fd.as_fd(), length, protection, MapFlags::SHARED)?;
        let seals = FIXED | SealFlags::SEAL;
        match release {
            Release::EventSink => rustix::fs::fcntl_add_seals(&fd, seals)?,
            Release::Known => {
                match rustix::fs::fcntl_add_seals(&fd, seals | SealFlags::FUTURE_WRITE) {
                    // Linux before 5.1 has no such seal.
                    Err(Errno::INVAL) => rustix::fs::fcntl_add_seals(&fd, seals)?,
                    sealed => sealed?,
                }
            }
        }
        Ok(Self { fd: Arc::new(fd), mapping, backed, mapped: 0 })
    }

    /// The same with other bytes.
    ///
    /// # Errors
    /// There is no memory. What lies there is as it was.
    ///
    /// # Panics
    /// There is no room for so many.
    pub(crate) fn refill(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(bytes.len() <= self.capacity(), "room for the bytes");
        if let Some(missing) = bytes.len().checked_sub(self.backed).filter(|missing| *missing > 0) {
            let (from, mode) = (self.backed as u64, FallocateFlags::empty());
            rustix::fs::fallocate(&self.fd, mode, from, missing as u64)?;
            self.backed = bytes.len();
        }
        self.map_pages(bytes.len());
        // SAFETY: so many bytes from its beginning on are within the mapping, which no reference reaches into.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.mapping.first.as_ptr(), bytes.len())
        };
        Ok(())
    }

    /// Has the kernel put the pages into the mapping that are to be used: all at once, where else each would be a fault.
    fn map_pages(&mut self, length: usize) {
        let Some(missing) = length.checked_sub(self.mapped).filter(|missing| *missing > 0) else {
            return;
        };
        // Where the pages begin that may be missing: the one before is there in whole, or in part.
        let from = self.mapped / PAGE_BYTES * PAGE_BYTES;
        let first = self.mapping.first.as_ptr().wrapping_add(from).cast();
        let length = missing + self.mapped - from;
        // Pages of a shared mapping are writable once they can be read. Linux before 5.14 does not know this advice.
        // SAFETY: within the mapping; no byte of it changes.
        let _ = unsafe { rustix::mm::madvise(first, length, Advice::LinuxPopulateRead) };
        self.mapped += missing;
    }

    /// The longest value that there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.mapping.length - WORD_BYTES
    }

    /// How much memory it takes.
    pub(crate) fn backed_bytes(&self) -> usize {
        self.backed
    }

    /// What a reader needs.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// A reader is about to get it.
    pub(crate) fn set_out(&self) {
        self.word().store(OUT, Ordering::Release);
    }

    /// No reader has got it, or ever will.
    pub(crate) fn set_back(&self) {
        self.word().store(0, Ordering::Release);
    }

    /// Whether a reader has it still.
    pub(crate) fn is_out(&self) -> bool {
        self.word().load(Ordering::Acquire) == OUT
    }

    fn word(&self) -> &AtomicU64 {
        let word = self.mapping.first.as_ptr().wrapping_add(self.capacity());
        // SAFETY: the last word of the mapping, which is aligned, as the capacity is; other processes may change it at any time.
        unsafe { &*word.cast::<AtomicU64>() }
    }
}

/// Reads so many values from memory that has come from another process, into `values`, which have no others then.
///
/// # Errors
/// `InvalidData` if it is none, or less; or there is no memory here.
pub(crate) fn read<T: Pod>(
    fd: BorrowedFd<'_>,
    count: usize,
    values: &mut Vec<T>,
) -> io::Result<()> {
    let length = count.checked_mul(size_of::<T>()).ok_or_else(too_short)?;
    check(fd, length)?;
    values.clear();
    values.try_reserve_exact(count).map_err(|_| io::ErrorKind::OutOfMemory)?;
    huge_pages::prefer(values);
    let room = values.spare_capacity_mut();
    // SAFETY: the same memory, of which there is enough; bytes have no alignment, and need not be initialised.
    let room = unsafe { slice::from_raw_parts_mut(room.as_mut_ptr().cast(), length) };
    fill(fd, room)?;
    // SAFETY: so many were just filled, and any bytes are a `Pod`.
    unsafe { values.set_len(count) };
    Ok(())
}

/// Whether `fd` is memory, and so much of it.
fn check(fd: BorrowedFd<'_>, length: usize) -> io::Result<()> {
    let seals = rustix::fs::fcntl_get_seals(fd).unwrap_or(SealFlags::empty());
    if !seals.contains(FIXED) {
        let what = "a descriptor of something else than a segment";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let stat = rustix::fs::fstat(fd)?;
    // It may say that it is longer than all memory. What there is of it counts in units of 512 bytes.
    let there = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    let length = length as u64;
    if u64::try_from(stat.st_size).unwrap_or(0) < length || there < length {
        return Err(too_short());
    }
    Ok(())
}

/// Reads from the beginning until `room` is full.
fn fill(fd: BorrowedFd<'_>, mut room: &mut [MaybeUninit<u8>]) -> io::Result<()> {
    let mut offset = 0;
    while !room.is_empty() {
        let read = match rustix::io::pread(fd, &mut *room, offset) {
            Ok((read, _)) => read.len(),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if read == 0 {
            return Err(too_short());
        }
        offset += read as u64;
        room = &mut room[read..];
    }
    Ok(())
}

fn too_short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a segment that is shorter than its value")
}

/// The reader of `fd` is through with it: tells the writer, if that is one who waits to be told.
pub(crate) fn release(fd: BorrowedFd<'_>) {
    // Whatever else it is, nothing is written there: only what has these seals has such a word.
    let seals = rustix::fs::fcntl_get_seals(fd).unwrap_or(SealFlags::empty());
    let no_writers = SealFlags::WRITE | SealFlags::FUTURE_WRITE;
    if !seals.contains(FIXED | SealFlags::SEAL) || seals.intersects(no_writers) {
        return;
    }
    let size = rustix::fs::fstat(fd).ok().and_then(|stat| u64::try_from(stat.st_size).ok());
    let Some(at) = size.and_then(|size| size.checked_sub(WORD_BYTES as u64)) else { return };
    let mut word = [0; WORD_BYTES];
    let read = rustix::io::pread(fd, &mut word, at);
    if read == Ok(WORD_BYTES) && u64::from_ne_bytes(word) == OUT {
        let _ = rustix::io::pwrite(fd, &[0; WORD_BYTES], at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::pod::bytes_of;

    const BOTH: [Release; 2] = [Release::Known, Release::EventSink];

    fn carrier(bytes: &[u8], release: Release) -> SegmentMemory {
        SegmentMemory::create(bytes, 1 << 16, release).unwrap()
    }

    fn read_bytes(fd: BorrowedFd<'_>, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = b"others".to_vec();
        read(fd, length, &mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn one_value_after_the_other() {
        for release in BOTH {
            let mut carrier = carrier(b"first", release);
            assert_eq!(read_bytes(carrier.fd().as_fd(), 5).unwrap(), b"first");
            for length in [0, 3, 1 << 16, 4097, 1] {
                let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
                carrier.refill(&bytes).unwrap();
                assert_eq!(read_bytes(carrier.fd().as_fd(), length).unwrap(), bytes);
            }
            assert_eq!((carrier.capacity(), carrier.backed_bytes()), (1 << 16, 1 << 16));
            carrier.refill(bytes_of(&[1_u16, 2])).unwrap();
            let mut numbers = vec![7_u16];
            read(carrier.fd().as_fd(), 2, &mut numbers).unwrap();
            assert_eq!(numbers, [1, 2]);
        }
    }

    #[test]
    fn the_reader_says_that_it_is_through() {
        let [known, told] = BOTH.map(|release| carrier(b"value", release));
        for carrier in [&known, &told] {
            release(carrier.fd().as_fd());
            assert!(!carrier.is_out());
            carrier.set_out();
            assert!(carrier.is_out());
            release(carrier.fd().as_fd());
        }
        assert!(known.is_out() && !told.is_out(), "only one can be told");
        assert_eq!(read_bytes(told.fd().as_fd(), 5).unwrap(), b"value");
    }

    #[test]
    fn nobody_else_can_write_to_what_is_not_told() {
        let carrier = carrier(b"value", Release::Known);
        assert!(rustix::io::pwrite(carrier.fd(), b"x", 0).is_err());
        let (read, write) = (ProtFlags::READ, ProtFlags::READ | ProtFlags::WRITE);
        let map = |protection| Mapping::new(carrier.fd().as_fd(), 1, protection, MapFlags::SHARED);
        assert!(map(write).is_err() && map(read).is_ok());
        for release in BOTH {
            let carrier = self::carrier(b"value", release);
            assert!(rustix::fs::ftruncate(carrier.fd(), 0).is_err());
            assert!(rustix::fs::fcntl_add_seals(carrier.fd(), SealFlags::WRITE).is_err());
        }
    }

    #[track_caller]
    fn is_refused(fd: &OwnedFd, length: usize) {
        let error = read_bytes(fd.as_fd(), length).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        // Nor is it written to.
        release(fd.as_fd());
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        let ours = carrier(b"value", Release::EventSink);
        is_refused(ours.fd(), (1 << 16) + WORD_BYTES + 1);
        is_refused(ours.fd(), usize::MAX);
        let mut numbers: Vec<u64> = Vec::new();
        assert!(read(ours.fd().as_fd(), usize::MAX / 4, &mut numbers).is_err());

        let open = segment::create(NAME).unwrap();
        segment::write(&open, b"value").unwrap();
        is_refused(&open, 5);
        // Longer than any memory, and there is none of it.
        rustix::fs::ftruncate(&open, 1 << 40).unwrap();
        rustix::fs::fcntl_add_seals(&open, FIXED).unwrap();
        is_refused(&open, 1 << 40);

        let (pipe, other_end) = rustix::pipe::pipe().unwrap();
        let zeros = std::fs::File::open("/dev/zero").unwrap().into();
        let file = std::fs::File::open("/proc/self/exe").unwrap().into();
        for fd in [pipe, other_end, zeros, file] {
            is_refused(&fd, 1);
        }
    }

    #[test]
    fn frozen_memory_is_as_good() {
        let frozen = segment::Segment::create(b"frozen").unwrap();
        assert_eq!(read_bytes(frozen.fd().as_fd(), 6).unwrap(), b"frozen");
        release(frozen.fd().as_fd());
        assert_eq!(frozen.elements::<u8>(), b"frozen");
    }
}
