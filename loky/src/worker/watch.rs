//! A thread that sees to it that nothing outlives the parent: not the worker, not in the middle of a call either, and not
//! what its tasks started.
//!
//! It waits, without ever waking for nothing, for one of two things: the parent's pidfd says that it has ended, or the
//! channel is closed at the other end (the parent is gone, or wants this process gone). Meanwhile it takes away the
//! [segments](crate::segments) of results that are not used any more, for which it is woken. Not `PR_SET_PDEATHSIG`: that fires
//! when the *thread* ends that spawned the worker, and descendants do not inherit it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::clock;
use crate::error::WorkerExit;
use crate::limits;
use crate::segments::Segments;
use crate::sys::no_fork;
use crate::sys::poll::PollSet;
use crate::sys::reserve::Reserve;
use crate::sys::socket::Socket;
use crate::sys::wake::Wake;
use crate::sys::{child, startup, tree};

/// What the thread waits for.
pub(super) struct Watch {
    /// The channel to the parent.
    pub(super) socket: Arc<Socket>,
    /// The parent, where the kernel has pidfds.
    pub(super) parent: Option<OwnedFd>,
    pub(super) parent_pid: u32,
    pub(super) end: Arc<End>,
    /// What takes idle segments away is this thread.
    pub(super) segments: Segments,
    pub(super) wake: Arc<Wake>,
}

/// The end of this process, when it is not its own idea: with everything that it started.
pub(super) struct End {
    /// Held back for looking around, whatever the tasks did with the other descriptors.
    reserve: Mutex<Reserve>,
}

impl End {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { reserve: Mutex::new(Reserve::new()?) })
    }

    /// Ends it, because the parent is gone or wants it gone.
    fn with_parent(&self) -> ! {
        let _reserve = self.kill_below();
        startup::kill_self()
    }

    /// Ends it, because a task has broken the channel. If the parent wants it gone at the same time, so it is.
    pub(super) fn without_channel(&self) -> ! {
        let _reserve = self.kill_below();
        startup::exit_at_once(WorkerExit::CHANNEL_LOST)
    }

    /// The guard keeps another thread from ending the process in the middle of this.
    fn kill_below(&self) -> MutexGuard<'_, Reserve> {
        let mut reserve = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        no_fork::forbid(); // Or a task would start another one behind the last look.
        tree::kill_below(&[std::process::id()], &mut reserve);
        reserve
    }
}

impl Watch {
    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<()> {
        let thread = thread::Builder::new().name("loky-watch".into());
        thread.stack_size(limits::THREAD_STACK_BYTES).spawn(move || {
            self.wait_for_the_end();
            self.end.with_parent()
        })?;
        Ok(())
    }

    fn wait_for_the_end(&self) {
        loop {
            let mut set = PollSet::default();
            // Nothing is to be read here: a hang-up is told without being asked for.
            let channel = set.add(self.socket.as_fd(), false, false);
            let parent = self.parent.as_ref().map(|parent| set.add(parent.as_fd(), true, false));
            // Without a pidfd of the parent the channel is all there is to wait for, and another process may hold its other
            // end open: then one has to look as well.
            let look = clock::deadline(parent.is_none().then_some(limits::PARENT_INTERVAL));
            let wake = set.add(self.wake.as_fd(), true, false);
            let now = clock::now();
            let (unused, next_visit) = self.segments.visit(now);
            drop(unused);
            let is_over = match set.wait(now, look.into_iter().chain(next_visit).min()) {
                Ok(()) => set.hung_up(channel) || parent.is_some_and(|parent| set.readable(parent)),
                // A task has lowered the limit of descriptors to less than these two.
                Err(_) => {
                    thread::park_timeout(limits::PARENT_INTERVAL);
                    false
                }
            };
            if set.readable(wake) {
                self.wake.clear();
            }
            let is_over = is_over || !child::is_parent(self.parent_pid);
            if is_over {
                return;
            }
        }
    }
}
