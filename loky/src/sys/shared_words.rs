//! Words that two processes share: a memfd, mapped on both sides. See memfd_create(2), mmap(2).
//!
//! The creator seals the memfd against growing and shrinking, and the other side checks the seals before it maps. Without them
//! either process could truncate the memory, and an access would raise SIGBUS in the other one. The words are plain numbers.
//!
//! # Safety
//! The mapping has the length of `words` words. One [`SharedWords`] owns it, and only its drop unmaps it. It is only accessed as
//! `AtomicU64`s, so the other process may change the words at any time.
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

/// Words in memory that is shared with another process.
#[derive(Debug)]
pub(crate) struct SharedWords {
    first: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: it owns its mapping, which any thread may unmap.
unsafe impl Send for SharedWords {}
// SAFETY: only atomics are reachable through it.
unsafe impl Sync for SharedWords {}

const SEALS: SealFlags = SealFlags::GROW.union(SealFlags::SHRINK);

impl SharedWords {
    /// Creates `words` zero words, and returns a descriptor for another process. `name` appears in /proc only.
    pub(crate) fn create(name: &str, words: usize) -> io::Result<(Self, OwnedFd)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = super::above_stdio(rustix::fs::memfd_create(name, flags)?)?;
        rustix::fs::ftruncate(&fd, bytes(words) as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SEALS)?;
        Ok((Self::map(fd.as_fd(), words)?, fd))
    }

    /// Maps `words` words that another process has created.
    ///
    /// # Errors
    /// `InvalidData` if the descriptor has another size or lacks the seals.
    pub(crate) fn open(fd: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        let length = rustix::fs::fstat(fd)?.st_size;
        if u64::try_from(length) != Ok(bytes(words) as u64) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "shared memory has the wrong size",
            ));
        }
        if !rustix::fs::fcntl_get_seals(fd)?.contains(SEALS) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "shared memory is not sealed"));
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

    /// Returns the words.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped, aligned to a page, initialised by the kernel, and alive as long as `self`.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.words) }
    }

    /// Returns the memory of some words to the system until the next write. The words become zero on both sides. See madvise(2),
    /// `MADV_REMOVE`.
    ///
    /// # Errors
    /// The first word is not at the beginning of a page.
    pub(crate) fn give_back(&self, range: Range<usize>) -> io::Result<()> {
        let words = &self.words()[range];
        let first = words.as_ptr().cast_mut();
        // SAFETY: words of the mapping, which may change at any time, since they are atomics.
        unsafe { rustix::mm::madvise(first.cast(), size_of_val(words), Advice::LinuxRemove) }?;
        Ok(())
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `map` made; no reference into it is left.
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
    fn both_mappings_show_the_same_words() {
        let (ours, fd) = SharedWords::create("loky-test", 8).unwrap();
        let theirs = SharedWords::open(fd.as_fd(), 8).unwrap();
        ours.words()[7].store(7, Ordering::Relaxed);
        assert_eq!(theirs.words()[7].load(Ordering::Relaxed), 7);
        assert_eq!(theirs.words().len(), 8);
    }

    #[test]
    fn give_back_frees_memory_and_zeroes_words() {
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
        assert!(ours.give_back(1..2).is_err(), "not at the beginning of a page");
    }

    #[test]
    fn memory_that_can_shrink_is_not_mapped() {
        let (_ours, fd) = SharedWords::create("loky-test", 8).unwrap();
        assert!(rustix::fs::ftruncate(&fd, 0).is_err(), "it is sealed");
        assert!(SharedWords::open(fd.as_fd(), 9).is_err(), "another size");
        let open = rustix::fs::memfd_create("loky-test", MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&open, 64).unwrap();
        assert!(SharedWords::open(open.as_fd(), 8).is_err(), "without seals");
    }
}
