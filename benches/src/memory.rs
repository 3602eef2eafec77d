//! The memory of a process, from `/proc/PID/smaps_rollup` (proc_pid_smaps(5)).

use std::fs;

use crate::Result;

/// Sizes in KiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Resident memory, in which a page that n processes share counts 1/n (`Pss`).
    pub proportional_kib: f64,
    /// Memory without a file: heap, stacks, and modified private pages of files (`Anonymous`).
    pub anonymous_kib: f64,
}

impl Memory {
    /// Returns the memory of a process.
    ///
    /// # Errors
    /// The process has exited, or the kernel lacks the file.
    pub fn of(pid: u32) -> Result<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?)
            .ok_or_else(|| "smaps_rollup lacks a size".into())
    }

    fn parse(text: &str) -> Option<Self> {
        let size = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            let (_, size) = lines.find(|(found, _)| *found == name)?;
            size.trim().strip_suffix(" kB")?.parse().ok()
        };
        Some(Self { proportional_kib: size("Pss")?, anonymous_kib: size("Anonymous")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::process;

    #[test]
    fn parse_matches_whole_names() {
        let text = "5500-7fff ---p 00 00:00 0 [rollup]\nRss: 9 kB\nPss_Dirty:  1 kB\n\
                    Pss:       1164 kB\nAnonymous:   80 kB\nAnonHugePages: 2 kB\n";
        let wanted = Memory { proportional_kib: 1164.0, anonymous_kib: 80.0 };
        assert_eq!(Memory::parse(text), Some(wanted));
        assert_eq!(Memory::parse("Rss: 9 kB\n"), None);
    }

    #[test]
    fn written_pages_count() {
        let before = Memory::of(process::id()).expect("this process");
        let bytes = black_box(vec![1_u8; 32 << 20]);
        let after = Memory::of(process::id()).expect("this process");
        assert!(after.anonymous_kib - before.anonymous_kib > f64::from(16 << 10));
        drop(bytes);
    }
}
