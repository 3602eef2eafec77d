//! The worker: all that its process does, from the discovery that it is a worker to its exit.
//!
//! 1. [`calling`] reads from the environment what this process is.
//! 2. [`run`] moves the channel off stdin, starts a session, restores signals, and starts the [`watch`] over the parent.
//! 3. [`calls`] serves calls until the pool closes the channel.
//!
//! A worker never reaches the user's `main` and prints nothing. It does not outlive its parent, and neither does any process
//! that it started. The call loop is tested in `tests.rs` without processes, the rest through real workers in the package
//! `tests`.

mod calls;
mod current_task;
mod memory;
mod panics;
mod place;
#[cfg(test)]
mod tests;
mod watch;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::{io, process};

pub use self::current_task::current_task;
pub use self::place::{depth, is_worker, worker_index};

use self::watch::{End, Watch};
use crate::segments::Segments;
use crate::sys::socket::Socket;
use crate::sys::wake::Wake;
use crate::sys::{child, poll, signals, startup};
use crate::transport::worker_channel::WorkerChannel;
use crate::transport::worker_end::WorkerEnd;
use crate::wire::cookie::{COOKIE_ENV, Cookie};
use crate::wire::message::FromWorker;

/// The role of this process, as its environment has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calling {
    /// Not a worker.
    None,
    /// Not a worker, but a descendant of a process that was started as a worker and did not become one: its program has no entry.
    BelowOrphan,
    /// A worker of this parent.
    Worker(Cookie),
}

/// Finds out the role of this process. Changes nothing.
pub(crate) fn calling() -> Calling {
    let Some(text) = std::env::var_os(COOKIE_ENV) else { return Calling::None };
    match text.to_str().and_then(Cookie::parse) {
        Some(cookie) if startup::stdin_socket() == Some(cookie.socket_inode) => {
            Calling::Worker(cookie)
        }
        _ => Calling::BelowOrphan,
    }
}

/// The pools that tasks have created in this process, and that finish before it exits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NestedPools {
    pub(crate) are_any_left: fn() -> bool,
    pub(crate) finish: fn(),
}

/// Runs this process as a worker, to its end. Must be called before the program has other threads, and after
/// [`startup::close_inherited`].
pub(crate) fn run(cookie: Cookie, nested: NestedPools) -> ! {
    startup::remove_env(COOKIE_ENV);
    let Ok(socket) = startup::take_channel() else { process::exit(1) };
    let socket = Arc::new(socket);
    startup::lead_session();
    signals::restore_defaults();
    // Without the watch this process might outlive its parent, which may be gone already.
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
        // If the message cannot be sent, the parent is gone, and need not be asked for patience.
        let _ = channel.send(&FromWorker::Lingering.to_bytes());
        (nested.finish)();
    }
    process::exit(0)
}

/// Starts the watch thread. Returns the segments of results, which that thread frees when they are idle.
fn watch(socket: &Arc<Socket>, cookie: Cookie, end: &Arc<End>) -> io::Result<Segments> {
    let parent_pid = cookie.parent_pid;
    let parent = child::watch_parent(parent_pid)?;
    let wake = Arc::new(Wake::new()?);
    let segments = Segments::of_worker(Arc::clone(&wake));
    let (socket, end) = (Arc::clone(socket), Arc::clone(end));
    let watch = Watch { socket, parent, parent_pid, end, segments: segments.clone(), wake };
    watch.start().map(|()| segments)
}

/// Sends the parent, on the channel that is this process's stdin, the reason why this process does not become a worker. Changes
/// nothing else, since this process runs a program of its own.
pub(crate) fn refuse(reason: &str) {
    if let Ok(socket) = startup::stdin_as_channel() {
        let _ = socket.send_all(&FromWorker::Refuse(reason.to_owned()).to_bytes());
    }
}
