//! Frozen shared memory: a memfd that is filled once, then sealed, and mapped by every process that gets its descriptor. See
//! memfd_create(2), fcntl(2), mmap(2).
//!
//! | type | written | seals | mapped |
//! |---|---|---|---|
//! | [`SegmentMut`] | through its mapping, by its one owner | grow, shrink | read, write; shared |
//! | [`Segment`] | never again | grow, shrink, write, seal | read; private |
//!
//! A process maps a received descriptor only after it has checked these seals. Without them another process could truncate the
//! memory, and an access would raise SIGBUS. Or it could change the bytes behind a `&[T]`.
//!
//! Large segments use [huge pages](huge_pages), as far as the system has any. Mapping, reading and unmapping them then take a
//! tenth of the time.
//!
//! A frozen segment is mapped privately, which makes no difference without writers. Kernels before 6.7 reject shared mappings of a
//! write-sealed memfd that is open for writing, even read-only ones.
//!
//! # Safety
//! A [`Mapping`] is as long as its memfd, which cannot grow or shrink. The bytes of a [`Segment`] never change, so they may be
//! borrowed. A [`SegmentMut`] is mapped nowhere else in this process, and its descriptor leaves it only after freezing. The types
//! that are laid over the bytes are [`Pod`].
#![allow(unsafe_code, reason = "shared memory has to be mapped by hand")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::slice;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use super::huge_pages;
use super::mapping::Mapping;
use super::pod::Pod;
use crate::limits;

/// The name of such memory in /proc.
const NAME: &str = "loky-shared";

/// The seals from the beginning.
pub(super) const FIXED: SealFlags = SealFlags::GROW.union(SealFlags::SHRINK);

/// The seals of frozen memory.
const FROZEN: SealFlags = FIXED.union(SealFlags::WRITE);

/// The file system of ordinary memfds. A memfd on hugetlbfs has seals too, but raises SIGBUS when no huge pages are left.
const TMPFS: i64 = 0x0102_1994;

/// The size of the buffer for a copy.
const COPY_BYTES: usize = 64 * 1024;

/// Frozen memory, mapped for reading.
#[derive(Debug)]
pub(crate) struct Segment {
    fd: Arc<OwnedFd>,
    mapping: Mapping,
}

impl Segment {
    /// Creates frozen memory with these bytes.
    pub(crate) fn create(bytes: &[u8]) -> io::Result<Self> {
        let fd = create(NAME)?;
        rustix::fs::ftruncate(&fd, bytes.len() as u64)?;
        let segment = Self::map(fd.into(), bytes.len())?;
        huge_pages::back(&segment.fd, &segment.mapping, bytes.len());
        write(&segment.fd, bytes)?;
        rustix::fs::fcntl_add_seals(&segment.fd, FROZEN | SealFlags::SEAL)?;
        Ok(segment)
    }

    /// Maps `length` bytes of frozen memory that another process has created.
    ///
    /// # Errors
    /// `InvalidData` if the memory is not frozen or has another length.
    pub(crate) fn open(fd: Arc<OwnedFd>, length: usize) -> io::Result<Self> {
        check(fd.as_fd(), length)?;
        Self::map(fd, length)
    }

    fn map(fd: Arc<OwnedFd>, length: usize) -> io::Result<Self> {
        let mapping = Mapping::new(fd.as_fd(), length, ProtFlags::READ, MapFlags::PRIVATE)?;
        Ok(Self { fd, mapping })
    }

    /// Returns the descriptor by which another process can map the memory. The memory lives as long as any descriptor or mapping.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Returns the elements. An incomplete element at the end is left out.
    pub(crate) fn elements<T: Pod>(&self) -> &[T] {
        let Mapping { first, length } = self.mapping;
        if length == 0 {
            return &[];
        }
        let n = length / const { size_of_element::<T>() };
        // SAFETY: mapped as long as `self`, aligned to a page, and never changed; any bytes are valid.
        unsafe { slice::from_raw_parts(first.as_ptr().cast(), n) }
    }
}

/// Memory that its one owner fills before it is frozen.
#[derive(Debug)]
pub(crate) struct SegmentMut {
    fd: OwnedFd,
    mapping: Mapping,
}

impl SegmentMut {
    /// Creates `length` zero bytes.
    pub(crate) fn zeroed(length: usize) -> io::Result<Self> {
        let fd = create(NAME)?;
        rustix::fs::ftruncate(&fd, length as u64)?;
        rustix::fs::fcntl_add_seals(&fd, FIXED)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let mapping = Mapping::new(fd.as_fd(), length, protection, MapFlags::SHARED)?;
        huge_pages::back(&fd, &mapping, length.min(limits::BACKED_BYTES));
        Ok(Self { fd, mapping })
    }

    /// Returns the elements.
    pub(crate) fn elements<T: Pod>(&self) -> &[T] {
        let Mapping { first, length } = self.mapping;
        if length == 0 {
            return &[];
        }
        let n = length / const { size_of_element::<T>() };
        // SAFETY: mapped as long as `self`, aligned to a page, changed only through `&mut self`; any bytes are valid.
        unsafe { slice::from_raw_parts(first.as_ptr().cast(), n) }
    }

    /// Returns the elements for writing.
    pub(crate) fn elements_mut<T: Pod>(&mut self) -> &mut [T] {
        let Mapping { first, length } = self.mapping;
        if length == 0 {
            return &mut [];
        }
        let n = length / const { size_of_element::<T>() };
        // SAFETY: as in `elements`, and `&mut self` is the only access to the mapping.
        unsafe { slice::from_raw_parts_mut(first.as_ptr().cast(), n) }
    }

