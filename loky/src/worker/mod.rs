//! The child: what a process does from the moment it finds that it is a worker until it is gone.
//!
//! It puts itself in order (channel off stdin, a session of its own, signals, inherited descriptors), starts a [`watch`]
//! over its parent, and serves [`calls`] until the pool has no more to say. It never reaches the user's `main`, prints
//! nothing, and when its parent is gone, so are it and all it started. The call loop is tested in `tests.rs` without
//! processes, the rest through real workers in the package `tests`.

mod calls;
mod panics;
#[cfg(test)]
mod tests;
mod watch;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::{io, process, thread};

use self::watch::Watch;
use crate::sys::reserve::Reserve;
use crate::sys::socket::Socket;
use crate::sys::{child, poll, signals, startup};
use crate::transport::WorkerEnd;
use crate::transport::stream::WorkerStream;
use crate::wire::cookie::{COOKIE_ENV, Cookie};
use crate::wire::message::FromWorker;

/// What the environment says that this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calling {
    /// No worker.
    None,
    /// No worker, but below a process that was started as one and did not become it: its program has no entry.
    BelowOrphan,
    /// A worker of this parent.
    Worker(Cookie),
}

/// Finds out what this process is. Changes nothing.
pub(crate) fn calling() -> Calling {
    let Some(text) = std::env::var_os(COOKIE_ENV) else { return Calling::None };
    match text.to_str().and_then(Cookie::parse) {
        Some(cookie) if startup::stdin_socket() == Some(cookie.socket_inode) => {
            Calling::Worker(cookie)
        }
        _ => Calling::BelowOrphan,
    }
}

/// Is a worker, to the end. Must be called where no other thread of the program exists yet.
pub(crate) fn run(cookie: Cookie) -> ! {
    startup::remove_env(COOKIE_ENV);
    let Ok(socket) = startup::take_channel() else { process::exit(1) };
    let socket = Arc::new(socket);
    startup::lead_session();
    signals::restore_defaults();
    if watch(&socket, cookie).is_err() {
        process::exit(1); // The parent is gone already, or this process could not be kept from outliving it.
    }
    panics::install_hook();

    let served = calls::serve(&mut WorkerStream::new(Arc::clone(&socket)));
    if served.is_err() || poll::is_hung_up(socket.as_fd()) {
        // The channel is broken: the parent is gone, or wants this process gone. What was started here goes with it, which
        // is the watch's business; where the channel is whole but what came over it is not, there is nobody to tell.
        socket.hang_up();
        loop {
            thread::park();
        }
    }
    process::exit(0)
}

fn watch(socket: &Arc<Socket>, cookie: Cookie) -> io::Result<()> {
    let parent_pid = cookie.parent_pid;
    let parent = child::watch_parent(parent_pid)?;
    let reserve = Reserve::new()?;
    Watch { socket: Arc::clone(socket), parent, parent_pid, reserve }.start()
}

/// Tells the parent, on a channel that is still this process's stdin, why it will get no worker.
pub(crate) fn refuse(reason: &str) {
    if let Ok(socket) = startup::take_channel() {
        let _ = WorkerStream::new(Arc::new(socket))
            .send(&FromWorker::Refuse(reason.to_owned()).to_bytes());
    }
}
