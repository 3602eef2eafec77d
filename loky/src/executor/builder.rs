//! Settings for a new executor.

use std::ffi::OsString;
use std::path::PathBuf;

use super::ProcessPoolExecutor;
use crate::config::{CrashPolicy, Settings, Stdio};
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Event, Observer};
use crate::registry::Table;
use crate::role;

/// Settings for a new [`ProcessPoolExecutor`], each of which may be left out.
///
/// ```
/// use loky::{CrashPolicy, ProcessPoolExecutor, Stdio};
///
/// #[loky::task]
/// fn greeting() -> Option<String> {
///     std::env::var("GREETING").ok()
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = ProcessPoolExecutor::builder()
///             .max_workers(2)
///             .env("GREETING", "hello")
///             .stderr(Stdio::Null)
///             .on_worker_crash(CrashPolicy::BreakPool)
///             .build()?;
///         assert_eq!(executor.submit(greeting, ()).result()?.as_deref(), Some("hello"));
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    max_workers: Option<usize>,
    settings: Settings,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { max_workers: None, settings: Settings::default() }
    }

    /// How many workers there are at most. Default: [`std::thread::available_parallelism`].
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// Sets a variable in the workers' environment, which is otherwise that of this process when they start.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.settings.env.push((name.into(), value.into()));
        self
    }

    /// Sets several variables in the workers' environment.
    pub fn envs<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.settings.env.extend(variables);
        self
    }

    /// What becomes of the executor when a worker dies. Default: [`CrashPolicy::Heal`].
    pub fn on_worker_crash(mut self, policy: CrashPolicy) -> Self {
        self.settings.crash_policy = policy;
        self
    }

    /// Where the workers' stdout goes. Default: [`Stdio::Inherit`]. (Their stdin is always empty.)
    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.settings.stdout = stdout;
        self
    }

    /// Where the workers' stderr goes. Default: [`Stdio::Inherit`].
    pub fn stderr(mut self, stderr: Stdio) -> Self {
        self.settings.stderr = stderr;
        self
    }

    /// The folder that workers start in. Default: the one of this process when they start.
    pub fn working_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.working_dir = Some(path.into());
        self
    }

    /// Another program that serves as worker. It must have an entry ([`main!`](crate::main), [`init`](crate::init)), be built
    /// with the same version of this crate, and register the tasks that are called, under the same names and with the same
    /// signatures. It is executed directly: a script that starts the program as its child will not do.
    pub fn worker_exe(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.worker_exe = Some(path.into());
        self
    }

    /// A function that is told of everything that happens in the executor: of each [`Event`], one after another, in the order
    /// in which things happened. Default: none.
    ///
    /// ```
    /// use loky::{Event, ProcessPoolExecutor, Shutdown};
    ///
    /// #[loky::task]
    /// fn exit(code: i32) {
    ///     std::process::exit(code)
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let (sender, deaths) = std::sync::mpsc::channel();
    ///         let executor = ProcessPoolExecutor::builder()
    ///             .max_workers(1)
    ///             .observer(move |event| {
    ///                 if let Event::WorkerExited { exit, was_told: false, .. } = event {
    ///                     let _ = sender.send(exit.to_string());
    ///                 }
    ///             })
    ///             .build()?;
    ///         assert!(executor.submit(exit, 3).error().is_some_and(|error| error.is_terminated_worker()));
    ///         executor.shutdown(Shutdown::Wait);
    ///         assert_eq!(deaths.iter().collect::<Vec<_>>(), ["EXIT(3)"]);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// It runs on the thread that callbacks run on, a little after what it is told of, and holds up these, but no call. Events
    /// that it is too slow for wait in memory. A panic in it is reported by the panic hook and hurts nothing else. A
    /// [`shutdown`](ProcessPoolExecutor::shutdown) that waits returns when it has been told everything. An executor that no
    /// call has reached, nor a [`prewarm`](ProcessPoolExecutor::prewarm), tells nothing; neither does a process that was
    /// forked off.
    ///
    /// It may use the executor: ask it, submit, wait for results. A handle that it holds keeps the executor alive until
    /// [`shutdown`](ProcessPoolExecutor::shutdown) is called; the end of all other handles does not end it then.
    pub fn observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.settings.observer = Some(Observer::new(observer));
        self
    }

    /// The executor. Its workers start with the first call, or with [`prewarm`](ProcessPoolExecutor::prewarm).
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidConfig`] if a setting is out of its range, or if the program has no entry: then copies of it
    ///   would not become workers but run its `main` again;
    /// - [`ErrorKind::DuplicateTask`] if two tasks have the same name;
    /// - [`ErrorKind::Io`] if this process has no descriptors left.
    pub fn build(mut self) -> Result<ProcessPoolExecutor> {
        self.settings.max_workers = match self.max_workers {
            Some(max_workers) => max_workers,
            None => std::thread::available_parallelism()
                .map_err(|error| {
                    Error::io(ErrorKind::Io, "cannot tell how many CPUs there are", error)
                })?
                .get(),
        };
        let settings = self.settings.checked()?;
        role::check()?;
        Table::get().check()?;
        ProcessPoolExecutor::from_settings(settings)
    }
}
