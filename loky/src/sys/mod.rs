//! The operating system behind owned, typed values. All unsafe code of the crate that makes system calls is here.
//!
//! Each file has one subject:
//!
//! | subject | files |
//! |---|---|
//! | channels, and waiting for them | [`socket`], [`poll`], [`wake`] |
//! | words that two processes share | [`shared_words`], [`futex`] |
//! | values in shared memory | [`segment`] (frozen), [`segment_memory`] (reusable), [`pod`] (types that are their bytes) |
//! | address space and page sizes | [`mapping`], [`huge_pages`] |
//! | other processes | [`child`], [`tree`] (descendants), [`reserve`] (descriptors to look for them), [`no_fork`] |
//! | the start of a worker | [`startup`], [`signals`], [`init_array`], [`streams`] |
//! | facts about this process | [`image`], [`memory`], [`cpu`], [`fork_guard`] |
//!
//! No file here knows the meaning of the bytes that it moves. Unit tests are beside the code where one process suffices. The
//! package `tests` covers the rest with real workers.

pub(crate) mod child;
pub(crate) mod cpu;
pub(crate) mod fork_guard;
pub(crate) mod futex;
pub(crate) mod huge_pages;
pub(crate) mod image;
pub(crate) mod init_array;
mod mapping;
pub(crate) mod memory;
pub(crate) mod no_fork;
pub(crate) mod pod;
pub(crate) mod poll;
pub(crate) mod reserve;
pub(crate) mod segment;
pub(crate) mod segment_memory;
pub(crate) mod shared_words;
pub(crate) mod signals;
pub(crate) mod socket;
pub(crate) mod startup;
pub(crate) mod streams;
pub(crate) mod tree;
pub(crate) mod wake;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The lowest number for a descriptor of the library. A program may have closed stdin, stdout or stderr, and would otherwise
/// print into a channel.
const LOWEST: i32 = 3;

/// Returns `fd` itself, or a duplicate of it above the standard streams.
fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() >= LOWEST {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), LOWEST)?)
}

/// Returns how many descriptors this process may have open.
pub(crate) fn descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// Whether the system lacks a resource that may be free again later, so that another attempt can succeed.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EMFILE
                | libc::ENFILE
                | libc::EAGAIN
                | libc::ENOMEM
                | libc::ENOBUFS
                | libc::ETOOMANYREFS
        )
    )
}

/// Returns the limit behind an error of the system, as a suffix of a message.
pub(crate) fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => " (the limit is `RLIMIT_NOFILE`; see `ulimit -n`)",
        Some(libc::ENFILE) => " (the limit is `fs.file-max` of the whole system)",
        Some(libc::EAGAIN) => " (the limit may be `RLIMIT_NPROC` or the `pids` cgroup)",
        _ => "",
    }
}
