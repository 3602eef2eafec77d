//! Reading what the kernel says, below a folder that stands for `/`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::limits;

/// The folder below which everything is read: `/`, or one that a test has made.
#[derive(Debug)]
pub(super) struct Root(PathBuf);

impl Root {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The file at `path`, which may be written as an absolute one. Of one that is too long, the lines that are within the
    /// limit: the beginning of another might be taken for a whole one.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let path = path.as_ref();
        let file = File::open(self.0.join(path.strip_prefix("/").unwrap_or(path))).ok()?;
        let mut text = Vec::new();
        let limit = limits::MAX_KERNEL_TEXT_BYTES;
        file.take(limit as u64 + 1).read_to_end(&mut text).ok()?;
        if text.len() > limit {
            text.truncate(text.iter().rposition(|byte| *byte == b'\n')?);
        }
        Some(text)
    }
}
