//! The private memory of this process. See proc_pid_statm(5), sysconf(3).
//!
//! # Safety
//! `sysconf` takes a number and accesses no memory of the program.
#![allow(unsafe_code, reason = "the C library knows the page size also under valgrind")]

use std::fs;

/// Returns the bytes of resident private memory: without pages of files and shared memory.
pub(crate) fn own_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    // SAFETY: see the module head.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    own_pages(&text)?.checked_mul(u64::try_from(page_bytes).ok()?)
}

/// Parses the line of `statm`.
fn own_pages(statm: &str) -> Option<u64> {
    let mut fields = statm.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_pages_do_not_count() {
        assert_eq!(own_pages("1000 300 120 5 0 90 0\n"), Some(180));
        assert_eq!(
            own_pages("1000 300 400 5 0 90 0\n"),
            Some(0),
            "the fields are not of one moment"
        );
        for text in ["", "1000", "1000 300", "1000 x 1", "1000 -3 1"] {
            assert_eq!(own_pages(text), None, "{text}");
        }
    }

    #[test]
    fn written_pages_count() {
        let before = own_bytes().unwrap();
        let bytes = vec![1_u8; 32 << 20];
        let after = own_bytes().unwrap();
        assert!(after.saturating_sub(before) > 16 << 20, "{before} to {after}");
        drop(bytes);
    }
}
