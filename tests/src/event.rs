//! An event that one process sets and others wait for, without sleeping and looking: a named pipe.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

/// A number of permits, none at first. Made by the test; travels to tasks by value; the pipe goes with the original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    path: PathBuf,
    /// In the process that made it: keeps the permits while no other process has the pipe open.
    #[serde(skip)]
    #[expect(dead_code, reason = "held for its drop")]
    owner: Option<Arc<Owner>>,
}

#[derive(Debug)]
struct Owner {
    path: PathBuf,
    #[expect(dead_code, reason = "held open")]
    pipe: File,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Event {
    /// A new event.
    ///
    /// # Panics
    /// If the temporary folder cannot be written.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a file")]
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("loky-tests-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // An earlier process with this pid may have been killed.
        let _ = fs::remove_file(&path);
        let text = std::ffi::CString::new(path.to_str().expect("a plain path")).expect("no zeros");
        #[expect(unsafe_code, reason = "mkfifo has no wrapper in std")]
        // SAFETY: a string that ends in zero.
        let made = unsafe { libc::mkfifo(text.as_ptr(), 0o600) };
        assert_eq!(made, 0, "mkfifo {}", path.display());
        let owner = Some(Arc::new(Owner { pipe: open(&path), path: path.clone() }));
        Self { path, owner }
    }

    /// Where the pipe is, for waiters of other kinds.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets one waiter go on, now or later.
    pub fn set(&self) {
        self.set_for(1);
    }

    /// Lets a number of waiters go on.
    ///
    /// # Panics
    /// If the pipe is gone.
    pub fn set_for(&self, waiters: usize) {
        open(&self.path).write_all(&vec![1; waiters]).expect("room in the pipe");
    }

    /// Blocks until a permit is there, and takes it.
    ///
    /// # Panics
    /// If the pipe is gone.
    pub fn wait(&self) {
        open(&self.path).read_exact(&mut [0]).expect("the pipe");
    }
}

/// For reading and writing, so that opening never blocks.
fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).expect("the pipe")
}