    /// Freezes the memory: no process can change it from now on.
    pub(crate) fn freeze(self) -> io::Result<Segment> {
        let Self { fd, mapping } = self;
        let length = mapping.length;
        // The kernel rejects the seal while a writable mapping exists.
        drop(mapping);
        let fd = match rustix::fs::fcntl_add_seals(&fd, FROZEN | SealFlags::SEAL) {
            Ok(()) => fd,
            // A forked child of this process still has the mapping.
            Err(Errno::BUSY) => copy(&fd)?,
            Err(error) => return Err(error.into()),
        };
        Segment::map(fd.into(), length)
    }
}

/// Returns the size of an element. Checks at compile time that it is not zero, and that a page is aligned enough.
const fn size_of_element<T>() -> usize {
    assert!(size_of::<T>() > 0, "an element of shared memory has at least one byte");
    assert!(align_of::<T>() <= 4096, "an element of shared memory is aligned to a page at most");
    size_of::<T>()
}

/// Creates an empty memfd that can be sealed. `name` appears in /proc only.
pub(super) fn create(name: &str) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    super::above_stdio(rustix::fs::memfd_create(name, flags)?)
}

/// Writes at the current offset. A write through a mapping would cost a fault for each page.
pub(super) fn write(fd: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Makes a frozen copy. It is never mapped writable, so no other process can write to it meanwhile.
fn copy(from: &OwnedFd) -> io::Result<OwnedFd> {
    let copy = create(NAME)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    loop {
        let read =
            rustix::io::retry_on_intr(|| rustix::io::pread(from, buffer.as_mut_slice(), offset))?;
        if read == 0 {
            break;
        }
        write(&copy, &buffer[..read])?;
        offset += read as u64;
    }
    rustix::fs::fcntl_add_seals(&copy, FROZEN | SealFlags::SEAL)?;
    Ok(copy)
}

/// Checks that a received descriptor is frozen memory of this length.
fn check(fd: BorrowedFd<'_>, length: usize) -> io::Result<()> {
    let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    // A file of another kind has no seals.
    let seals = rustix::fs::fcntl_get_seals(fd).unwrap_or(SealFlags::empty());
    if !seals.contains(FROZEN) || rustix::fs::fstatfs(fd)?.f_type as i64 != TMPFS {
        return invalid("the descriptor is not frozen memory");
    }
    if u64::try_from(rustix::fs::fstat(fd)?.st_size) != Ok(length as u64) {
        return invalid("shared memory has the wrong length");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_writable(fd: &OwnedFd) -> bool {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        Mapping::new(fd.as_fd(), 1, protection, MapFlags::SHARED).is_ok()
    }

    #[test]
    fn frozen_memory_is_readable_and_immutable() {
        let mut filled = SegmentMut::zeroed(8).unwrap();
        assert_eq!(filled.elements::<u8>(), [0; 8]);
        filled.elements_mut::<u16>().copy_from_slice(&[1, 2, 3, 4]);
        assert!(is_writable(&filled.fd));
        assert!(rustix::fs::ftruncate(&filled.fd, 9).is_err(), "the size is sealed");
        let ours = filled.freeze().unwrap();
        let theirs = Segment::open(Arc::clone(ours.fd()), 8).unwrap();
        drop(ours);
        assert_eq!(theirs.elements::<u16>(), [1, 2, 3, 4]);
        assert!(!is_writable(theirs.fd()));
        assert!(rustix::io::pwrite(theirs.fd(), &[1], 0).is_err());
        assert!(
            rustix::fs::fcntl_add_seals(theirs.fd(), SealFlags::EXEC).is_err(),
            "no more seals can be added"
        );
    }

    #[test]
    fn segments_of_any_length_hold_their_bytes() {
        for length in [0, 1, 4095, 4096, 4097, 1_000_000] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            let ours = Segment::create(&bytes).unwrap();
            let theirs = Segment::open(Arc::clone(ours.fd()), length).unwrap();
            assert!(ours.elements::<u8>() == bytes && theirs.elements::<u8>() == bytes, "{length}");
            assert_eq!(theirs.elements::<u64>().len(), length / 8);
            assert!(Segment::open(Arc::clone(ours.fd()), length + 1).is_err());
            let filled = SegmentMut::zeroed(length).unwrap();
            assert_eq!(filled.freeze().unwrap().elements::<u8>(), vec![0; length]);
        }
    }

    /// A second mapping in this process stands for the one of a forked child.
    #[test]
    fn freezing_with_another_writable_mapping_copies() {
        let mut filled = SegmentMut::zeroed(200_000).unwrap();
        filled.elements_mut::<u8>().fill(7);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let other = Mapping::new(filled.fd.as_fd(), 200_000, protection, MapFlags::SHARED);
        let frozen = filled.freeze().unwrap();
        assert_eq!(frozen.elements::<u8>(), vec![7; 200_000]);
        assert!(!is_writable(frozen.fd()));
        drop(other);
    }

    #[test]
    fn descriptors_without_the_seals_are_rejected() {
        let memfd = |seals| {
            let fd = create(NAME).unwrap();
            rustix::fs::ftruncate(&fd, 8).unwrap();
            rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
            fd
        };
        let file = || OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap());
        let rejected = [
            memfd(SealFlags::empty()),
            memfd(FIXED),
            memfd(SealFlags::GROW | SealFlags::WRITE),
            memfd(SealFlags::SHRINK | SealFlags::WRITE),
            memfd(FIXED | SealFlags::FUTURE_WRITE),
            file(),
        ];
        for fd in rejected {
            let error = Segment::open(fd.into(), 8).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
        assert!(Segment::open(memfd(FROZEN).into(), 8).is_ok());
    }
}
