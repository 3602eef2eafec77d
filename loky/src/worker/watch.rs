//! A thread that sees to it that nothing outlives the parent: not the worker, not in the middle of a call either, and not
//! what its tasks started.
//!
//! It waits, without ever waking for nothing, for one of two things: the parent's pidfd says that it has ended, or the
//! channel is closed at the other end (the parent is gone, or wants this process gone). Not `PR_SET_PDEATHSIG`: that fires
//! when the *thread* ends that spawned the worker, and descendants do not inherit it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use crate::clock;
use crate::limits;
use crate::sys::poll::PollSet;
use crate::sys::socket::Socket;
use crate::sys::tree;

/// Starts the thread.
pub(super) fn start(socket: Arc<Socket>, parent: Option<OwnedFd>) -> io::Result<()> {
    let thread = thread::Builder::new().name("loky-watch".into());
    thread.stack_size(limits::THREAD_STACK_BYTES).spawn(move || {
        wait_for_the_end(&socket, parent.as_ref());
        end_everything();
    })?;
    Ok(())
}

fn wait_for_the_end(socket: &Socket, parent: Option<&OwnedFd>) {
    loop {
        let mut set = PollSet::default();
        // Nothing is to be read here: a hang-up is told without being asked for.
        let channel = set.add(socket.as_fd(), false, false);
        let parent = parent.map(|parent| set.add(parent.as_fd(), true, false));
        if set.wait(clock::now(), None).is_err()
            || set.hung_up(channel)
            || parent.is_some_and(|parent| set.readable(parent))
        {
            return;
        }
    }
}

/// Kills what this process started, then this process.
pub(super) fn end_everything() -> ! {
    tree::kill_below(&[std::process::id()]);
    tree::kill_self()
}
