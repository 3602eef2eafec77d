//! Replacements for standard streams. None of them has the number of a standard stream, which a program may have closed: when it
//! starts a process, std moves descriptors that it was given out of the way, but not those that it opens.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;

/// Opens `/dev/null`. See null(4).
pub(crate) fn null() -> io::Result<OwnedFd> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    super::above_stdio(null)
}

/// Creates a pipe with a non-blocking read end, and a write end for another process.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK)?;
    Ok((super::above_stdio(read)?, super::above_stdio(write)?))
}

/// Opens a file for appending, and creates it if needed. A named pipe without a reader is an error; the call does not block.
pub(crate) fn append(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(0o666))?;
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    super::above_stdio(file)
}
