//! Waiting for many descriptors at once. See poll(2).

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// What to wait for, and after [`wait`](Self::wait) what there is.
#[derive(Debug, Default)]
pub(crate) struct PollSet<'fd> {
    fds: Vec<PollFd<'fd>>,
}

impl<'fd> PollSet<'fd> {
    /// Adds a descriptor and returns its place.
    pub(crate) fn add(&mut self, fd: BorrowedFd<'fd>, read: bool, write: bool) -> usize {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, read);
        flags.set(PollFlags::OUT, write);
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
        self.fds.len() - 1
    }

    /// Waits until something is ready, or until `deadline`. An interruption by a signal is no reason to return.
    pub(crate) fn wait(&mut self, now: Instant, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = deadline.map(|deadline| timespec(deadline.saturating_duration_since(now)));
        match rustix::event::poll(&mut self.fds, timeout.as_ref()) {
            // The caller looks at the clock and comes again.
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is something to read at `place`, be it the end or an error.
    pub(crate) fn readable(&self, place: usize) -> bool {
        self.fds[place]
            .revents()
            .intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    }

    /// Whether `place` takes bytes, or an attempt would show the error.
    pub(crate) fn writable(&self, place: usize) -> bool {
        self.fds[place].revents().intersects(PollFlags::OUT | PollFlags::ERR | PollFlags::NVAL)
    }

    /// Whether the other side of `place` is gone altogether.
    pub(crate) fn hung_up(&self, place: usize) -> bool {
        self.fds[place].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Whether the other side of `fd` is gone altogether, now.
pub(crate) fn is_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut set = PollSet::default();
    let place = set.add(fd, false, false);
    let _ = rustix::event::poll(&mut set.fds, Some(&timespec(Duration::ZERO)));
    set.hung_up(place)
}
