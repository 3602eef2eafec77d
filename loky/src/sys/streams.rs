//! What can be put in the place of a standard stream. Never one of the standard descriptors itself, which a program may have
//! closed: std moves only those out of its way that it is given, not those that it opens.

use std::fs::File;
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

/// The read end and the write end of a pipe.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((super::above_stdio(read)?, super::above_stdio(write)?))
}

/// The end of a file, which is created if need be.
pub(crate) fn append(path: &Path) -> io::Result<OwnedFd> {
    super::above_stdio(File::options().append(true).create(true).open(path)?.into())
}
