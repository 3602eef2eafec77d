//! The identity of the executable that this process runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// The path through which a process can execute its own image, even if the file was renamed or removed. See proc(5).
pub(crate) const SELF_EXE: &str = "/proc/self/exe";

/// The identity of an executable file. A running executable cannot be written to, so device, inode and size suffice. Its times
/// say nothing, because `touch` changes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size_bytes: u64,
}

impl Image {
    /// Returns the image of this process, as of the first call of this function.
    pub(crate) fn current() -> Self {
        static CURRENT: OnceLock<Image> = OnceLock::new();
        // Without /proc all images are equal, but no worker starts either.
        *CURRENT.get_or_init(|| Self::of(Path::new(SELF_EXE)).unwrap_or_default())
    }

    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self { device: meta.dev(), inode: meta.ino(), size_bytes: meta.len() })
    }
}
