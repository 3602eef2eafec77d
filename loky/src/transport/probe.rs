//! Whether this system allows the memory that a pool shares with its workers.
//!
//! A lane needs three things of the kernel: a memfd (memfd_create(2)), seals on it (fcntl(2)), and futexes on a word that two
//! mappings have (futex(2)). A system-call filter may forbid each of them, and old or foreign kernels lack them. Where one is
//! missing, a pool uses the stream alone.
//!
//! [`uses_lane`] answers once for the process. A shortage of descriptors or memory is no answer: the start of a worker meets
//! it again, and fails with an error that names the limit.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::sys::shared_words::SharedWords;
use crate::sys::{futex, is_shortage};

/// What this process knows. Without a lock, so that a forked child cannot find it held.
static ANSWER: AtomicU8 = AtomicU8::new(UNKNOWN);

const UNKNOWN: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

/// What /proc shows of the memory that is asked about.
const NAME: &str = "loky-probe";

/// Returns whether a new pool shares a page with each of its workers. Else it uses the stream alone, as with
/// `--cfg loky_force_stream`.
pub(crate) fn uses_lane() -> bool {
    if cfg!(loky_force_stream) {
        return false;
    }
    match ANSWER.load(Ordering::Relaxed) {
        UNKNOWN => match share_a_word() {
            Ok(()) => {
                ANSWER.store(YES, Ordering::Relaxed);
                true
            }
            Err(error) if is_shortage(&error) => true,
            Err(_) => {
                ANSWER.store(NO, Ordering::Relaxed);
                false
            }
        },
        answer => answer == YES,
    }
}

/// Does on a small scale what a page does.
fn share_a_word() -> io::Result<()> {
    let (ours, fd) = SharedWords::create(NAME, 1)?;
    let theirs = SharedWords::open(fd.as_fd(), 1)?;
    ours.words()[0].store(1, Ordering::Relaxed);
    if theirs.words()[0].load(Ordering::Relaxed) != 1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    futex::probe(&theirs.words()[0], 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfiltered_kernel_shares_a_word() {
        share_a_word().unwrap();
    }
}
