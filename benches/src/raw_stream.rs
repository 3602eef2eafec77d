//! The reference for calls: the bare channel, a stream socket pair to an echo process.
//!
//! The echo process is a copy of this program, with the sockets as its stdin and, if there are two, its stdout. Both sides use
//! only blocking writes and blocking reads. It exits at the end of its sockets.
//!
//! It stays in the session of the bench, while a worker leads a session of its own. If Linux divides CPU time by session first
//! (autogroup, sched(7)), a switch between sessions costs about a tenth more. Loky causes this cost, so it belongs to its side of
//! the ratio.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::{env, io, thread};

use crate::Result;

/// The length of a message: about that of a call without arguments.
pub const MESSAGE_BYTES: usize = 64;

/// The most bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// Tells a copy of this program how many sockets to serve.
const ECHO_ENV: &str = "LOKY_BENCH_ECHO";

/// A process that sends all bytes back.
#[derive(Debug)]
pub struct EchoProcess {
    child: Child,
    sockets: Vec<UnixStream>,
}

impl EchoProcess {
    /// Starts a process with one socket.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start() -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(env::current_exe()?);
        let child = command.env(ECHO_ENV, "1").stdin(OwnedFd::from(theirs)).spawn()?;
        Ok(Self { child, sockets: vec![ours] })
    }

    /// Starts a process with two sockets, each served by a thread of its own.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start_with_two_sockets() -> Result<Self> {
        let (first, first_theirs) = UnixStream::pair()?;
        let (second, second_theirs) = UnixStream::pair()?;
        let mut command = Command::new(env::current_exe()?);
        command.stdin(OwnedFd::from(first_theirs)).stdout(OwnedFd::from(second_theirs));
        let child = command.env(ECHO_ENV, "2").spawn()?;
        Ok(Self { child, sockets: vec![first, second] })
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the sockets to the process.
    #[must_use]
    pub fn sockets(&self) -> &[UnixStream] {
        &self.sockets
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        self.sockets.clear();
        let _ = self.child.wait();
    }
}

/// If this process was started as an echo process, serves its sockets to their end and returns true.
pub(crate) fn was_echo() -> bool {
    let Some(sockets) = env::var_os(ECHO_ENV) else { return false };
    let second = (sockets == "2").then(|| {
        let socket = io::stdout().as_fd().try_clone_to_owned();
        thread::spawn(move || socket.map(|fd| echo(&fd.into())))
    });
    if let Ok(fd) = io::stdin().as_fd().try_clone_to_owned() {
        echo(&fd.into());
    }
    if let Some(second) = second {
        let _ = second.join();
    }
    true
}

/// Sends the bytes of each read back with one write, until the other side is closed.
fn echo(mut socket: &UnixStream) {
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(n_bytes @ 1..) = socket.read(&mut buffer) {
        if socket.write_all(&buffer[..n_bytes]).is_err() {
            return;
        }
    }
}

/// Sends one message and waits for its echo.
///
/// # Errors
/// The other side is closed.
pub fn ping_pong(mut socket: &UnixStream) -> Result<()> {
    let mut message = [0; MESSAGE_BYTES];
    socket.write_all(&message)?;
    Ok(socket.read_exact(&mut message)?)
}

/// Sends `n_messages` messages, at most `depth` at a time without an echo, with as few writes as possible. Waits for all echoes.
///
/// # Errors
/// The other side is closed.
pub fn batched(mut socket: &UnixStream, n_messages: usize, depth: usize) -> Result<()> {
    let messages = vec![0; depth * MESSAGE_BYTES];
    let mut buffer = vec![0; READ_BYTES];
    let all = n_messages * MESSAGE_BYTES;
    let (mut sent, mut received) = (0, 0);
    while received < all {
        // A read may end within a message.
        let in_flight = (sent - received).next_multiple_of(MESSAGE_BYTES);
        let room = (messages.len() - in_flight).min(all - sent);
        socket.write_all(&messages[..room])?;
        sent += room;
        match socket.read(&mut buffer)? {
            0 => return Err("the echo process has closed its socket".into()),
            n_bytes => received += n_bytes,
        }
    }
    Ok(())
}
