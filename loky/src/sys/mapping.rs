//! A part of the address space in which a descriptor's memory lies. See mmap(2).
//!
//! # Safety
//! It is owned by one [`Mapping`], and unmapped by its drop alone.
#![allow(unsafe_code, reason = "memory has to be mapped by hand")]

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use rustix::param::page_size;

use super::huge_pages;
use crate::limits;

#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) first: NonNull<u8>,
    /// 0 where there is none: the kernel maps no empty ones.
    pub(super) length: usize,
}

// SAFETY: it owns its mapping, which any thread may unmap. What is borrowed from it says itself what threads may do.
unsafe impl Send for Mapping {}
// SAFETY: nothing of it changes through a shared reference.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// From the beginning of `fd` on. Where it is long, huge pages of the one are huge pages of the other.
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
        // Never unmapped if the next step fails: what lies there may be gone by then, and another thread may have the place.
        let room = ManuallyDrop::new(room);
        // SAFETY: it takes the place of a part of `room`, which nobody else has.
        unsafe { mmap(start.cast(), length, protection, flags | MapFlags::FIXED, fd, 0) }?;
        ManuallyDrop::into_inner(room).cut_out(start, length);
        Self::at(start, length)
    }

    /// Address space for so much, if that is long, and where in it huge pages begin.
    fn room(length: usize) -> Option<(Self, *mut u8)> {
        if length < limits::HUGE_ROOM_BYTES {
            return None;
        }
        let rounded = length.checked_next_multiple_of(page_size())?;
        let rounded = rounded.checked_add(huge_pages::PAGE_BYTES)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping, placed by the kernel, overlaps nothing.
        let first =
            unsafe { mmap_anonymous(ptr::null_mut(), rounded, ProtFlags::empty(), flags) }.ok()?;
        let room = Self::at(first.cast(), rounded).ok()?;
        let skipped = room.first.as_ptr().align_offset(huge_pages::PAGE_BYTES);
        let start = room.first.as_ptr().wrapping_add(skipped);
        Some((room, start))
    }

    /// Unmaps what lies before and behind so much from `start` on, which belongs to another one now.
    fn cut_out(self, start: *mut u8, length: usize) {
        let room = ManuallyDrop::new(self);
        let end = start.wrapping_add(length.next_multiple_of(page_size()));
        let before = start.addr() - room.first.addr().get();
        let behind = room.first.addr().get() + room.length - end.addr();
        drop(Self::at(room.first.as_ptr(), before));
        drop(Self::at(end, behind));
    }

    /// What is mapped there already.
    fn at(first: *mut u8, length: usize) -> io::Result<Self> {
        let first = NonNull::new(first).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { first, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: exactly what was mapped for it; nobody has a reference into it any more.
            let _ = unsafe { munmap(self.first.as_ptr().cast(), self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::sys::segment;

    /// What is mapped in this process, of and around `mapping`.
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
    fn a_long_one_begins_a_huge_page_and_takes_no_more_room_than_it_needs() {
        let huge = limits::HUGE_ROOM_BYTES;
        let fd = segment::create("test").unwrap();
        rustix::fs::ftruncate(&fd, 3 * huge as u64).unwrap();
        for length in [1, huge - 1, huge, huge + 1, 3 * huge - 5] {
            for flags in [MapFlags::SHARED, MapFlags::PRIVATE] {
                let mapping = Mapping::new(fd.as_fd(), length, ProtFlags::READ, flags).unwrap();
                assert_eq!(mapped_bytes(&mapping), length.next_multiple_of(page_size()));
                let is_aligned = mapping.first.addr().get().is_multiple_of(huge_pages::PAGE_BYTES);
                assert!(length < huge || is_aligned, "{mapping:?}");
            }
        }
    }
}
