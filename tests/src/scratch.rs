//! Files of one test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Returns the path of a file that no other process uses.
#[must_use]
pub fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("loky-tests-{}-{name}", std::process::id()))
}

/// A folder for the files of one test. It is removed when this value is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("loky-tests-scratch-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // An earlier process with this pid may have been killed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self { path: path.canonicalize().unwrap() }
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file that can be executed.
    #[must_use]
    pub fn executable(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Makes a script for sh, as a program.
    #[must_use]
    pub fn script(&self, text: &str) -> PathBuf {
        self.executable("script", &format!("#!/bin/sh\n{text}\n"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
