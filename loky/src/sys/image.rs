//! Which executable this process runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// The path by which Linux lets a process execute its own image again, whatever has become of the file's name. See proc(5).
pub(crate) const SELF_EXE: &str = "/proc/self/exe";

/// What tells one executable file from another. A running one cannot be written to, so no more is needed; its times can be
/// changed by anybody who touches it, so they tell nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size_bytes: u64,
}

impl Image {
    /// The image of this process, as it was when first asked for.
    pub(crate) fn current() -> Self {
        static CURRENT: OnceLock<Image> = OnceLock::new();
        // Without /proc nothing can be told apart; and without it no worker starts either.
        *CURRENT.get_or_init(|| Self::of(Path::new(SELF_EXE)).unwrap_or_default())
    }

    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self { device: meta.dev(), inode: meta.ino(), size_bytes: meta.len() })
    }
}
