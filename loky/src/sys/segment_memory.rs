//! Reusable shared memory for large values: a memfd that its writer has mapped, and of which its reader has the descriptor. See
//! memfd_create(2), fcntl(2), fallocate(2), pread(2).
//!
//! ```text
//!  0                                     capacity
//!  │ the value …                         │ word │   the memfd can neither grow nor shrink
//! ```
//!
//! **The reader never maps the memory.** The kernel copies the value into memory of the reader, which is the reader's only copy:
//! numbers arrive in their `Vec`. So a stray write in a task cannot reach memory of its pool, decoded bytes cannot change, and the
//! other side cannot cause a `SIGBUS`. It is also faster: for 64 MiB the writer's copy into warm memory takes 10 ms and the
//! reader's copy into fresh huge pages 19 ms, while a mapping would be created, faulted in and removed each time.
//!
//! Before it allocates, the reader checks that the descriptor is a sealed memfd and holds as many bytes as the value is said to
//! have. A read from a memfd neither blocks nor goes on for ever.
//!
//! | release | owner and content | writes by other processes | word |
//! |---|---|---|---|
//! | [`Release::Implied`] | the pool; arguments | none: a seal allows writes only through the older mapping | unused |
//! | [`Release::Reported`] | a worker; results | possible: the pool need not be protected from itself | says whether the reader has the value |
//!
//! Fresh memory is filled by write(2), which needs no zeroed or faulted page and reports a lack of memory. Pages that exist are
//! written through the mapping, which is populated at once (madvise(2)). They are small pages: reuse makes faults rare, and fresh
//! huge pages may be slow to get after a pause. On a virtual machine whose host has to find them, the first call with 64 MiB
//! took 150 to 320 ms with huge pages and 90 to 210 ms with small ones; later calls took 28 and 35 ms.
//!
//! # Safety
//! The mapping is as long as its memfd and owned by the [`SegmentMemory`]. Its value part is written through raw pointers, by
//! `&mut self` and within bounds, and never read. The word is only accessed as an `AtomicU64`. Bytes from another process are read
//! into memory that only the reader has, and any bytes are a [`Pod`].
#![allow(unsafe_code, reason = "shared memory has to be mapped by hand")]

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

/// The name of such memory in /proc.
const NAME: &str = "loky-segment";

/// The alignment of advice: the largest base page size of any architecture.
const PAGE_BYTES: usize = 64 << 10;

const WORD_BYTES: usize = size_of::<u64>();

/// The word while a reader has the value: a number that no stray write is likely to leave.
const OUT: u64 = 0x7475_6f2d_796b_6f6c;

/// How the writer learns that the reader is done with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// The end of the call implies it.
    Implied,
    /// The reader overwrites the word.
    Reported,
}

/// The writer's side of a segment.
#[derive(Debug)]
pub(crate) struct SegmentMemory {
    fd: Arc<OwnedFd>,
    mapping: Mapping,
    /// The number of bytes that have memory.
    backed: usize,
    /// The number of bytes whose pages are in the mapping.
    mapped: usize,
}

