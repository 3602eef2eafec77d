//! A reserve of descriptors, for the scan of /proc when the process has none left.
//!
//! A scan needs two: the folder /proc, and one file in it at a time.

use std::io;
use std::os::fd::OwnedFd;

use super::streams;

/// Two open descriptors of `/dev/null`, closed when others are needed in their place.
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

    /// Runs `work` while the reserve is closed. If other threads take the descriptors, the reserve is refilled at a later time.
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
