//! The start method `Loky`: exec of this process's own image, or of `worker_exe`.
//!
//! `std::process::Command` copies the parent's page tables only for `pre_exec`, `uid` and the like, which are not used here. So
//! the time to start a worker does not grow with the parent's memory. The worker does everything else to itself.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio as StdStdio};

use super::{LaunchError, Launched};
use crate::config::{Settings, Stdio};
use crate::error::{Error, ErrorKind};
use crate::sys::child::ChildProcess;
use crate::sys::image::SELF_EXE;
use crate::sys::socket::Socket;
use crate::sys::{hint, is_shortage, streams};
use crate::transport::page::Page;
use crate::wire::cookie::{COOKIE_ENV, Cookie};

/// Starts one process, as the worker with this index. It shares a page with the pool if it `uses_lane`.
pub(crate) fn launch(
    settings: &Settings,
    index: usize,
    uses_lane: bool,
) -> Result<Launched, LaunchError> {
    let exe = settings.worker_exe.as_deref().unwrap_or_else(|| Path::new(SELF_EXE));
    let failed = |attempt: &str, error: io::Error| {
        let is_shortage = is_shortage(&error);
        let message = format!("cannot {attempt}{}", hint(&error));
        LaunchError { error: Error::new(ErrorKind::Spawn, message).with_source(error), is_shortage }
    };

    let (socket, theirs) =
        Socket::pair().map_err(|error| failed("create a worker's channel", error))?;
    let page = match uses_lane {
        true => Page::create().map(|(page, fd)| (page, Some(fd))),
        false => Page::private().map(|page| (page, None)),
    };
    let (page, page_fd) = page.map_err(|error| failed("create a worker's page", error))?;
    let socket_inode =
        theirs.inode().map_err(|error| failed("create a worker's channel", error))?;
    let cookie = Cookie { parent_pid: std::process::id(), socket_inode };

    let mut command = command(exe);
    if settings.worker_exe.is_none()
        && let Some(program) = std::env::args_os().next()
    {
        command.arg0(program);
    }
    if settings.env.is_cleared() {
        command.env_clear();
    }
    for (name, value) in settings.env.of_worker(index) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // After the user's variables: the worker finds its channel by this one.
    command.env(COOKIE_ENV, cookie.to_text());
    command.stdin(theirs.into_fd());
    let stdout =
        open(&settings.stdout).map_err(|error| failed("open a worker's `stdout`", error))?;
    let stderr =
        open(&settings.stderr).map_err(|error| failed("open a worker's `stderr`", error))?;
    command.stdout(stdout.theirs).stderr(stderr.theirs);
    if let Some(dir) = &settings.current_dir {
        // Otherwise the error of a bad folder would look like an error of the program.
        check_folder(dir)
            .map_err(|error| failed(&format!("enter `current_dir` `{}`", dir.display()), error))?;
        command.current_dir(dir);
    }

    let child = command
        .spawn()
        .map_err(|error| failed(&format!("start a worker from `{}`", exe.display()), error))?;
    let process = ChildProcess::new(child);
    Ok(Launched { process, socket, page, page_fd, stdout: stdout.ours, stderr: stderr.ours })
}

#[expect(clippy::disallowed_methods, reason = "this is where processes are started")]
fn command(exe: &Path) -> Command {
    Command::new(exe)
}

/// A stream of the worker: the end that the worker gets, and the end that stays here.
struct Stream {
    theirs: StdStdio,
    ours: Option<OwnedFd>,
}

fn open(stdio: &Stdio) -> io::Result<Stream> {
    let (theirs, ours) = match stdio {
        Stdio::Inherit => (StdStdio::inherit(), None),
        Stdio::Null => (streams::null()?.into(), None),
        Stdio::File(path) => (streams::append(path)?.into(), None),
        Stdio::Capture => {
            let (read, write) = streams::pipe()?;
            (write.into(), Some(read))
        }
    };
    Ok(Stream { theirs, ours })
}

fn check_folder(path: &Path) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
    }
    Ok(rustix::fs::access(path, rustix::fs::Access::EXEC_OK)?)
}
