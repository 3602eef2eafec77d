//! Memory that goes from process to process as a descriptor: a memfd of its own, which is filled once, then frozen, and can
//! be mapped by whoever has the descriptor. See memfd_create(2), fcntl(2), mmap(2).
//!
//! | | written | seals | mapped |
//! |---|---|---|---|
//! | [`SegmentMut`] | through its mapping, by its one owner | grow, shrink | read, write; shared |
//! | [`Segment`] | never again, by nobody | grow, shrink, write, seal | read; private |
//!
//! Whoever maps a descriptor that came from elsewhere checks first that it is such a frozen memfd. Without the seals the other
//! side could cut it off, which would be a SIGBUS here, or change what lies behind a `&[T]`.
//!
//! Long ones lie in [huge pages](huge_pages), as far as the system has some: to map them, read them and unmap them takes a tenth
//! of the time then.
//!
//! A frozen segment is mapped privately, which is the same where nobody writes: shared mappings of a descriptor that is open
//! for writing are refused by kernels before 6.7, even read-only ones.
//!
//! # Safety
//! A [`Mapping`] is as long as its memfd, which cannot grow or shrink.
//! What lies in a [`Segment`] never changes, so it may be borrowed; a [`SegmentMut`] is mapped nowhere else in this process,
//! and its descriptor leaves it only as a frozen one. The types that are laid over the bytes are [`Pod`].
#![allow(unsafe_code, reason = "memory that other processes have as well has to be mapped by hand")]

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

/// What /proc shows of such memory.
const NAME: &str = "loky-shared";

/// What holds from the beginning.
pub(super) const FIXED: SealFlags = SealFlags::GROW.union(SealFlags::SHRINK);

/// What holds of frozen memory.
const FROZEN: SealFlags = FIXED.union(SealFlags::WRITE);

/// The file system that memfds lie in. There are others with seals: a memfd of huge pages is a SIGBUS where none are left.
const TMPFS: i64 = 0x0102_1994;

/// How much is copied at a time.
const COPY_BYTES: usize = 64 * 1024;

/// Memory that nobody changes any more.
#[derive(Debug)]
pub(crate) struct Segment {
    fd: Arc<OwnedFd>,
    mapping: Mapping,
}

impl Segment {
    /// New memory with these bytes.
    pub(crate) fn create(bytes: &[u8]) -> io::Result<Self> {
        let fd = create(NAME)?;
        rustix::fs::ftruncate(&fd, bytes.len() as u64)?;
        let segment = Self::map(fd.into(), bytes.len())?;
        huge_pages::back(&segment.fd, &segment.mapping, bytes.len());
        write(&segment.fd, bytes)?;
        rustix::fs::fcntl_add_seals(&segment.fd, FROZEN | SealFlags::SEAL)?;
        Ok(segment)
    }

    /// What another process has made, of so many bytes.
    ///
    /// # Errors
    /// `InvalidData` if it is not memory that nobody can change any more, or of another length.
    pub(crate) fn open(fd: Arc<OwnedFd>, length: usize) -> io::Result<Self> {
        check(fd.as_fd(), length)?;
        Self::map(fd, length)
    }

    fn map(fd: Arc<OwnedFd>, length: usize) -> io::Result<Self> {
        let mapping = Mapping::new(fd.as_fd(), length, ProtFlags::READ, MapFlags::PRIVATE)?;
        Ok(Self { fd, mapping })
    }

    /// What another process can map it by. Whoever has it as well keeps the memory.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// What lies in it. Bytes at the end that are no whole element are left out.
    pub(crate) fn elements<T: Pod>(&self) -> &[T] {
        let Mapping { first, length } = self.mapping;
        if length == 0 {
            return &[];
        }
        let n = length / const { size_of_element::<T>() };
        // SAFETY: mapped, aligned to a page, of any bytes, which never change, and alive as long as `self`.
        unsafe { slice::from_raw_parts(first.as_ptr().cast(), n) }
    }
}

/// Memory that is being filled.
#[derive(Debug)]
pub(crate) struct SegmentMut {
    fd: OwnedFd,
    mapping: Mapping,
}

impl SegmentMut {
    /// So many bytes, all zero.
    pub(crate) fn zeroed(length: usize) -> io::Result<Self> {
        let fd = create(NAME)?;
        rustix::fs::ftruncate(&fd, length as u64)?;
        rustix::fs::fcntl_add_seals(&fd, FIXED)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let mapping = Mapping::new(fd.as_fd(), length, protection, MapFlags::SHARED)?;
        huge_pages::back(&fd, &mapping, length.min(limits::BACKED_BYTES));
        Ok(Self { fd, mapping })
    }

    /// What lies in it.
    pub(crate) fn elements<T: Pod>(&self) -> &[T] {
        let Mapping { first, length } = self.mapping;
        if length == 0 {
            return &[];
        }
        let n = length / const { size_of_element::<T>() };
        // SAFETY: mapped, aligned to a page, of any bytes, which change through `&mut self` alone.
        unsafe { slice::from_raw_parts(first.as_ptr().cast(), n) }
    }

