//! [`WorkerExit`]: the end of a worker, as data and in words.

use std::fmt;

use crate::limits;

/// How a worker process ended.
///
/// `Display` is Python loky's short form: `SIGSEGV(-11)`, `EXIT(42)`, or `UNKNOWN` where the system does not tell. A host that
/// ignores `SIGCHLD` is such a case.
///
/// ```
/// #[loky::task]
/// fn leave(code: i32) {
///     eprintln!("no license found");
///     std::process::exit(code)
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let builder = loky::ProcessPoolExecutor::builder().max_workers(1);
///         let executor = builder.stderr(loky::Stdio::Capture).build()?;
///         let error = executor.submit(leave, 42).result().unwrap_err();
///         let exit = error.worker_exit().expect("a worker died");
///         assert_eq!(exit.to_string(), "EXIT(42)");
///         assert_eq!((exit.code(), exit.signal()), (Some(42), None));
///         assert_eq!(exit.stderr_tail(), Some("no license found\n"));
///         assert!(error.to_string().ends_with("last line on stderr: `no license found`"));
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerExit {
    pub(crate) pid: u32,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) task: Option<&'static str>,
    /// A fact beyond the status, such as a broken protocol.
    pub(crate) remark: Option<String>,
    pub(crate) stdout_tail: Option<String>,
    pub(crate) stderr_tail: Option<String>,
}

impl WorkerExit {
    /// The exit code of a worker that lost its channel: `EX_PROTOCOL` of sysexits(3).
    pub(crate) const CHANNEL_LOST: i32 = 76;

    /// The end of a process, of which no more is known than its status.
    pub(crate) fn new(pid: u32, code: Option<i32>, signal: Option<i32>) -> Self {
        let (task, remark, stdout_tail, stderr_tail) = (None, None, None, None);
        Self { pid, code, signal, task, remark, stdout_tail, stderr_tail }
    }

    /// Returns the process id that the worker had.
    ///
    /// ```
    /// # let error = loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
    /// if let Some(exit) = error.worker_exit() {
    ///     eprintln!("see /var/log/app.{}.log", exit.pid());
    /// }
    /// ```
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the exit code, if the worker exited.
    ///
    /// ```
    /// fn is_missing_license(error: &loky::Error) -> bool {
    ///     error.worker_exit().is_some_and(|exit| exit.code() == Some(42))
    /// }
    /// # assert!(!is_missing_license(&loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err()));
    /// ```
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.code
    }

    /// Returns the number of the signal that ended the worker, if one did.
    ///
    /// ```
    /// #[loky::task]
    /// fn crash() {
    ///     std::process::abort()
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let error = executor.submit(crash, ()).result().unwrap_err();
    ///         assert_eq!(error.worker_exit().unwrap().signal(), Some(6)); // SIGABRT
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.signal
    }

    /// Returns the registered name of the task that ran in the worker, if one did.
    ///
    /// ```
    /// fn log(exit: &loky::WorkerExit) {
    ///     eprintln!("{exit} in {}", exit.task().unwrap_or("no task"));
    /// }
    /// ```
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.task
    }

    /// Returns the last bytes that the worker wrote to its stdout, where that is [`Stdio::Capture`](crate::Stdio::Capture).
    ///
    /// ```
    /// #[loky::task]
    /// fn leave() {
    ///     println!("step 1\nstep 2");
    ///     std::process::exit(1)
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let builder = loky::ProcessPoolExecutor::builder().max_workers(1);
    ///         let executor = builder.stdout(loky::Stdio::Capture).build()?;
    ///         let error = executor.submit(leave, ()).result().unwrap_err();
    ///         assert_eq!(error.worker_exit().unwrap().stdout_tail(), Some("step 1\nstep 2\n"));
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn stdout_tail(&self) -> Option<&str> {
        self.stdout_tail.as_deref()
    }

    /// Returns the last bytes that the worker wrote to its stderr, where that is [`Stdio::Capture`](crate::Stdio::Capture).
    ///
    /// The last line of it is part of the error's message.
    ///
    /// ```
    /// fn log(exit: &loky::WorkerExit) {
    ///     for line in exit.stderr_tail().unwrap_or_default().lines() {
    ///         eprintln!("[worker {}] {line}", exit.pid());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn stderr_tail(&self) -> Option<&str> {
        self.stderr_tail.as_deref()
    }

    /// Returns the likely cause in words, where there is one to name.
    ///
    /// ```
    /// #[loky::task]
    /// fn crash() {
    ///     std::process::abort()
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let error = executor.submit(crash, ()).result().unwrap_err();
    ///         assert!(error.worker_exit().unwrap().cause().unwrap().contains("abort"));
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        if self.remark.is_some() {
            return self.remark.as_deref();
        }
        if self.code == Some(Self::CHANNEL_LOST) {
            return Some("the worker's channel to this process was closed in the worker");
        }
        match (self.signal?, self.signal_name()) {
            (_, Some("SIGSEGV")) => Some("an invalid memory access or a stack overflow"),
            (_, Some("SIGABRT")) => {
                Some("an abort, a stack overflow of a Rust thread, or a panic that cannot unwind")
            }
            (_, Some("SIGBUS")) => Some("an access past the end of a mapped file"),
            (_, Some("SIGILL")) => Some("an illegal instruction"),
            (_, Some("SIGFPE")) => Some("an arithmetic error in native code"),
            (_, Some("SIGKILL")) => {
                Some("killed by another process, or by the kernel out of memory")
            }
            (_, Some("SIGXCPU")) => Some("the worker's limit of CPU time"),
            _ => None,
        }
    }

    /// The end in words, for a message: the short form, the likely cause, and the last line on stderr.
    pub(crate) fn describe(&self) -> String {
        let cause = self.cause().map(|cause| format!(" ({cause})")).unwrap_or_default();
        format!("{self}{cause}{}", self.last_line())
    }

    /// The last line on stderr as an addition to a message. Empty where there is none.
    pub(crate) fn last_line(&self) -> String {
        let tail = self.stderr_tail.as_deref().unwrap_or_default();
        let mut lines = tail.split(['\n', '\r']).rev().map(printable);
        let line = lines.find(|line| !line.is_empty());
        line.map(|line| format!("; last line on stderr: `{line}`")).unwrap_or_default()
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

/// A line without colors and other control characters, and no longer than a message can bear.
fn printable(line: &str) -> String {
    let mut text = String::new();
    let mut n_chars = 0;
    let mut chars = line.trim().chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            // `ESC [ 3 1 m`: parameters up to a letter.
            chars.find(char::is_ascii_alphabetic);
        } else if n_chars == limits::LAST_LINE_CHARS {
            text.push('…');
            break;
        } else {
            text.push(if c.is_control() { ' ' } else { c });
            n_chars += 1;
        }
    }
    text.trim().to_owned()
}
