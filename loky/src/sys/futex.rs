//! Futexes: threads sleep on a word that another process changes, and are woken by it. See futex(2).
//!
//! The kernel compares 32 bits, the low half of the word. The library reads and writes whole words only.
//!
//! # Safety
//! An `AtomicU64` has the size of two `AtomicU32`s and at least their alignment. Only the kernel accesses memory through the
//! reference that is made here.
#![allow(unsafe_code, reason = "the kernel takes half of a word")]

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};

/// Returns the half of the word that the kernel compares.
fn low_half(word: &AtomicU64) -> &AtomicU32 {
    let half = usize::from(cfg!(target_endian = "big"));
    // SAFETY: within the word, with its lifetime.
    unsafe { &*std::ptr::from_ref(word).cast::<AtomicU32>().wrapping_add(half) }
}

/// Sleeps while the low half of `word` is `value`, until [`wake`] or for `timeout`. Returns spuriously at times.
pub(crate) fn wait(word: &AtomicU64, value: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    // Not private: the other process maps the word at another address. The caller checks the word whatever this returns.
    let _ = futex::wait(low_half(word), Flags::empty(), value, timeout.as_ref());
}

/// Wakes all threads that sleep on `word`.
pub(crate) fn wake(word: &AtomicU64) {
    let _ = futex::wake(low_half(word), Flags::empty(), i32::MAX.unsigned_abs());
}

/// Asks the kernel whether processes may sleep on a shared `word`. The word is not `value`, so nothing sleeps.
pub(crate) fn probe(word: &AtomicU64, value: u32) -> io::Result<()> {
    match futex::wait(low_half(word), Flags::empty(), value, None) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shared_words::SharedWords;
    use std::os::fd::AsFd;
    use std::sync::atomic::Ordering;

    #[test]
    fn wake_through_another_mapping_ends_sleep() {
        let (ours, fd) = SharedWords::create("loky-test", 8).unwrap();
        let theirs = SharedWords::open(fd.as_fd(), 8).unwrap();
        wait(&ours.words()[1], 5, None); // The word is not 5.
        probe(&ours.words()[1], 5).unwrap();
        ours.words()[1].store(7 << 32 | 5, Ordering::Relaxed);
        wait(&ours.words()[1], 5, Some(Duration::from_millis(1)));
        let sleeper = std::thread::spawn(move || {
            while ours.words()[1].load(Ordering::Acquire) != 6 {
                wait(&ours.words()[1], 5, None);
            }
        });
        theirs.words()[1].store(6, Ordering::Release);
        while !sleeper.is_finished() {
            wake(&theirs.words()[1]);
        }
        sleeper.join().unwrap();
    }
}
