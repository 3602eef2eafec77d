//! Forked children of this process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::signal::kill;

/// The limit for a forked child. It is generous, for a machine with other work; a child that hangs never ends.
const LIMIT: Duration = Duration::from_secs(60);

/// A forked child that runs its body.
#[derive(Debug)]
pub struct Forked {
    pid: i32,
}

impl Forked {
    /// Forks. The child runs `body` and exits, with code 0 if `body` did not panic.
    #[must_use]
    pub fn start(body: impl FnOnce()) -> Self {
        #[expect(unsafe_code, reason = "this is what is tested")]
        // SAFETY: the child runs only what does not depend on other threads; that loky is so is what is tested.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork");
        if pid == 0 {
            let code = i32::from(catch_unwind(AssertUnwindSafe(body)).is_err());
            #[expect(unsafe_code, reason = "the rest of the test is the parent's")]
            // SAFETY: ends the process at once, as is its right.
            unsafe {
                libc::_exit(code)
            };
        }
        Self { pid }
    }

    /// Waits for the child, which must exit with code 0.
    #[track_caller]
    pub fn finish(self) {
        let mut status = 0;
        let mut has_ended = || {
            #[expect(unsafe_code, reason = "std waits only for what it has started")]
            // SAFETY: `status` is there to be written.
            let waited = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) };
            waited == self.pid
        };
        let ended = catch_unwind(AssertUnwindSafe(|| {
            crate::until("the forked child", LIMIT, &mut has_ended);
        }));
        if ended.is_err() {
            kill(self.pid.cast_unsigned(), libc::SIGKILL);
            panic!("the forked child hung");
        }
        assert_eq!(status, 0, "the forked child's end");
    }
}

/// Runs `body` in a forked child, and waits for its end.
#[track_caller]
pub fn in_forked_child(body: impl FnOnce()) {
    Forked::start(body).finish();
}

/// Forks 200 times while two threads do `work` in a loop. Each child runs `body`.
#[track_caller]
pub fn check_fork_during(work: impl Fn() + Sync, body: impl Fn()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    work();
                }
            });
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..200 {
                in_forked_child(&body);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}
