//! What a process puts right in itself when it begins as a worker.
//!
//! # Safety
//! Runs where no other thread can exist yet: before `main`, or as its first statement.
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

/// stdin, if it is a socket: its inode.
pub(crate) fn stdin_socket() -> Option<u64> {
    super::socket::inode(stdin()).ok()
}

fn stdin() -> BorrowedFd<'static> {
    // SAFETY: descriptor 0 may be closed, which the calls made with it report; nothing here closes it.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Where the channel's descriptor lies at least, out of the way of numbers that native code may write to by mistake.
const CHANNEL_LOWEST: i32 = 200;

/// A descriptor of its own for the channel that is stdin.
pub(crate) fn stdin_as_channel() -> io::Result<Socket> {
    let high = rustix::io::fcntl_dupfd_cloexec(stdin(), CHANNEL_LOWEST);
    // A limit of descriptors may lie below that.
    let fd = high.or_else(|_| rustix::io::fcntl_dupfd_cloexec(stdin(), super::LOWEST))?;
    Ok(Socket::from_fd(fd))
}

/// Takes the channel out of stdin, which is empty afterwards.
///
/// Standard streams that are closed are opened on `/dev/null`, so that no file that a task opens becomes its stdout.
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

/// Ends this process by SIGKILL: at once, and without a word or a core.
pub(crate) fn kill_self() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    exit_at_once(1)
}

/// Ends this process as nothing else does: at once, with all its threads, and without running anything more of it.
pub(crate) fn exit_at_once(code: i32) -> ! {
    // SAFETY: it does not return, and looks at nothing but the number.
    unsafe { libc::_exit(code) }
}

fn is_closed(fd: i32) -> bool {
    // SAFETY: the number is only asked about; a closed one is the answer, not a fault.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_getfd(fd.as_fd()).is_err()
}

/// Closes what a parent handed down by mistake: every descriptor but the standard ones. The library has none open yet in
/// this process.
pub(crate) fn close_inherited() {
    // SAFETY: plain numbers; who owns a descriptor above 2 here has inherited it without knowing.
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
        // SAFETY: as above. The one that read the folder is closed already, which is no fault.
        unsafe { libc::close(fd) };
    }
}

/// Makes this process the leader of a session of its own, so that what it starts can be found, and Ctrl-C in the terminal
/// is not its business. See setsid(2).
pub(crate) fn lead_session() {
    // Refused only to a process that leads already.
    let _ = rustix::process::setsid();
}

/// Names the calling thread `<program>-loky-<index>`, as far as the 15 bytes of prctl(2) go.
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
