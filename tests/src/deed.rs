//! Ways in which a call goes wrong: errors, panics, crashes, and damage to the channel of its worker.

use std::fs;
use std::io::Write;
use std::net::Shutdown as Direction;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::panic_any;
use std::process::Command;
use std::{hint, process, thread};

use serde::{Deserialize, Serialize};

use crate::signal;

/// A way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Returns an error.
    Fail,
    /// Panics with a text.
    Panic,
    /// Panics with a payload that is no text.
    PanicWithNumber,
    /// Panics with a payload whose drop panics.
    PanicWithBomb,
    /// Panics while a panic unwinds, which aborts.
    PanicTwice,
    /// Panics in an `extern "C"` function, which aborts.
    PanicWhereNothingUnwinds,
    /// Writes to address zero.
    Segfault,
    /// Aborts.
    Abort,
    /// Recurses without end.
    OverflowStack,
    /// Allocates more memory than there is.
    ExhaustMemory,
    /// Exits with this code, after the exit handlers.
    Exit(i32),
    /// Exits with this code, without the exit handlers.
    ExitAtOnce(i32),
    /// Sends this signal to itself.
    Raise(i32),
    /// Has another process send this signal to it.
    BeKilled(i32),
    /// Writes bytes to the channel that are no message.
    SpoilChannel,
    /// Writes the beginning of a message to the channel, and exits.
    StopInsideMessage,
    /// Closes the channel for writing, and stays.
    CloseChannel,
}

/// The error of [`Deed::Fail`].
pub const FAILURE: &str = "refused on purpose";
/// The message of [`Deed::Panic`].
pub const PANIC: &str = "a panic on purpose";

impl Deed {
    /// Performs it. Most deeds do not return.
    ///
    /// # Errors
    /// [`Deed::Fail`] returns [`FAILURE`].
    pub fn perform(self) -> Result<(), String> {
        match self {
            Self::Fail => return Err(FAILURE.to_owned()),
            Self::Panic => panic!("{PANIC}"),
            Self::PanicWithNumber => panic_any(42_u64),
            Self::PanicWithBomb => panic_any(Bomb),
            Self::PanicTwice => {
                let _bomb = Bomb;
                panic!("{PANIC}");
            }
            Self::PanicWhereNothingUnwinds => panic_where_nothing_unwinds(),
            Self::Segfault => write_to_null(),
            Self::Abort => process::abort(),
            Self::OverflowStack => drop(hint::black_box(descend(0))),
            Self::ExhaustMemory => drop(hint::black_box(Vec::<u8>::with_capacity(1 << 46))),
            Self::Exit(code) => process::exit(code),
            Self::ExitAtOnce(code) => exit_at_once(code),
            Self::Raise(number) => {
                signal::kill(process::id(), number);
                stay();
            }
            Self::BeKilled(signal) => {
                let mut command = Command::new("kill");
                command.arg(format!("-{signal}")).arg(process::id().to_string());
                command.status().expect("kill(1)");
                stay();
            }
            Self::SpoilChannel => {
                channel().write_all(b"this was to go to stdout, not here\n").expect("a channel");
                stay();
            }
            Self::StopInsideMessage => {
                channel().write_all(b"\xf5lky\x14\0\0\0").expect("a channel");
                process::exit(3);
            }
            Self::CloseChannel => {
                channel().shutdown(Direction::Write).expect("a channel");
                stay();
            }
        }
        Ok(())
    }
}

fn stay() -> ! {
    loop {
        thread::park();
    }
}

fn descend(depth: u64) -> [u64; 64] {
    let mut frame = [depth; 64];
    if hint::black_box(depth) < u64::MAX {
        frame = descend(depth + 1);
        frame[0] += 1;
    }
    hint::black_box(frame)
}

/// A payload whose drop panics.
#[derive(Debug)]
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a panic in a drop, on purpose");
    }
}

extern "C" fn panic_where_nothing_unwinds() {
    panic!("{PANIC}");
}

fn write_to_null() {
    let null = hint::black_box(std::ptr::null_mut::<u8>());
    #[expect(unsafe_code, reason = "a crash is wanted")]
    // SAFETY: none; the kernel ends the process here.
    unsafe {
        null.write_volatile(0);
    }
}

fn exit_at_once(code: i32) -> ! {
    #[expect(unsafe_code, reason = "std always runs the exit handlers")]
    // SAFETY: it takes a number, and ends the process.
    unsafe {
        libc::_exit(code)
    }
}

/// Returns a duplicate of this worker's end of the channel, which is its only socket.
pub fn channel() -> UnixStream {
    let is_socket = |fd: &RawFd| {
        let target = fs::read_link(format!("/proc/self/fd/{fd}"));
        target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    let entries = fs::read_dir("/proc/self/fd").expect("/proc");
    let mut fds = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let fd: RawFd = fds.find(is_socket).expect("a channel");
    #[expect(unsafe_code, reason = "the descriptor is known by its number alone")]
    // SAFETY: it is open, and stays so as long as the process serves.
    let channel = unsafe { BorrowedFd::borrow_raw(fd) };
    channel.try_clone_to_owned().expect("a duplicate").into()
}

/// Performs a deed in a worker.
#[loky::task]
pub fn perform(deed: Deed) {
    deed.perform().expect("this deed is no failure");
}
