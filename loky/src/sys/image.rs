//! Which executable this process runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// The path by which Linux lets a process execute its own image again, whatever has become of the file's name. See proc(5).
pub(crate) const SELF_EXE: &str = "/proc/self/exe";

/// What tells one executable file from another, and from a changed version of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size_bytes: u64,
    pub(crate) modified_nanos: u64,
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
        let nanos = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size_bytes: meta.len(),
            modified_nanos: u64::try_from(nanos).unwrap_or_default(),
        })
    }
}
