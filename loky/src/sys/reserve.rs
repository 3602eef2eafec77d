//! Descriptors held back, so that what has to be done can be done when the process has none left.
//!
//! Looking for processes takes two: the folder /proc, and one file in it at a time.

use std::io;
use std::os::fd::OwnedFd;

use super::streams;

/// Two descriptors that refer to nothing of interest.
#[derive(Debug)]
pub(crate) struct Reserve {
    held: Vec<OwnedFd>,
}

impl Reserve {
    const DESCRIPTORS: usize = 2;

    pub(crate) fn new() -> io::Result<Self> {
        let mut reserve = Self { held: Vec::new() };
        reserve.fill()?;
        Ok(reserve)
    }

    /// Runs `work` while the descriptors are free. If others take them meanwhile, the reserve stays smaller for a while.
    pub(crate) fn lend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.held.clear();
        let done = work();
        let _ = self.fill();
        done
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.held.len() < Self::DESCRIPTORS {
            self.held.push(streams::null()?);
        }
        Ok(())
    }
}