impl SegmentMemory {
    /// Creates a segment with these bytes and room for `capacity` bytes, which is a multiple of a page.
    ///
    /// # Errors
    /// The process has no free descriptor, or the system no memory.
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
            Release::Reported => rustix::fs::fcntl_add_seals(&fd, seals)?,
            Release::Implied => {
                match rustix::fs::fcntl_add_seals(&fd, seals | SealFlags::FUTURE_WRITE) {
                    // Linux before 5.1 has no such seal.
                    Err(Errno::INVAL) => rustix::fs::fcntl_add_seals(&fd, seals)?,
                    sealed => sealed?,
                }
            }
        }
        Ok(Self { fd: Arc::new(fd), mapping, backed, mapped: 0 })
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// The system has no memory. The old value is unchanged.
    ///
    /// # Panics
    /// If the bytes exceed the capacity.
    pub(crate) fn refill(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(bytes.len() <= self.capacity(), "room for the bytes");
        if let Some(missing) = bytes.len().checked_sub(self.backed).filter(|missing| *missing > 0) {
            let (from, mode) = (self.backed as u64, FallocateFlags::empty());
            rustix::fs::fallocate(&self.fd, mode, from, missing as u64)?;
            self.backed = bytes.len();
        }
        self.map_pages(bytes.len());
        // SAFETY: the bytes fit into the mapping, and no reference points there.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.mapping.first.as_ptr(), bytes.len())
        };
        Ok(())
    }

    /// Populates the pages of the first `length` bytes at once, instead of one fault for each.
    fn map_pages(&mut self, length: usize) {
        let Some(missing) = length.checked_sub(self.mapped).filter(|missing| *missing > 0) else {
            return;
        };
        // Begins at a page that may be populated already.
        let from = self.mapped / PAGE_BYTES * PAGE_BYTES;
        let first = self.mapping.first.as_ptr().wrapping_add(from).cast();
        let length = missing + self.mapped - from;
        // Populated pages of a shared mapping are writable. Linux before 5.14 does not know this advice.
        // SAFETY: within the mapping; no byte of it changes.
        let _ = unsafe { rustix::mm::madvise(first, length, Advice::LinuxPopulateRead) };
        self.mapped += missing;
    }

    /// Returns the length of the longest value that fits.
    pub(crate) fn capacity(&self) -> usize {
        self.mapping.length - WORD_BYTES
    }

    /// Returns the number of bytes that have memory.
    pub(crate) fn backed_bytes(&self) -> usize {
        self.backed
    }

    /// Returns the descriptor for the reader.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Marks the value as on its way to a reader.
    pub(crate) fn set_out(&self) {
        self.word().store(OUT, Ordering::Release);
    }

    /// Marks the value as free, because no reader got it.
    pub(crate) fn set_back(&self) {
        self.word().store(0, Ordering::Release);
    }

    /// Whether a reader still has the value.
    pub(crate) fn is_out(&self) -> bool {
        self.word().load(Ordering::Acquire) == OUT
    }

    fn word(&self) -> &AtomicU64 {
        let word = self.mapping.first.as_ptr().wrapping_add(self.capacity());
        // SAFETY: the last word of the mapping, aligned because the capacity is; an atomic, since other processes may change it.
        unsafe { &*word.cast::<AtomicU64>() }
    }
}

/// Replaces `values` by `count` values from a segment of another process.
///
/// # Errors
/// `InvalidData` if the descriptor is no segment or too short; `OutOfMemory`.
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
    // SAFETY: the spare capacity has this length; `MaybeUninit` bytes have no alignment and need no initialisation.
    let room = unsafe { slice::from_raw_parts_mut(room.as_mut_ptr().cast(), length) };
    fill(fd, room)?;
    // SAFETY: `count` values were just filled, and any bytes are a `Pod`.
    unsafe { values.set_len(count) };
    Ok(())
}

