//! A record of calls in a file: each call notes its number before anything else.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

/// A list of numbers, empty at first. Made by the test; travels to tasks by value; the file goes with the original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    path: PathBuf,
    /// Only where it was made.
    #[serde(skip)]
    #[expect(dead_code, reason = "held for its drop")]
    owner: Option<Arc<Owner>>,
}

#[derive(Debug)]
struct Owner(PathBuf);

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Record {
    /// A new record.
    ///
    /// # Panics
    /// If the temporary folder cannot be written.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a file")]
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("loky-tests-{}-record-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // An earlier process with this pid may have been killed.
        let _ = fs::remove_file(&path);
        File::create_new(&path).expect("a temporary folder");
        Self { owner: Some(Arc::new(Owner(path.clone()))), path }
    }

    /// Adds `number`. It is there as soon as this returns, whatever kills the process then, and never in part.
    ///
    /// # Panics
    /// If the file is gone.
    pub fn note(&self, number: u64) {
        // To open it takes longer than to write, and most tests keep one record.
        static OPEN: Mutex<Option<(PathBuf, File)>> = Mutex::new(None);
        let mut open = OPEN.lock().expect("no thread panics with it");
        let is_open = open.as_ref().is_some_and(|(path, _)| *path == self.path);
        if !is_open {
            let file = OpenOptions::new().append(true).open(&self.path).expect("the record");
            *open = Some((self.path.clone(), file));
        }
        let (_, file) = open.as_mut().expect("it was opened");
        file.write_all(&number.to_le_bytes()).expect("room for eight bytes");
    }

    /// All numbers, in the order in which they were noted.
    ///
    /// # Panics
    /// If the file is gone.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        let bytes = fs::read(&self.path).expect("the record");
        let (numbers, rest) = bytes.as_chunks();
        assert_eq!(rest, [], "a number in part");
        numbers.iter().map(|number| u64::from_le_bytes(*number)).collect()
    }

    /// How often each number below `limit` was noted. There are no others.
    ///
    /// # Panics
    /// If there are.
    #[must_use]
    pub fn counts(&self, limit: usize) -> Vec<usize> {
        let mut counts = vec![0; limit];
        for number in self.numbers() {
            counts[usize::try_from(number).expect("an index")] += 1;
        }
        counts
    }
}
