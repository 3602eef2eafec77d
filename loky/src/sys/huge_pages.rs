//! Huge pages for large memory: the first access to one costs one fault instead of 512. See madvise(2).
//!
//! # Safety
//! The advice concerns pages that lie within the vector, or the mapping, and changes no byte of them.
#![allow(unsafe_code, reason = "rustix cannot know that this advice is harmless")]

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::FallocateFlags;
use rustix::io::retry_on_intr;
use rustix::mm::Advice;

use super::mapping::{HUGE_PAGE_BYTES as PAGE_BYTES, Mapping};
use crate::limits;

/// Asks for huge pages in the spare capacity of `values`, if that is large. Without huge pages nothing changes.
pub(crate) fn prefer<T>(values: &mut Vec<T>) {
    let room = values.spare_capacity_mut();
    let length = size_of_val(room);
    if length < limits::HUGE_ROOM_BYTES {
        return;
    }
    let start = room.as_mut_ptr().cast::<u8>();
    let skipped = start.align_offset(PAGE_BYTES);
    let whole = length.saturating_sub(skipped) / PAGE_BYTES * PAGE_BYTES;
    // SAFETY: these bytes are within the spare capacity; only the size of their pages changes.
    let _ = unsafe {
        rustix::mm::madvise(start.wrapping_add(skipped).cast(), whole, Advice::LinuxHugepage)
    };
}

/// Backs the first `length` bytes of `fd` with huge pages, as far as whole ones fit, if `length` is large. Bytes without memory
/// become zeros. `mapping` maps the descriptor. Without huge pages only one page of the usual size is allocated, at the beginning.
///
/// The advice is `MADV_COLLAPSE` (Linux 6.1), which needs no permission. `MADV_HUGEPAGE` for shared memory depends on a setting of
/// the administrator, which few systems have on.
pub(super) fn back(fd: impl AsFd, mapping: &Mapping, length: usize) {
    debug_assert!(length <= mapping.length);
    if length < limits::HUGE_ROOM_BYTES {
        return;
    }
    let whole = length / PAGE_BYTES * PAGE_BYTES;
    // The first page shows whether the system has any.
    let _ = collapse(&fd, mapping, 0..PAGE_BYTES)
        .and_then(|()| collapse(&fd, mapping, PAGE_BYTES..whole));
}

/// Makes huge pages of these bytes, whose ends are multiples of a huge page.
fn collapse(fd: impl AsFd, mapping: &Mapping, bytes: Range<usize>) -> io::Result<()> {
    // The kernel collapses only pages of which a part is allocated.
    for start in bytes.clone().step_by(PAGE_BYTES) {
        let mode = FallocateFlags::empty();
        retry_on_intr(|| rustix::fs::fallocate(&fd, mode, start as u64, 1))?;
    }
    let first = mapping.first.as_ptr().wrapping_add(bytes.start);
    // SAFETY: within the mapping; only the size of the pages changes.
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
    fn prefer_keeps_values() {
        for length in [0, 1, limits::HUGE_ROOM_BYTES, limits::HUGE_ROOM_BYTES + PAGE_BYTES + 1] {
            let mut values = vec![7_u16; 3];
            values.reserve_exact(length / 2);
            prefer(&mut values);
            values.resize(3 + length / 2, 7);
            assert!(values.iter().all(|value| *value == 7), "{length}");
        }
    }

    #[test]
    fn back_allocates_whole_huge_pages_only() {
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

    /// Whether this system has `length` bytes in huge pages.
    fn are_available(length: usize) -> bool {
        let mut room: Vec<u8> = Vec::with_capacity(length + PAGE_BYTES);
        let skipped = room.as_ptr().align_offset(PAGE_BYTES);
        room.resize(skipped + length, 1);
        let start = room[skipped..].as_mut_ptr().cast();
        // SAFETY: within the vector; no byte of it changes.
        (unsafe { libc::madvise(start, length, libc::MADV_COLLAPSE) }) == 0
    }

    fn faults() -> i64 {
        // SAFETY: plain numbers, for which zero is valid.
        let mut usage = unsafe { std::mem::zeroed() };
        // SAFETY: there is room for what is written.
        assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) }, 0);
        usage.ru_minflt
    }

    #[test]
    fn reading_frozen_memory_faults_once_per_huge_page() {
        let length = 4 * limits::HUGE_ROOM_BYTES;
        let setting = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
        let setting = std::fs::read_to_string(setting).unwrap_or_default();
        if setting.is_empty() || setting.contains("[deny]") || !are_available(length) {
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
