//! The child: what a process does from the moment it finds that it is a worker until it is gone.
//!
//! It puts itself in order (channel off stdin, a session of its own, signals, inherited descriptors), starts a [`watch`]
//! over its parent, and serves [`calls`] until the pool has no more to say. It never reaches the user's `main`, prints
//! nothing, and when its parent is gone, so are it and all it started. The call loop is tested in `tests.rs` without
//! processes, the rest through real workers in the package `tests`.

mod calls;
mod memory;
mod panics;
mod place;
#[cfg(test)]
mod tests;
mod watch;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::{io, process};

pub use self::place::{depth, is_worker, worker_index};

use self::watch::{End, Watch};
use crate::segments::Segments;
use crate::sys::socket::Socket;
use crate::sys::wake::Wake;
use crate::sys::{child, poll, signals, startup};
use crate::transport::WorkerEnd;
use crate::transport::worker_end::WorkerChannel;
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

/// The pools that tasks have made in this process, which are finished before it leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NestedPools {
    pub(crate) are_any_left: fn() -> bool,
    pub(crate) finish: fn(),
}

/// Is a worker, to the end. Must be called where no other thread of the program exists yet, and after
/// [`startup::close_inherited`].
pub(crate) fn run(cookie: Cookie, nested: NestedPools) -> ! {
    startup::remove_env(COOKIE_ENV);
    let Ok(socket) = startup::take_channel() else { process::exit(1) };
    let socket = Arc::new(socket);
    startup::lead_session();
    signals::restore_defaults();
    // Without them this process might outlive its parent, which is perhaps gone already.
    let Ok(end) = End::new().map(Arc::new) else { process::exit(1) };
    let Ok(segments) = watch(&socket, cookie, &end) else { process::exit(1) };
    panics::install_hook();

    let mut channel = WorkerChannel::new(Arc::clone(&socket));
    let served = calls::serve(&mut channel, &segments);
    if served.is_err() || poll::is_hung_up(socket.as_fd()) {
        // The channel is broken: the parent is gone, or wants this process gone, or a task has closed it.
        end.without_channel();
    }
    if (nested.are_any_left)() {
        // If that cannot be said, nobody is there to be patient.
        let _ = channel.send(&FromWorker::Lingering.to_bytes());
        (nested.finish)();
    }
    process::exit(0)
}

/// Starts the watch, which looks after the segments that come back as well.
fn watch(socket: &Arc<Socket>, cookie: Cookie, end: &Arc<End>) -> io::Result<Segments> {
    let parent_pid = cookie.parent_pid;
    let parent = child::watch_parent(parent_pid)?;
    let wake = Arc::new(Wake::new()?);
    let segments = Segments::of_worker(Arc::clone(&wake));
    let (socket, end) = (Arc::clone(socket), Arc::clone(end));
    let watch = Watch { socket, parent, parent_pid, end, segments: segments.clone(), wake };
    watch.start().map(|()| segments)
}

/// Tells the parent, on the channel that is this process's stdin, why it will get no worker. Touches nothing else: this
/// process is somebody's program, in the middle of its own affairs.
pub(crate) fn refuse(reason: &str) {
    if let Ok(socket) = startup::stdin_as_channel() {
        let _ = socket.send_all(&FromWorker::Refuse(reason.to_owned()).to_bytes());
    }
}
