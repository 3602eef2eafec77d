//! What can be put in the place of a standard stream. Never one of the standard descriptors itself, which a program may have
//! closed: std moves only those out of its way that it is given, not those that it opens.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;

/// Takes everything, and has nothing to read. See null(4).
pub(crate) fn null() -> io::Result<OwnedFd> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    super::above_stdio(null)
}

/// The read end of a pipe, which never blocks, and the write end, which is for somebody else.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK)?;
    Ok((super::above_stdio(read)?, super::above_stdio(write)?))
}

/// The end of a file, which is created if need be. A named pipe that nobody reads is an error, and not waited for.
pub(crate) fn append(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(0o666))?;
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    super::above_stdio(file)
}
