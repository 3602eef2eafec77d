//! Large memory in large pages, of which a fresh one costs one fault where 512 small ones cost as many. See madvise(2).
//!
//! # Safety
//! The advice is about pages that belong to the vector in whole, and changes no byte of them.
#![allow(unsafe_code, reason = "rustix cannot know that this advice does no harm")]

use rustix::mm::Advice;

use crate::limits;

/// What the advice is aligned to: a huge page, on most systems.
const PAGE_BYTES: usize = 2 << 20;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
