//! The reference for calls: the bare channel, a stream socket pair to another process that sends back what it gets.
//!
//! The other process is a copy of this program, with the sockets as its stdin and, if there are two, its stdout. On both
//! sides blocking writes and blocking reads, nothing else. It ends when its sockets do.
//!
//! It stays in the session of the bench, while a worker leads one of its own. Where Linux shares out its CPUs by session first
//! (autogroup, sched(7)), going from one session to another costs a switch about a tenth more; that is what loky makes of the
//! channel, so it is on loky's side of the ratio.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::{env, io, thread};

use crate::Result;

/// How long a message is: about as long as that of a call without arguments.
pub const MESSAGE_BYTES: usize = 64;

/// What one read takes at most.
const READ_BYTES: usize = 64 << 10;

/// Says to a copy of this program how many sockets it has to serve.
const ECHO_ENV: &str = "LOKY_BENCH_ECHO";

/// A process that sends back what it gets.
#[derive(Debug)]
pub struct EchoProcess {
    child: Child,
    sockets: Vec<UnixStream>,
}

impl EchoProcess {
    /// Starts one with a single socket.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start() -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(env::current_exe()?);
        let child = command.env(ECHO_ENV, "1").stdin(OwnedFd::from(theirs)).spawn()?;
        Ok(Self { child, sockets: vec![ours] })
    }

    /// Starts one with two sockets, each of which is served by a thread of its own.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_with_two_sockets() -> Result<Self> {
        let (first, first_theirs) = UnixStream::pair()?;
        let (second, second_theirs) = UnixStream::pair()?;
        let mut command = Command::new(env::current_exe()?);
        command.stdin(OwnedFd::from(first_theirs)).stdout(OwnedFd::from(second_theirs));
        let child = command.env(ECHO_ENV, "2").spawn()?;
        Ok(Self { child, sockets: vec![first, second] })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The sockets to it.
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

/// Echoes to the end, if this process is one to do so.
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

/// Sends back whatever a read finds, by one write, until the other side is gone.
fn echo(mut socket: &UnixStream) {
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(n_bytes @ 1..) = socket.read(&mut buffer) {
        if socket.write_all(&buffer[..n_bytes]).is_err() {
            return;
        }
    }
}

/// Sends one message and waits for it to come back.
///
/// # Errors
/// The other side is gone.
pub fn ping_pong(mut socket: &UnixStream) -> Result<()> {
    let mut message = [0; MESSAGE_BYTES];
    socket.write_all(&message)?;
    Ok(socket.read_exact(&mut message)?)
}

/// Sends `n_messages` messages with up to `depth` under way, as many by one write as there is room for, and waits for all to
/// come back.
///
/// # Errors
/// The other side is gone.
pub fn batched(mut socket: &UnixStream, n_messages: usize, depth: usize) -> Result<()> {
    let messages = vec![0; depth * MESSAGE_BYTES];
    let mut buffer = vec![0; READ_BYTES];
    let all = n_messages * MESSAGE_BYTES;
    let (mut sent, mut received) = (0, 0);
    while received < all {
        // In whole messages, whatever a read may have found.
        let under_way = (sent - received).next_multiple_of(MESSAGE_BYTES);
        let room = (messages.len() - under_way).min(all - sent);
        socket.write_all(&messages[..room])?;
        sent += room;
        match socket.read(&mut buffer)? {
            0 => return Err("the echo process is gone".into()),
            n_bytes => received += n_bytes,
        }
    }
    Ok(())
}
