//! How much memory a process has to itself. See proc_pid_statm(5), sysconf(3).
//!
//! # Safety
//! The function takes a number and touches nothing of ours.
#![allow(unsafe_code, reason = "the C library knows the size of a page also under valgrind")]

use std::fs;

/// The bytes of memory that are resident and this process's own: without pages of files, nor memory that it shares.
pub(crate) fn own_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    // SAFETY: as said above.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    own_pages(&text)?.checked_mul(u64::try_from(page_bytes).ok()?)
}

fn own_pages(statm: &str) -> Option<u64> {
    let mut fields = statm.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_does_not_count() {
        assert_eq!(own_pages("1000 300 120 5 0 90 0\n"), Some(180));
        assert_eq!(own_pages("1000 300 400 5 0 90 0\n"), Some(0), "not read at one moment");
        for text in ["", "1000", "1000 300", "1000 x 1", "1000 -3 1"] {
            assert_eq!(own_pages(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_to_counts() {
        let before = own_bytes().unwrap();
        let bytes = vec![1_u8; 32 << 20];
        let after = own_bytes().unwrap();
        assert!(after.saturating_sub(before) > 16 << 20, "{before} to {after}");
        drop(bytes);
    }
}
