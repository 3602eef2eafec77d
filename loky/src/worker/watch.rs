//! The watch thread: when the parent ends, it ends this process and all processes that its tasks started, also during a call.
//!
//! It waits for one of two events: the parent's pidfd becomes readable, which is the parent's end, or the other end of the
//! channel is closed, since the parent is gone or wants this process gone. It never wakes without a reason. The thread also frees
//! idle [segments](crate::segments) of results, for which it is woken.
//!
//! `PR_SET_PDEATHSIG` would not do: it fires when the *thread* ends that spawned the worker, and descendants do not inherit it.
//! Tested through real workers in the package `tests`.

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

/// The state of the watch thread.
pub(super) struct Watch {
    /// The channel to the parent, whose end is an event.
    pub(super) socket: Arc<Socket>,
    /// The parent, where the kernel has pidfds.
    pub(super) parent: Option<OwnedFd>,
    pub(super) parent_pid: u32,
    pub(super) end: Arc<End>,
    /// The segments of results, of which this thread frees the idle ones.
    pub(super) segments: Segments,
    pub(super) wake: Arc<Wake>,
}

/// Ends this process together with all processes that it started.
pub(super) struct End {
    /// Descriptors kept free for the search of descendants, even if the tasks use up all others.
    reserve: Mutex<Reserve>,
}

impl End {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { reserve: Mutex::new(Reserve::new()?) })
    }

    /// Ends the process because the parent is gone or wants it gone.
    fn with_parent(&self) -> ! {
        let _reserve = self.kill_below();
        startup::kill_self()
    }

    /// Ends the process because a task has broken the channel. If the parent kills it at that moment, that wins.
    pub(super) fn without_channel(&self) -> ! {
        let _reserve = self.kill_below();
        startup::exit_at_once(WorkerExit::CHANNEL_LOST)
    }

    /// Kills all descendants. The guard keeps another thread from ending the process in the middle of this.
    fn kill_below(&self) -> MutexGuard<'_, Reserve> {
        let mut reserve = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        no_fork::forbid(); // Or a task could start another process after the last scan.
        tree::kill_below(&[std::process::id()], &mut reserve);
        reserve
    }
}

impl Watch {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system starts no thread.
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
            // This thread reads nothing. The poll reports a hang-up without being asked for it.
            let channel = set.add(self.socket.as_fd(), false, false);
            let parent = self.parent.as_ref().map(|parent| set.add(parent.as_fd(), true, false));
            // Without a pidfd of the parent only the channel can end the wait, and another process may hold its other end
            // open. Then the thread also checks the parent from time to time.
            let check = clock::deadline(parent.is_none().then_some(limits::PARENT_INTERVAL));
            let wake = set.add(self.wake.as_fd(), true, false);
            let now = clock::now();
            let (unused, next_visit) = self.segments.visit(now);
            drop(unused);
            let is_over = match set.wait(now, check.into_iter().chain(next_visit).min()) {
                Ok(()) => set.hung_up(channel) || parent.is_some_and(|parent| set.readable(parent)),
                // A task has lowered the limit of descriptors below the two of this poll.
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
