//! The first steps of a worker process: environment, descriptors, session, name.
//!
//! # Safety
//! These functions run before `main` or as its first statement, when no other thread exists.
#![allow(unsafe_code, reason = "the environment and raw descriptors are changed here")]

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::Signal;

use super::socket::Socket;
use super::streams;

/// Removes a variable from the environment of this process.
pub(crate) fn remove_env(name: &str) {
    // SAFETY: no other thread exists yet that could read the environment.
    unsafe { std::env::remove_var(name) };
}

/// Returns the inode of stdin, if it is a socket.
pub(crate) fn stdin_socket() -> Option<u64> {
    super::socket::inode(stdin()).ok()
}

fn stdin() -> BorrowedFd<'static> {
    // SAFETY: descriptor 0 may be closed, which the calls made with it report. Nothing here closes it.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// The lowest number for the channel's descriptor. Native code that uses a wrong descriptor mostly uses a small one.
const CHANNEL_LOWEST: i32 = 200;

/// Duplicates stdin, which is the channel, to a descriptor of its own.
pub(crate) fn stdin_as_channel() -> io::Result<Socket> {
    let high = rustix::io::fcntl_dupfd_cloexec(stdin(), CHANNEL_LOWEST);
    // The limit of descriptors may be lower than that.
    let fd = high.or_else(|_| rustix::io::fcntl_dupfd_cloexec(stdin(), super::LOWEST))?;
    Ok(Socket::from_fd(fd))
}

/// Moves the channel away from stdin, which is `/dev/null` afterwards.
///
/// Closed standard streams become `/dev/null` too, so that no file that a task opens becomes its stdout.
pub(crate) fn take_channel() -> io::Result<Socket> {
    let channel = stdin_as_channel()?;
    let null = streams::null()?;
    rustix::stdio::dup2_stdin(&null)?;
    if is_closed(1) {
        rustix::stdio::dup2_stdout(&null)?;
    }
    if is_closed(2) {
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(channel)
}

/// Ends this process by SIGKILL, without output or a core file.
pub(crate) fn kill_self() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    exit_at_once(1)
}

/// Ends this process and all its threads at once, without exit handlers or destructors.
pub(crate) fn exit_at_once(code: i32) -> ! {
    // SAFETY: the call does not return and takes a number only.
    unsafe { libc::_exit(code) }
}

fn is_closed(fd: i32) -> bool {
    // SAFETY: the descriptor is only queried, and the query reports a closed one.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_getfd(fd.as_fd()).is_err()
}

/// Closes descriptors that were inherited by mistake: all but the standard ones. The library has none open yet in this
/// process.
pub(crate) fn close_inherited() {
    // SAFETY: plain numbers. No code of this process has opened a descriptor above 2 yet.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    if closed == 0 {
        return;
    }
    // Before Linux 5.9: one by one.
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // SAFETY: as above. The descriptor of the folder is closed already, so closing its number only fails.
        unsafe { libc::close(fd) };
    }
}

/// Makes this process the leader of a new session, so that its descendants can be found, and Ctrl-C in the terminal does not
/// reach it. See setsid(2).
pub(crate) fn lead_session() {
    // Fails only in a process that leads its group already.
    let _ = rustix::process::setsid();
}

/// Names the calling thread `<program>-loky-<index>`. The program is cut so that the name fits into the 15 bytes of prctl(2).
pub(crate) fn name_process(program: &OsStr, index: usize) {
    let suffix = format!("-loky-{index}");
    let mut name: Vec<u8> = program.as_encoded_bytes().to_vec();
    name.retain(|byte| *byte != 0);
    name.truncate(15_usize.saturating_sub(suffix.len()));
    name.extend_from_slice(suffix.as_bytes());
    name.truncate(15);
    if let Ok(name) = CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}
