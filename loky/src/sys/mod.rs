//! The operating system behind owned, typed values. All unsafe code of the crate that is about the system lies here.
//!
//! A file is one subject of the system: [`socket`]s and waiting for them ([`poll`], [`wake`]), memory that two
//! processes share ([`shared_words`]) and sleep on ([`futex`]), hand on to one another ([`segment`], filled with
//! plain values: [`pod`]), or fill again and again for one another ([`carrier`]), what lies where in the address space
//! ([`mapping`]) and on how large pages ([`huge_pages`]), [`child`] processes and what hangs below them ([`tree`]), what a
//! process puts right in itself when it starts as a worker ([`startup`], [`signals`], [`init_array`]), and what a process
//! knows of itself ([`image`], [`memory`], [`cpu`], [`fork_guard`]). Nothing here knows what the bytes mean.
//! Tested beside the code where one process is enough, else through real workers in the package `tests`.

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

/// The lowest descriptor that ours may have. Below lie stdin, stdout and stderr: a program that closed one of them would
/// otherwise print into a channel.
const LOWEST: i32 = 3;

/// `fd` itself, or a duplicate of it above the standard streams.
fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() >= LOWEST {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), LOWEST)?)
}

/// How many descriptors this process may have at a time.
pub(crate) fn descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// Whether the system is out of something that it may have again later, so that trying again is no folly.
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

/// What to say beside an error of the system: which limit it names.
pub(crate) fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => " (the limit is `RLIMIT_NOFILE`; see `ulimit -n`)",
        Some(libc::ENFILE) => " (the limit is `fs.file-max` of the whole system)",
        Some(libc::EAGAIN) => " (the limit may be `RLIMIT_NPROC` or the `pids` cgroup)",
        _ => "",
    }
}
