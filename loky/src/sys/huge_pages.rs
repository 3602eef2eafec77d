//! Large memory in large pages, of which a fresh one costs one fault where 512 small ones cost as many. See madvise(2).
//!
//! # Safety
//! The advice is about pages that belong to the vector, or the mapping, in whole, and changes no byte of them.
#![allow(unsafe_code, reason = "rustix cannot know that this advice does no harm")]

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::FallocateFlags;
use rustix::io::retry_on_intr;
use rustix::mm::Advice;

use super::mapping::Mapping;
use crate::limits;

/// What the advice is aligned to: a huge page, on most systems.
pub(super) const PAGE_BYTES: usize = 2 << 20;

/// Asks for huge pages where `values` has room that it has not used yet, if that is large. Where the system has none, or does
/// not want to give any, it stays as it is.
pub(crate) fn prefer<T>(values: &mut Vec<T>) {
    let room = values.spare_capacity_mut();
    let length = size_of_val(room);
    if length < limits::HUGE_ROOM_BYTES {
        return;
    }
    let start = room.as_mut_ptr().cast::<u8>();
    let skipped = start.align_offset(PAGE_BYTES);
    let whole = length.saturating_sub(skipped) / PAGE_BYTES * PAGE_BYTES;
    // SAFETY: so many bytes from there on are within the room; which pages they lie on is all that changes.
    let _ = unsafe {
        rustix::mm::madvise(start.wrapping_add(skipped).cast(), whole, Advice::LinuxHugepage)
    };
}

/// Gives the memory behind `fd` huge pages, as many as lie in its first `length` bytes in whole, if these are many: all zeros where
/// there was nothing. `mapping` is of that descriptor. Where the system gives none it stays as it is, but for a page of the usual size
/// at the beginning.
///
/// This is `MADV_COLLAPSE`, of Linux 6.1 and later, which needs no leave of the administrator's: `MADV_HUGEPAGE` does, for shared
/// memory, and has it on few systems.
pub(super) fn back(fd: impl AsFd, mapping: &Mapping, length: usize) {
    debug_assert!(length <= mapping.length);
    if length < limits::HUGE_ROOM_BYTES {
        return;
    }
    let whole = length / PAGE_BYTES * PAGE_BYTES;
    // The first one says whether there are any.
    let _ = collapse(&fd, mapping, 0..PAGE_BYTES)
        .and_then(|()| collapse(&fd, mapping, PAGE_BYTES..whole));
}

/// Makes huge pages of these bytes, which begin and end with one.
fn collapse(fd: impl AsFd, mapping: &Mapping, bytes: Range<usize>) -> io::Result<()> {
    // A little of each has to be there: the rest comes with it.
    for start in bytes.clone().step_by(PAGE_BYTES) {
        let mode = FallocateFlags::empty();
        retry_on_intr(|| rustix::fs::fallocate(&fd, mode, start as u64, 1))?;
    }
    let first = mapping.first.as_ptr().wrapping_add(bytes.start);
    // SAFETY: within the mapping; which pages its bytes lie on is all that changes.
    match unsafe { libc::madvise(first.cast(), bytes.len(), libc::MADV_COLLAPSE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustix::mm::{MapFlags, ProtFlags};

    use super::*;
    use crate::sys::segment::{self, Segment, SegmentMut};

    #[test]
    fn values_stay_what_they_are() {
        for length in [0, 1, limits::HUGE_ROOM_BYTES, limits::HUGE_ROOM_BYTES + PAGE_BYTES + 1] {
            let mut values = vec![7_u16; 3];
            values.reserve_exact(length / 2);
            prefer(&mut values);
            values.resize(3 + length / 2, 7);
            assert!(values.iter().all(|value| *value == 7), "{length}");
        }
    }

    #[test]
    fn shared_memory_is_there_in_whole_huge_pages_alone() {
        let huge = limits::HUGE_ROOM_BYTES;
        let length = 3 * huge;
        for long in [0, huge - 1, huge, huge + 1, length - 1] {
            let fd = segment::create("test").unwrap();
            rustix::fs::ftruncate(&fd, length as u64).unwrap();
            let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
            let mapping = Mapping::new(fd.as_fd(), length, protection, flags).unwrap();
            rustix::io::pwrite(&fd, b"before", 5).unwrap();
            back(&fd, &mapping, long);
            let mut bytes = vec![7; length];
            rustix::io::pread(&fd, bytes.as_mut_slice(), 0).unwrap();
            assert_eq!(bytes[5..11], *b"before");
            bytes[5..11].fill(0);
            assert!(bytes.iter().all(|byte| *byte == 0), "{long}");
            let there = rustix::fs::fstat(&fd).unwrap().st_blocks as usize * 512;
            assert!(there <= long + 4096, "{long}: {there} bytes");
        }
    }

    /// Whether this system has so much memory in huge pages to give, for the asking.
    fn are_there(length: usize) -> bool {
        let mut room: Vec<u8> = Vec::with_capacity(length + PAGE_BYTES);
        let skipped = room.as_ptr().align_offset(PAGE_BYTES);
        room.resize(skipped + length, 1);
        let start = room[skipped..].as_mut_ptr().cast();
        // SAFETY: within the vector; no byte of it changes.
        (unsafe { libc::madvise(start, length, libc::MADV_COLLAPSE) }) == 0
    }

    fn faults() -> i64 {
        // SAFETY: plain numbers, for which zero is a value.
        let mut usage = unsafe { std::mem::zeroed() };
        // SAFETY: there is room for what is written.
        assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) }, 0);
        usage.ru_minflt
    }

    #[test]
    fn frozen_memory_is_read_with_a_fault_for_each_huge_page() {
        let length = 4 * limits::HUGE_ROOM_BYTES;
        let setting = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
        let setting = std::fs::read_to_string(setting).unwrap_or_default();
        if setting.is_empty() || setting.contains("[deny]") || !are_there(length) {
            return;
        }
        let copied = Segment::create(&vec![7; length]).unwrap();
        let mut filled = SegmentMut::zeroed(length).unwrap();
        filled.elements_mut::<u8>().fill(7);
        for ours in [copied, filled.freeze().unwrap()] {
            let before = faults();
            let theirs = Segment::open(Arc::clone(ours.fd()), length).unwrap();
            assert!(theirs.elements::<u8>().iter().step_by(4096).all(|byte| *byte == 7));
            let faults = faults() - before;
            assert!(faults <= 2 * (length / PAGE_BYTES) as i64, "{faults} faults");
        }
    }
}
