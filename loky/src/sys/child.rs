//! A child process that can be watched, asked how it ended, and killed, without ever signalling a stranger.
//!
//! Where the kernel gives a pidfd, it stands for the process whatever becomes of its number. Where it does not (an old
//! kernel, a sandbox; forced by `--cfg loky_force_no_pidfd`), a number is used only while waitid(2) says that it is still
//! that of our unreaped child. A host that ignores `SIGCHLD` or waits for all children takes the status away: then it is
//! unknown how the child ended. See pidfd_open(2), waitid(2).
//!
//! # Safety
//! One system call without a wrapper, which gets plain numbers.
#![allow(unsafe_code, reason = "the null signal has no safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// How a child ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
}

impl Exit {
    /// Whether somebody else has taken the status: then the number may be another process's by now.
    pub(crate) fn is_unknown(self) -> bool {
        self == Self::default()
    }
}

/// A started process of ours.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    child: Child,
    pid: Pid,
    pidfd: Option<OwnedFd>,
}

impl ChildProcess {
    pub(crate) fn new(child: Child) -> Self {
        let pid = Pid::from_child(&child);
        Self { child, pid, pidfd: open_pidfd(pid) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Becomes readable when the process has ended; `None` where the kernel has no such thing.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// How the process ended, or `None` while it runs. Its number stays taken until [`reap`](Self::reap).
    pub(crate) fn exit(&self) -> Option<Exit> {
        let id = match &self.pidfd {
            Some(pidfd) => WaitId::PidFd(pidfd.as_fd()),
            None => WaitId::Pid(self.pid),
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match rustix::io::retry_on_intr(|| rustix::process::waitid(id.clone(), options)) {
            Ok(None) => None,
            Ok(Some(status)) => {
                Some(Exit { code: status.exit_status(), signal: status.terminating_signal() })
            }
            // Somebody else has taken the status. With a pidfd it can still be told whether it has ended.
            Err(Errno::CHILD) if self.pidfd().is_some_and(|pidfd| !is_reaped(pidfd)) => None,
            Err(_) => Some(Exit::default()),
        }
    }

    /// Ends the process at once, if it is still there.
    pub(crate) fn kill(&self) {
        match &self.pidfd {
            Some(pidfd) => {
                let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
            }
            None if self.exit().is_none() => {
                let _ = rustix::process::kill_process(self.pid, Signal::KILL);
            }
            None => {}
        }
    }

    /// Gives the number back to the system, once the process has ended.
    pub(crate) fn reap(&mut self) {
        let _ = self.child.try_wait();
    }
}

/// A descriptor for the process `pid`, which the caller knows to be alive or unreaped.
pub(crate) fn open_pidfd(pid: Pid) -> Option<OwnedFd> {
    if cfg!(loky_force_no_pidfd) {
        return None;
    }
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
    super::above_stdio(pidfd).ok()
}

/// The parent of this process, as something that becomes readable when it has ended. `None` where the kernel has no such
/// thing; an error if the parent is not (or no longer) `expected`.
pub(crate) fn watch_parent(expected: u32) -> io::Result<Option<OwnedFd>> {
    let pidfd = rustix::process::getppid().and_then(open_pidfd);
    // Asked afterwards, so that the descriptor cannot be that of whoever inherited us.
    if is_parent(expected) { Ok(pidfd) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Whether `pid` is the parent of this process. It is so until it has ended: then somebody else inherits us.
pub(crate) fn is_parent(pid: u32) -> bool {
    let parent = rustix::process::getppid();
    parent.is_some_and(|parent| parent.as_raw_nonzero().get().cast_unsigned() == pid)
}

/// Whether the process of a pidfd has ended and somebody has taken its status. See pidfd_send_signal(2): the null signal
/// only asks.
fn is_reaped(pidfd: BorrowedFd<'_>) -> bool {
    // SAFETY: plain numbers and a null pointer, which the call allows.
    let asked = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), 0, ptr::null::<()>(), 0)
    };
    asked != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}