/// Checks that `fd` is a segment with at least `length` bytes of memory.
fn check(fd: BorrowedFd<'_>, length: usize) -> io::Result<()> {
    let seals = rustix::fs::fcntl_get_seals(fd).unwrap_or(SealFlags::empty());
    if !seals.contains(FIXED) {
        let what = "the descriptor is not a segment";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let stat = rustix::fs::fstat(fd)?;
    // The size may exceed all memory, so the allocated blocks of 512 bytes count too.
    let allocated = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    let length = length as u64;
    if u64::try_from(stat.st_size).unwrap_or(0) < length || allocated < length {
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
    io::Error::new(io::ErrorKind::InvalidData, "the segment is shorter than its value")
}

/// Tells the writer of `fd` that its reader is done, if the writer waits for that ([`Release::Reported`]).
pub(crate) fn release(fd: BorrowedFd<'_>) {
    // Only a segment with exactly these seals has such a word. Nothing else is written to.
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

    const BOTH: [Release; 2] = [Release::Implied, Release::Reported];

    fn segment_of(bytes: &[u8], release: Release) -> SegmentMemory {
        SegmentMemory::create(bytes, 1 << 16, release).unwrap()
    }

    fn read_bytes(fd: BorrowedFd<'_>, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = b"others".to_vec();
        read(fd, length, &mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn refill_replaces_value() {
        for release in BOTH {
            let mut segment_memory = segment_of(b"first", release);
            assert_eq!(read_bytes(segment_memory.fd().as_fd(), 5).unwrap(), b"first");
            for length in [0, 3, 1 << 16, 4097, 1] {
                let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
                segment_memory.refill(&bytes).unwrap();
                assert_eq!(read_bytes(segment_memory.fd().as_fd(), length).unwrap(), bytes);
            }
            assert_eq!(
                (segment_memory.capacity(), segment_memory.backed_bytes()),
                (1 << 16, 1 << 16)
            );
            segment_memory.refill(bytes_of(&[1_u16, 2])).unwrap();
            let mut numbers = vec![7_u16];
            read(segment_memory.fd().as_fd(), 2, &mut numbers).unwrap();
            assert_eq!(numbers, [1, 2]);
        }
    }

    #[test]
    fn release_reports_to_writer() {
        let [implied, reported] = BOTH.map(|release| segment_of(b"value", release));
        for segment_memory in [&implied, &reported] {
            release(segment_memory.fd().as_fd());
            assert!(!segment_memory.is_out());
            segment_memory.set_out();
            assert!(segment_memory.is_out());
            release(segment_memory.fd().as_fd());
        }
        assert!(implied.is_out() && !reported.is_out(), "only one kind is reported");
        assert_eq!(read_bytes(reported.fd().as_fd(), 5).unwrap(), b"value");
    }

    #[test]
    fn implied_release_segment_is_writable_only_through_its_mapping() {
        let segment_memory = segment_of(b"value", Release::Implied);
        assert!(rustix::io::pwrite(segment_memory.fd(), b"x", 0).is_err());
        let (read, write) = (ProtFlags::READ, ProtFlags::READ | ProtFlags::WRITE);
        let map =
            |protection| Mapping::new(segment_memory.fd().as_fd(), 1, protection, MapFlags::SHARED);
        assert!(map(write).is_err() && map(read).is_ok());
        for release in BOTH {
            let segment_memory = segment_of(b"value", release);
            assert!(rustix::fs::ftruncate(segment_memory.fd(), 0).is_err());
            assert!(rustix::fs::fcntl_add_seals(segment_memory.fd(), SealFlags::WRITE).is_err());
        }
    }

    #[track_caller]
    fn check_rejected(fd: &OwnedFd, length: usize) {
        let error = read_bytes(fd.as_fd(), length).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        // It must not be written to either.
        release(fd.as_fd());
    }

    #[test]
    fn missing_memory_is_rejected() {
        let ours = segment_of(b"value", Release::Reported);
        check_rejected(ours.fd(), (1 << 16) + WORD_BYTES + 1);
        check_rejected(ours.fd(), usize::MAX);
        let mut numbers: Vec<u64> = Vec::new();
        assert!(read(ours.fd().as_fd(), usize::MAX / 4, &mut numbers).is_err());

        let open = segment::create(NAME).unwrap();
        segment::write(&open, b"value").unwrap();
        check_rejected(&open, 5);
        // Longer than all memory, and without any.
        rustix::fs::ftruncate(&open, 1 << 40).unwrap();
        rustix::fs::fcntl_add_seals(&open, FIXED).unwrap();
        check_rejected(&open, 1 << 40);

        let (pipe, other_end) = rustix::pipe::pipe().unwrap();
        let zeros = std::fs::File::open("/dev/zero").unwrap().into();
        let file = std::fs::File::open("/proc/self/exe").unwrap().into();
        for fd in [pipe, other_end, zeros, file] {
            check_rejected(&fd, 1);
        }
    }

    #[test]
    fn frozen_memory_is_read_and_not_released() {
        let frozen = segment::Segment::create(b"frozen").unwrap();
        assert_eq!(read_bytes(frozen.fd().as_fd(), 6).unwrap(), b"frozen");
        release(frozen.fd().as_fd());
        assert_eq!(frozen.elements::<u8>(), b"frozen");
    }
}
