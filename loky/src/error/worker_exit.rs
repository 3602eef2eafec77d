//! How a worker ended, as data with words.

use std::fmt;

/// How a worker process ended.
///
/// `Display` is Python loky's short form: `SIGSEGV(-11)`, `EXIT(42)`, or `UNKNOWN` where the system does not tell (a host
/// that ignores `SIGCHLD`, for one).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerExit {
    pub(crate) pid: u32,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) task: Option<&'static str>,
    /// What is known beyond the status, such as a broken protocol.
    pub(crate) remark: Option<String>,
    pub(crate) stdout_tail: Option<String>,
    pub(crate) stderr_tail: Option<String>,
}

impl WorkerExit {
    /// What a worker exits with that lost its channel: `EX_PROTOCOL` of sysexits(3).
    pub(crate) const CHANNEL_LOST: i32 = 76;

    /// The process id that the worker had.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The exit code, if the worker exited.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.code
    }

    /// The number of the signal that ended the worker, if one did.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.signal
    }

    /// The registered name of the task that ran in it, if one did.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.task
    }

    /// The last that it wrote to its stdout, where that is [`Stdio::Capture`](crate::Stdio::Capture).
    #[must_use]
    pub fn stdout_tail(&self) -> Option<&str> {
        self.stdout_tail.as_deref()
    }

    /// The last that it wrote to its stderr, where that is [`Stdio::Capture`](crate::Stdio::Capture).
    #[must_use]
    pub fn stderr_tail(&self) -> Option<&str> {
        self.stderr_tail.as_deref()
    }

    /// The likely cause in words, where there is one to name.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        if self.remark.is_some() {
            return self.remark.as_deref();
        }
        if self.code == Some(Self::CHANNEL_LOST) {
            return Some("its channel to this process was closed in it");
        }
        match (self.signal?, self.signal_name()) {
            (_, Some("SIGSEGV")) => Some("an invalid memory access or a stack overflow"),
            (_, Some("SIGABRT")) => Some(
                "an abort: a stack overflow of a Rust thread ends so too, and so does a panic that cannot unwind",
            ),
            (_, Some("SIGBUS")) => Some("an access past the end of a mapped file"),
            (_, Some("SIGILL")) => Some("an illegal instruction"),
            (_, Some("SIGFPE")) => Some("an arithmetic error in native code"),
            (_, Some("SIGKILL")) => {
                Some("somebody killed it: often the kernel, when memory runs out")
            }
            (_, Some("SIGXCPU")) => Some("its limit of CPU time"),
            _ => None,
        }
    }

    fn signal_name(&self) -> Option<&'static str> {
        Some(match self.signal? {
            libc::SIGHUP => "SIGHUP",
            libc::SIGINT => "SIGINT",
            libc::SIGQUIT => "SIGQUIT",
            libc::SIGILL => "SIGILL",
            libc::SIGTRAP => "SIGTRAP",
            libc::SIGABRT => "SIGABRT",
            libc::SIGBUS => "SIGBUS",
            libc::SIGFPE => "SIGFPE",
            libc::SIGKILL => "SIGKILL",
            libc::SIGUSR1 => "SIGUSR1",
            libc::SIGSEGV => "SIGSEGV",
            libc::SIGUSR2 => "SIGUSR2",
            libc::SIGPIPE => "SIGPIPE",
            libc::SIGALRM => "SIGALRM",
            libc::SIGTERM => "SIGTERM",
            libc::SIGSYS => "SIGSYS",
            libc::SIGXCPU => "SIGXCPU",
            libc::SIGXFSZ => "SIGXFSZ",
            _ => return None,
        })
    }
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal, self.code) {
            (Some(signal), _) => match self.signal_name() {
                Some(name) => write!(f, "{name}(-{signal})"),
                None => write!(f, "SIGNAL(-{signal})"),
            },
            (None, Some(code)) => write!(f, "EXIT({code})"),
            (None, None) => f.write_str("UNKNOWN"),
        }
    }
}
