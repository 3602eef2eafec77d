//! A mapping: the range of the address space that shows the memory of a descriptor. See mmap(2).
//!
//! # Safety
//! One [`Mapping`] owns the range, and only its drop unmaps it.
#![allow(unsafe_code, reason = "memory has to be mapped by hand")]

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use rustix::param::page_size;

use crate::limits;

/// The size and alignment of a huge page, on most systems.
pub(super) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A mapped range, unmapped on drop.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) first: NonNull<u8>,
    /// 0 for an empty mapping, which the kernel does not know.
    pub(super) length: usize,
}

// SAFETY: it owns its range, which any thread may unmap. References into the range have their own rules.
unsafe impl Send for Mapping {}
// SAFETY: it has no interior mutability.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of `fd`. A long mapping is aligned so that it can use the huge pages of the memory.
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        length: usize,
        protection: ProtFlags,
        flags: MapFlags,
    ) -> io::Result<Self> {
        if length == 0 {
            return Ok(Self { first: NonNull::dangling(), length });
        }
        let Some((room, start)) = Self::room(length) else {
            // SAFETY: a new mapping, placed by the kernel, overlaps nothing.
            let first = unsafe { mmap(ptr::null_mut(), length, protection, flags, fd, 0) }?;
            return Self::at(first.cast(), length);
        };
        // Not unmapped if the next step fails: the kernel may have unmapped a part by then, and another thread may have reused it.
        let room = ManuallyDrop::new(room);
        // SAFETY: it replaces a part of `room`, which only this function uses.
        unsafe { mmap(start.cast(), length, protection, flags | MapFlags::FIXED, fd, 0) }?;
        ManuallyDrop::into_inner(room).cut_out(start, length);
        Self::at(start, length)
    }

    /// Reserves address space for a long mapping, and returns it with its first address that is aligned to a huge page.
    fn room(length: usize) -> Option<(Self, *mut u8)> {
        if length < limits::HUGE_ROOM_BYTES {
            return None;
        }
        let rounded = length.checked_next_multiple_of(page_size())?;
        let rounded = rounded.checked_add(HUGE_PAGE_BYTES)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping, placed by the kernel, overlaps nothing.
        let first =
            unsafe { mmap_anonymous(ptr::null_mut(), rounded, ProtFlags::empty(), flags) }.ok()?;
        let room = Self::at(first.cast(), rounded).ok()?;
        let skipped = room.first.as_ptr().align_offset(HUGE_PAGE_BYTES);
        let start = room.first.as_ptr().wrapping_add(skipped);
        Some((room, start))
    }

    /// Unmaps the parts before and behind `length` bytes at `start`, which belong to another mapping now.
    fn cut_out(self, start: *mut u8, length: usize) {
        let room = ManuallyDrop::new(self);
        let end = start.wrapping_add(length.next_multiple_of(page_size()));
        let before = start.addr() - room.first.addr().get();
        let behind = room.first.addr().get() + room.length - end.addr();
        drop(Self::at(room.first.as_ptr(), before));
        drop(Self::at(end, behind));
    }

    /// Takes ownership of an existing mapping.
    fn at(first: *mut u8, length: usize) -> io::Result<Self> {
        let first = NonNull::new(first).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { first, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: exactly the range that this value owns; no reference into it is left.
            let _ = unsafe { munmap(self.first.as_ptr().cast(), self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::sys::segment;

    /// Returns the size of the entries of /proc/self/maps that overlap `mapping`.
    fn mapped_bytes(mapping: &Mapping) -> usize {
        let (first, end) =
            (mapping.first.addr().get(), mapping.first.addr().get() + mapping.length);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let ranges = maps.lines().map(|line| {
            let (range, _) = line.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let parse = |number| usize::from_str_radix(number, 16).unwrap();
            parse(from)..parse(to)
        });
        ranges.filter(|range| range.start < end && first < range.end).map(|range| range.len()).sum()
    }

    #[test]
    fn long_mapping_is_aligned_and_leaves_no_reserved_space() {
        let huge = limits::HUGE_ROOM_BYTES;
        let fd = segment::create("test").unwrap();
        rustix::fs::ftruncate(&fd, 3 * huge as u64).unwrap();
        for length in [1, huge - 1, huge, huge + 1, 3 * huge - 5] {
            for flags in [MapFlags::SHARED, MapFlags::PRIVATE] {
                let mapping = Mapping::new(fd.as_fd(), length, ProtFlags::READ, flags).unwrap();
                assert_eq!(mapped_bytes(&mapping), length.next_multiple_of(page_size()));
                let is_aligned = mapping.first.addr().get().is_multiple_of(HUGE_PAGE_BYTES);
                assert!(length < huge || is_aligned, "{mapping:?}");
            }
        }
    }
}