    /// What lies in it, to be filled.
    pub(crate) fn elements_mut<T: Pod>(&mut self) -> &mut [T] {
        let Mapping { first, length } = self.mapping;
        if length == 0 {
            return &mut [];
        }
        let n = length / const { size_of_element::<T>() };
        // SAFETY: as in `elements`, and borrowed as `self` is, which is all that refers to it.
        unsafe { slice::from_raw_parts_mut(first.as_ptr().cast(), n) }
    }

    /// The same memory, which from now on nobody can change.
    pub(crate) fn freeze(self) -> io::Result<Segment> {
        let Self { fd, mapping } = self;
        let length = mapping.length;
        // The kernel refuses the seal as long as anybody could write.
        drop(mapping);
        let fd = match rustix::fs::fcntl_add_seals(&fd, FROZEN | SealFlags::SEAL) {
            Ok(()) => fd,
            // Somebody still can: a process that was forked off this one has the mapping too.
            Err(Errno::BUSY) => copy(&fd)?,
            Err(error) => return Err(error.into()),
        };
        Segment::map(fd.into(), length)
    }
}

/// The size of an element, which is to have one, and no more than a page's alignment.
const fn size_of_element<T>() -> usize {
    assert!(size_of::<T>() > 0, "an element of shared memory has at least one byte");
    assert!(align_of::<T>() <= 4096, "an element of shared memory is aligned to a page at most");
    size_of::<T>()
}

/// Empty memory, which can be sealed. `name` is for /proc alone.
pub(super) fn create(name: &str) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    super::above_stdio(rustix::fs::memfd_create(name, flags)?)
}

/// Writes at the current offset. Not through a mapping: the kernel would have to be asked for each page.
pub(super) fn write(fd: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// A frozen copy, without a mapping that somebody else might write to meanwhile.
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

/// Whether a descriptor that came from elsewhere is memory of this length that nobody can change.
fn check(fd: BorrowedFd<'_>, length: usize) -> io::Result<()> {
    let refused = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    // What has no seals at all is some other file.
    let seals = rustix::fs::fcntl_get_seals(fd).unwrap_or(SealFlags::empty());
    if !seals.contains(FROZEN) || rustix::fs::fstatfs(fd)?.f_type as i64 != TMPFS {
        return refused("a descriptor of something else than frozen memory");
    }
    if u64::try_from(rustix::fs::fstat(fd)?.st_size) != Ok(length as u64) {
        return refused("shared memory of another length");
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
    fn what_is_frozen_is_seen_by_all_and_changed_by_nobody() {
        let mut filled = SegmentMut::zeroed(8).unwrap();
        assert_eq!(filled.elements::<u8>(), [0; 8]);
        filled.elements_mut::<u16>().copy_from_slice(&[1, 2, 3, 4]);
        assert!(is_writable(&filled.fd));
        assert!(rustix::fs::ftruncate(&filled.fd, 9).is_err(), "it is sealed");
        let ours = filled.freeze().unwrap();
        let theirs = Segment::open(Arc::clone(ours.fd()), 8).unwrap();
        drop(ours);
        assert_eq!(theirs.elements::<u16>(), [1, 2, 3, 4]);
        assert!(!is_writable(theirs.fd()));
        assert!(rustix::io::pwrite(theirs.fd(), &[1], 0).is_err());
        assert!(rustix::fs::fcntl_add_seals(theirs.fd(), SealFlags::EXEC).is_err(), "for good");
    }

    #[test]
    fn bytes_are_copied_in_at_any_length() {
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

    /// A second mapping in this process stands for one of a forked child.
    #[test]
    fn what_somebody_else_could_write_to_is_copied() {
        let mut filled = SegmentMut::zeroed(200_000).unwrap();
        filled.elements_mut::<u8>().fill(7);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let elsewhere = Mapping::new(filled.fd.as_fd(), 200_000, protection, MapFlags::SHARED);
        let frozen = filled.freeze().unwrap();
        assert_eq!(frozen.elements::<u8>(), vec![7; 200_000]);
        assert!(!is_writable(frozen.fd()));
        drop(elsewhere);
    }

    #[test]
    fn what_is_not_frozen_memory_is_not_mapped() {
        let memfd = |seals| {
            let fd = create(NAME).unwrap();
            rustix::fs::ftruncate(&fd, 8).unwrap();
            rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
            fd
        };
        let file = || OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap());
        let refused = [
            memfd(SealFlags::empty()),
            memfd(FIXED),
            memfd(SealFlags::GROW | SealFlags::WRITE),
            memfd(SealFlags::SHRINK | SealFlags::WRITE),
            memfd(FIXED | SealFlags::FUTURE_WRITE),
            file(),
        ];
        for fd in refused {
            let error = Segment::open(fd.into(), 8).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
        assert!(Segment::open(memfd(FROZEN).into(), 8).is_ok());
    }
}
