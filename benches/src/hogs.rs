//! CPU hogs: other programs that use a CPU all the time.
//!
//! A hog is a copy of this program that leads a session of its own, because Linux may divide CPU time by session first, and a
//! hog stands for an unrelated program. It exits at the end of its stdin, so that it never outlives the bench.

use std::hint::spin_loop;
use std::io::{self, Read};
use std::process::{self, Child, Command, Stdio};
use std::{env, thread};

use crate::Result;

const HOG_ENV: &str = "LOKY_BENCH_HOG";

/// A process that spins until this value is dropped.
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

/// If this process was started as a hog, spins and never returns. Otherwise returns false.
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
