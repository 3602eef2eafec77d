//! The processes that descend from one program.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use crate::process;
use crate::signal::kill;

/// The variable that a program and its descendants inherit, by which they are found.
const MARK: &str = "LOKY_TESTS_MARK";

/// The processes that run below one program. They are killed when this value is dropped, so that a failed test leaves nothing.
#[derive(Debug)]
pub struct Marked {
    mark: String,
}

impl Marked {
    /// Returns a mark for the processes of this test process that has `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { mark: format!("{name}-{}", std::process::id()) }
    }

    /// Returns the variable that the program gets.
    #[must_use]
    pub fn variable(&self) -> (&str, &str) {
        (MARK, &self.mark)
    }

    /// Returns the live processes that have the variable.
    #[must_use]
    pub fn pids(&self) -> BTreeSet<u32> {
        let line = format!("{MARK}={}", self.mark);
        let entries = fs::read_dir("/proc").unwrap();
        let numbers = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let is_marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == line.as_bytes())
        };
        numbers.filter(is_marked).collect()
    }

    /// Insists that no such process is left after `limit`.
    #[track_caller]
    pub fn assert_gone_within(&self, limit: Duration) {
        let start = Instant::now();
        // Twice, since a process in the middle of exec has no environment to be seen for a moment.
        while !(self.pids().is_empty() && self.pids().is_empty()) {
            let left = || self.pids().into_iter().filter_map(process).collect::<Vec<_>>();
            assert!(start.elapsed() < limit, "left after {limit:?}: {:#?}", left());
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        for pid in self.pids() {
            kill(pid, libc::SIGKILL);
        }
    }
}
