//! Wait for many descriptors at once. See poll(2).

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// Descriptors to wait for, and after [`wait`](Self::wait) their states.
#[derive(Debug, Default)]
pub(crate) struct PollSet<'fd> {
    fds: Vec<PollFd<'fd>>,
}

impl<'fd> PollSet<'fd> {
    /// Adds a descriptor and returns its position.
    pub(crate) fn add(&mut self, fd: BorrowedFd<'fd>, read: bool, write: bool) -> usize {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, read);
        flags.set(PollFlags::OUT, write);
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
        self.fds.len() - 1
    }

    /// Waits until a descriptor is ready, or until `deadline`. A signal may end the wait early without an error.
    pub(crate) fn wait(&mut self, now: Instant, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = deadline.map(|deadline| timespec(deadline.saturating_duration_since(now)));
        match rustix::event::poll(&mut self.fds, timeout.as_ref()) {
            // The caller checks the clock and waits again.
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a read at `position` would return at once, with bytes, the end or an error.
    pub(crate) fn readable(&self, position: usize) -> bool {
        self.fds[position]
            .revents()
            .intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    }

    /// Whether a write at `position` would return at once, with progress or an error.
    pub(crate) fn writable(&self, position: usize) -> bool {
        self.fds[position].revents().intersects(PollFlags::OUT | PollFlags::ERR | PollFlags::NVAL)
    }

    /// Whether the other end of `position` is closed in both directions.
    pub(crate) fn hung_up(&self, position: usize) -> bool {
        self.fds[position].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Whether the other end of `fd` is closed in both directions, now.
pub(crate) fn is_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut set = PollSet::default();
    let position = set.add(fd, false, false);
    let _ = rustix::event::poll(&mut set.fds, Some(&timespec(Duration::ZERO)));
    set.hung_up(position)
}
