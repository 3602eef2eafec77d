//! Starting a worker process: one launcher for each start method.
//!
//! A launcher creates the channel and starts a process with the channel as its stdin and the cookie in its environment. It
//! sends no message to the process: the pool does. Tested through real pools in the package `tests`.

mod exec;

use std::os::fd::OwnedFd;

pub(crate) use self::exec::launch;

use crate::error::Error;
use crate::sys::child::ChildProcess;
use crate::sys::socket::Socket;
use crate::transport::page::Page;

/// A process that has been started.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) process: ChildProcess,
    pub(crate) socket: Socket,
    /// The page, and the descriptor by which the worker maps it. Without a descriptor the page is the pool's alone, and all goes
    /// over the stream.
    pub(crate) page: Page,
    pub(crate) page_fd: Option<OwnedFd>,
    /// The read ends of captured streams.
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

/// The reason why no process was started.
#[derive(Debug)]
pub(crate) struct LaunchError {
    pub(crate) error: Error,
    /// Whether the system lacked a resource that may be there again later.
    pub(crate) is_shortage: bool,
}
