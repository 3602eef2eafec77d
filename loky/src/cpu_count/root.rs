//! Reading the kernel's files, below a folder that stands for `/`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::limits;

/// The folder below which all files are read: `/`, or the folder of a test.
#[derive(Debug)]
pub(super) struct Root(PathBuf);

impl Root {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Reads the file at `path`, relative to this folder even if it is written as an absolute path. Of a file beyond the limit it
    /// returns the complete lines only, since the beginning of a line could be mistaken for a whole one.
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
