//! A child process: watch it, read its exit status, kill it. A signal never reaches another process.
//!
//! With a pidfd, the kernel identifies the process even after its number is used again. Without one (old kernels, sandboxes,
//! `--cfg loky_force_no_pidfd`), a number is used only while waitid(2) reports an unreaped child of this number. If the user's
//! program ignores `SIGCHLD` or waits for all children, the exit status is lost, and the exit is unknown. See pidfd_open(2),
//! waitid(2).
//!
//! # Safety
//! One system call has no wrapper. Its arguments are plain numbers and a null pointer.
#![allow(unsafe_code, reason = "the null signal has no safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// The exit of a child: a code or a signal, or neither if the status is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
}

impl Exit {
    /// Whether the status is lost because other code has reaped the child. Its number may belong to another process now.
    pub(crate) fn is_unknown(self) -> bool {
        self == Self::default()
    }
}

/// A child process of this process.
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

    /// Returns a descriptor that becomes readable when the process exits; `None` where the kernel has no pidfds.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Returns the exit of the process, or `None` while it runs. Its number stays reserved until [`reap`](Self::reap).
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
            // Other code has reaped the child. The pidfd still tells whether the process has exited.
            Err(Errno::CHILD) if self.pidfd().is_some_and(|pidfd| !is_reaped(pidfd)) => None,
            Err(_) => Some(Exit::default()),
        }
    }

    /// Kills the process, if it still runs.
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

    /// Reaps the process once it has exited, which releases its number.
    pub(crate) fn reap(&mut self) {
        let _ = self.child.try_wait();
    }
}

/// Returns a pidfd of the process `pid`, which the caller knows to be alive or unreaped.
pub(crate) fn open_pidfd(pid: Pid) -> Option<OwnedFd> {
    if cfg!(loky_force_no_pidfd) {
        return None;
    }
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
    super::above_stdio(pidfd).ok()
}

/// Returns a descriptor that becomes readable when the parent of this process exits; `None` where the kernel has no pidfds.
///
/// # Errors
/// The parent is not, or no longer, `expected`.
pub(crate) fn watch_parent(expected: u32) -> io::Result<Option<OwnedFd>> {
    let pidfd = rustix::process::getppid().and_then(open_pidfd);
    // Checked after the descriptor is open, so that it cannot belong to a process that has adopted this one.
    if is_parent(expected) { Ok(pidfd) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Whether `pid` is the parent of this process. When the parent exits, another process adopts this one.
pub(crate) fn is_parent(pid: u32) -> bool {
    let parent = rustix::process::getppid();
    parent.is_some_and(|parent| parent.as_raw_nonzero().get().cast_unsigned() == pid)
}

/// Whether the process of a pidfd has exited and was reaped. The null signal of pidfd_send_signal(2) only checks.
fn is_reaped(pidfd: BorrowedFd<'_>) -> bool {
    // SAFETY: plain numbers and a null pointer, which the call allows.
    let asked = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), 0, ptr::null::<()>(), 0)
    };
    asked != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}
