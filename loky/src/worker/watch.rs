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
use crate::sys::reserve::Reserve;
use crate::sys::socket::Socket;
use crate::sys::{child, tree};

/// What the thread waits for.
pub(super) struct Watch {
    /// The channel to the parent.
    pub(super) socket: Arc<Socket>,
    /// The parent, where the kernel has pidfds.
    pub(super) parent: Option<OwnedFd>,
    pub(super) parent_pid: u32,
    /// Held back for looking around at the end, whatever the tasks did with the others.
    pub(super) reserve: Reserve,
}

impl Watch {
    /// Starts the thread.
    pub(super) fn start(mut self) -> io::Result<()> {
        let thread = thread::Builder::new().name("loky-watch".into());
        thread.stack_size(limits::THREAD_STACK_BYTES).spawn(move || {
            self.wait_for_the_end();
            tree::kill_below(&[std::process::id()], &mut self.reserve);
            tree::kill_self()
        })?;
        Ok(())
    }

    fn wait_for_the_end(&self) {
        loop {
            let mut set = PollSet::default();
            // Nothing is to be read here: a hang-up is told without being asked for.
            let channel = set.add(self.socket.as_fd(), false, false);
            let parent = self.parent.as_ref().map(|parent| set.add(parent.as_fd(), true, false));
            let is_over = match set.wait(clock::now(), None) {
                Ok(()) => set.hung_up(channel) || parent.is_some_and(|parent| set.readable(parent)),
                // A task has lowered the limit of descriptors to less than these two: then one has to look.
                Err(_) => {
                    thread::park_timeout(limits::REAP_INTERVAL);
                    !child::is_parent(self.parent_pid)
                }
            };
            if is_over {
                return;
            }
        }
    }
}
