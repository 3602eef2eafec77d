//! CPU hogs: other programs that want every CPU all the time.
//!
//! Each is a copy of this program that leads a session of its own, since Linux may share out its CPUs by session first, and
//! who is crowded out by a stranger is the question. It ends when its stdin does, so that none outlives the bench, however
//! that goes.

use std::hint::spin_loop;
use std::io::{self, Read};
use std::process::{self, Child, Command, Stdio};
use std::{env, thread};

use crate::Result;

const HOG_ENV: &str = "LOKY_BENCH_HOG";

/// A process that spins, until this is dropped.
#[derive(Debug)]
pub(crate) struct Hog {
    child: Child,
}

impl Hog {
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.env(HOG_ENV, "1").stdin(Stdio::piped());
        Ok(Self { child: command.spawn()? })
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Spins, if this process is one to do so; never returns then.
pub(crate) fn was_hog() -> bool {
    if env::var_os(HOG_ENV).is_none() {
        return false;
    }
    let _ = rustix::process::setsid();
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    loop {
        spin_loop();
    }
}
