//! The start method `Loky`: exec of this process's own image, or of `worker_exe`.
//!
//! By `std::process::Command` with nothing that would make it fork with the parent's page tables (no `pre_exec`, no `uid`):
//! so the time to start does not grow with the parent's memory. Everything else the child does to itself.

use std::fs::OpenOptions;
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
use crate::sys::{hint, is_shortage};
use crate::wire::cookie::{COOKIE_ENV, Cookie};

/// Starts one process.
pub(crate) fn launch(settings: &Settings) -> Result<Launched, LaunchError> {
    let exe = settings.worker_exe.as_deref().unwrap_or_else(|| Path::new(SELF_EXE));
    let failed = |subject: &str, error: io::Error| {
        let is_shortage = is_shortage(&error);
        let message = format!("cannot start a worker: {subject}: {error}{}", hint(&error));
        LaunchError { error: Error::new(ErrorKind::Spawn, message).with_source(error), is_shortage }
    };

    let (socket, theirs) = Socket::pair().map_err(|error| failed("its channel", error))?;
    let socket_inode = theirs.inode().map_err(|error| failed("its channel", error))?;
    let cookie = Cookie { parent_pid: std::process::id(), socket_inode };

    let mut command = command(exe);
    if settings.worker_exe.is_none()
        && let Some(program) = std::env::args_os().next()
    {
        command.arg0(program);
    }
    command.envs(settings.env.iter().map(|(name, value)| (name, value)));
    command.env(COOKIE_ENV, cookie.to_text());
    command.stdin(theirs.into_fd());
    for (name, stdio) in [("stdout", &settings.stdout), ("stderr", &settings.stderr)] {
        let stdio = open(stdio).map_err(|error| failed(&format!("`{name}`"), error))?;
        if name == "stdout" {
            command.stdout(stdio)
        } else {
            command.stderr(stdio)
        };
    }
    if let Some(dir) = &settings.working_dir {
        // The error of a missing folder would otherwise be taken for one of the program.
        std::fs::metadata(dir)
            .map_err(|error| failed(&format!("`working_dir` {}", dir.display()), error))?;
        command.current_dir(dir);
    }

    let mut child =
        command.spawn().map_err(|error| failed(&format!("`{}`", exe.display()), error))?;
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    Ok(Launched { process: ChildProcess::new(child), socket, stdout, stderr })
}

#[expect(clippy::disallowed_methods, reason = "this is where processes are started")]
fn command(exe: &Path) -> Command {
    Command::new(exe)
}

fn open(stdio: &Stdio) -> io::Result<StdStdio> {
    Ok(match stdio {
        Stdio::Inherit => StdStdio::inherit(),
        Stdio::Null => StdStdio::null(),
        Stdio::File(path) => OpenOptions::new().append(true).create(true).open(path)?.into(),
        Stdio::Capture => StdStdio::piped(),
    })
}
