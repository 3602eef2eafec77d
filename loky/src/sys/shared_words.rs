//! A page of words that two processes share: a memfd, mapped on both sides. See memfd_create(2), mmap(2).
//!
//! The memfd can neither grow nor shrink: it is sealed when it is made, and whoever maps it checks that first, since a page
//! that the other side cuts off would be a SIGBUS here. What the other side writes is no more than numbers.
//!
//! # Safety
//! The mapping is as long as `words` says, owned by one [`SharedWords`], unmapped by its drop alone, and only ever seen as
//! `AtomicU64`s: so the other process may change them at any time.
#![allow(
    unsafe_code,
    reason = "memory that is shared with another process has to be mapped by hand"
)]

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// The mapped words.
#[derive(Debug)]
pub(crate) struct SharedWords {
    first: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: it owns its mapping, which any thread may unmap.
unsafe impl Send for SharedWords {}
// SAFETY: all that can be reached through it are atomics.
unsafe impl Sync for SharedWords {}

const SEALS: SealFlags = SealFlags::GROW.union(SealFlags::SHRINK);

impl SharedWords {
    /// So many words, all zero, and the descriptor by which another process can map them. `name` is for /proc alone.
    pub(crate) fn create(name: &str, words: usize) -> io::Result<(Self, OwnedFd)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = super::above_stdio(rustix::fs::memfd_create(name, flags)?)?;
        rustix::fs::ftruncate(&fd, bytes(words) as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SEALS)?;
        Ok((Self::map(fd.as_fd(), words)?, fd))
    }

    /// What another process has created with so many words.
    pub(crate) fn open(fd: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        let length = rustix::fs::fstat(fd)?.st_size;
        if u64::try_from(length) != Ok(bytes(words) as u64) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "shared memory of another size",
            ));
        }
        if !rustix::fs::fcntl_get_seals(fd)?.contains(SEALS) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "shared memory without seals"));
        }
        Self::map(fd, words)
    }

    /// Words of this process alone, all zero.
    pub(crate) fn private(words: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, placed by the kernel, overlaps nothing.
        let first = unsafe {
            let flags = MapFlags::PRIVATE;
            rustix::mm::mmap_anonymous(ptr::null_mut(), bytes(words), protection, flags)
        }?;
        let first = NonNull::new(first.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { first, words })
    }

    fn map(fd: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, placed by the kernel, overlaps nothing.
        let first = unsafe {
            rustix::mm::mmap(ptr::null_mut(), bytes(words), protection, MapFlags::SHARED, fd, 0)
        }?;
        let first = NonNull::new(first.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { first, words })
    }

    /// The words.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped, aligned to a page, initialised by the kernel, and alive as long as `self`.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.words) }
    }

    /// Gives the memory of some words back to the system, until somebody writes there again. They are zero from now on, on both
    /// sides. See madvise(2), `MADV_REMOVE`.
    ///
    /// # Errors
    /// The first of them does not begin a page.
    pub(crate) fn give_back(&self, range: Range<usize>) -> io::Result<()> {
        let words = &self.words()[range];
        let first = words.as_ptr().cast_mut();
        // SAFETY: these are words of the mapping, each of which may change at any time, by the other process as well.
        unsafe { rustix::mm::madvise(first.cast(), size_of_val(words), Advice::LinuxRemove) }?;
        Ok(())
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `map` made; nobody has a reference into it any more.
        let _ = unsafe { rustix::mm::munmap(self.first.as_ptr().cast(), bytes(self.words)) };
    }
}

fn bytes(words: usize) -> usize {
    words * size_of::<AtomicU64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn both_sides_see_the_same_words() {
        let (ours, fd) = SharedWords::create("loky-test", 8).unwrap();
        let theirs = SharedWords::open(fd.as_fd(), 8).unwrap();
        ours.words()[7].store(7, Ordering::Relaxed);
        assert_eq!(theirs.words()[7].load(Ordering::Relaxed), 7);
        assert_eq!(theirs.words().len(), 8);
    }

    #[test]
    fn what_is_given_back_takes_no_memory_and_is_zero() {
        const WORDS: usize = 64 * 1024;
        let (ours, fd) = SharedWords::create("loky-test", WORDS).unwrap();
        let theirs = SharedWords::open(fd.as_fd(), WORDS).unwrap();
        let taken = || rustix::fs::fstat(&fd).unwrap().st_blocks * 512;
        ours.words().iter().for_each(|word| word.store(7, Ordering::Relaxed));
        assert_eq!(taken(), bytes(WORDS) as i64);
        ours.give_back(WORDS / 2..WORDS).unwrap();
        assert_eq!(taken(), bytes(WORDS) as i64 / 2);
        let kept = |words: &SharedWords| {
            words.words().iter().filter(|word| word.load(Ordering::Relaxed) == 7).count()
        };
        assert_eq!((kept(&ours), kept(&theirs)), (WORDS / 2, WORDS / 2));
        theirs.words()[WORDS - 1].store(8, Ordering::Relaxed);
        assert_eq!(ours.words()[WORDS - 1].load(Ordering::Relaxed), 8);
        assert!(ours.give_back(1..2).is_err(), "no page begins there");
    }

    #[test]
    fn what_could_be_cut_off_is_not_mapped() {
        let (_ours, fd) = SharedWords::create("loky-test", 8).unwrap();
        assert!(rustix::fs::ftruncate(&fd, 0).is_err(), "it is sealed");
        assert!(SharedWords::open(fd.as_fd(), 9).is_err(), "another size");
        let open = rustix::fs::memfd_create("loky-test", MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&open, 64).unwrap();
        assert!(SharedWords::open(open.as_fd(), 8).is_err(), "without seals");
    }
}
