//! Settings for an executor: one of its own, or the one that the whole process shares.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{ProcessPoolExecutor, encode_call};
use crate::codec::EncodedValue;
use crate::config::{CrashPolicy, Initializer, InitializerOutput, Settings, Stdio};
use crate::cpu_count;
use crate::error::{Error, Result};
use crate::limits;
use crate::observer::{Event, Observer};
use crate::registry::{IntoTask, Table};
use crate::role;

/// Settings for a [`ProcessPoolExecutor`], each of which may be left out.
///
/// [`ProcessPoolExecutor::builder`] starts one for an executor of its own, which [`build`](Self::build) makes;
/// [`reusable_executor`](crate::reusable_executor) one for the executor that the whole process shares, which
/// [`get`](crate::ReusableBuilder::get) finds or makes.
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
#[must_use = "a builder does nothing until `build` or `get`"]
pub struct Builder<Kind = Own> {
    pub(super) max_workers: Option<usize>,
    pub(super) settings: Settings,
    /// What is wrong with the initializer, if anything is.
    pub(super) problem: Option<Error>,
    pub(super) kind: Kind,
}

/// Marks the [`Builder`] of an executor of its own.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Own(());

impl Builder {
    pub(super) fn new() -> Self {
        Self::with(Own(()), None)
    }

    /// The executor. Its workers start with the first call, or with [`prewarm`](ProcessPoolExecutor::prewarm).
    ///
    /// # Errors
    /// - [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if a setting is out of its range, if the number of workers is left
    ///   to `LOKY_MAX_CPU_COUNT` and that is no number, or if the program has no entry: then copies of it would not become
    ///   workers but run its `main` again;
    /// - [`DuplicateTask`](crate::ErrorKind::DuplicateTask) if two tasks have the same name;
    /// - [`NotATask`](crate::ErrorKind::NotATask) or [`EncodeArgs`](crate::ErrorKind::EncodeArgs) if the initializer is none
    ///   that could be called;
    /// - [`Recursion`](crate::ErrorKind::Recursion) if executors are nested deeper than `LOKY_MAX_DEPTH`;
    /// - [`Io`](crate::ErrorKind::Io) if this process has no descriptors left.
    pub fn build(self) -> Result<ProcessPoolExecutor> {
        let max_workers = match self.max_workers {
            Some(max_workers) => max_workers,
            None => cpu_count::checked()?,
        };
        self.checked(max_workers)?.build()
    }
}

impl<Kind> Builder<Kind> {
    pub(super) fn with(kind: Kind, idle_timeout: Option<Duration>) -> Self {
        let memory_growth_limit = Some(limits::MEMORY_GROWTH_BYTES);
        let settings = Settings { idle_timeout, memory_growth_limit, ..Settings::default() };
        Self { max_workers: None, settings, problem: None, kind }
    }

    /// The settings, if an executor of so many workers can be made by them.
    pub(super) fn checked(self, max_workers: usize) -> Result<Settings> {
        match self.problem {
            Some(problem) => Err(problem),
            None => Settings { max_workers, ..self.settings }.checked(),
        }
    }

    /// How many workers there are at most. Default: [`cpu_count`](crate::cpu_count()).
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// How long a worker may have nothing to do until it leaves. `None`: for ever. Default: `None`; for the reusable executor
    /// 10 s.
    ///
    /// All workers may leave so. Calls bring back as many as they need. No call is lost or fails by it, whenever it comes; one that
    /// comes while workers are on their way out may have to wait until one is gone. What a
    /// task has started, and left running in the background, goes with its worker; calls that it has left behind in an executor of
    /// its own are finished before, if that takes no longer than 5 s.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// #[loky::task]
    /// fn pid() -> u32 {
    ///     std::process::id()
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let timeout = Duration::from_millis(10);
    ///         let executor =
    ///             loky::ProcessPoolExecutor::builder().max_workers(1).idle_timeout(timeout).build()?;
    ///         let first = executor.submit(pid, ()).result()?;
    ///         while !executor.worker_pids().is_empty() {
    ///             std::thread::sleep(timeout);
    ///         }
    ///         assert_ne!(executor.submit(pid, ()).result()?, first);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[doc(alias = "timeout")]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = timeout.into();
        self
    }

    /// A task that each new worker runs before its first call, those that replace others included. Default: none.
    ///
    /// What it leaves behind in the process, in a static or a thread local, is there for all calls. If it panics, returns an
    /// `Err`, ends its worker, or takes longer than [`init_timeout`](Self::init_timeout), the executor is
    /// [broken](crate::ErrorKind::BrokenProcessPool), and the error says what it said.
    ///
    /// ```
    /// use std::sync::OnceLock;
    ///
    /// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
    ///
    /// #[loky::task]
    /// fn load(length: u64) -> Result<(), String> {
    ///     TABLE.set((0..length).map(|x| x * x).collect()).map_err(|_| "loaded twice".to_owned())
    /// }
    ///
    /// #[loky::task]
    /// fn look_up(x: usize) -> u64 {
    ///     TABLE.get().unwrap()[x]
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor =
    ///             loky::ProcessPoolExecutor::builder().max_workers(2).initializer(load, 100).build()?;
    ///         assert_eq!(executor.submit(look_up, 12).result()?, 144);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// Python's `initializer` and `initargs`. For [`get`](crate::ReusableBuilder::get) two are the same setting if they are the same
    /// task, and their arguments have the same bytes (and the very same shared memory): so a `HashMap`, whose order is another each
    /// time, is never the same.
    pub fn initializer<T, Args, K>(mut self, task: T, args: Args) -> Self
    where
        T: IntoTask<Args, K>,
        T::Output: InitializerOutput,
    {
        let initializer = task.into_task().and_then(|task| {
            // They are compared by their bytes, so all of these are to be there.
            let args = encode_call(task, &args, None)?.to_parcel();
            let output = task.output();
            let mut success = EncodedValue::default();
            // If it cannot be told by its bytes it is decoded.
            let _ = output.encode(&T::Output::success(), &mut success, None);
            Ok(Initializer::new(task.name(), args, success.bytes, move |result| {
                let returned = output
                    .decode_all(&result.bytes, &result.attachments)
                    .map_err(|error| format!("what it returned cannot be decoded: {error}"))?;
                returned.into_failure().map_or(Ok(()), Err)
            }))
        });
        match initializer {
            Ok(initializer) => {
                (self.settings.initializer, self.problem) = (Some(initializer), None);
            }
            Err(error) => self.problem = Some(error),
        }
        self
    }

    /// How long the [`initializer`](Self::initializer) may take in each worker. Default: as long as it likes.
    pub fn init_timeout(mut self, limit: Duration) -> Self {
        self.settings.init_timeout = Some(limit);
        self
    }

    /// Replaces each worker after so many calls. Default: never.
    ///
    /// For native libraries that leak. No call is lost by it; the next one waits until the worker is gone, which exit handlers may
    /// hold up for 5 s at most, and another is there. Python's `max_tasks_per_child`.
    pub fn max_tasks_per_worker(mut self, n_calls: usize) -> Self {
        self.settings.max_tasks_per_worker = Some(n_calls);
        self
    }

    /// Replaces a worker, between calls, when its memory has grown by more than so many bytes over what it had after its first
    /// call. `None`: never. Default: 300 MB.
    ///
    /// What counts is resident memory of its own, without files and without memory that it shares. It looks after a call, at
    /// most once a second. For a limit that holds at every moment there are `setrlimit` and cgroups.
    pub fn memory_growth_limit(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.settings.memory_growth_limit = bytes.into();
        self
    }

    /// Sets a variable in the workers' environment, which is otherwise that of this process when they start.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.settings.env.set(name.into(), value.into());
        self
    }

    /// Sets several variables in the workers' environment.
    pub fn envs<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        for (name, value) in variables {
            self.settings.env.set(name.into(), value.into());
        }
        self
    }

    /// Sets a variable to another value in each worker: the worker with [index](crate::worker_index) i gets value i modulo
    /// their number. It goes over [`env`](Self::env).
    ///
    /// ```
    /// #[loky::task]
    /// fn gpu() -> Option<String> {
    ///     std::env::var("CUDA_VISIBLE_DEVICES").ok()
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder()
    ///             .max_workers(1)
    ///             .worker_env("CUDA_VISIBLE_DEVICES", ["0", "1"])
    ///             .build()?;
    ///         assert_eq!(executor.submit(gpu, ()).result()?.as_deref(), Some("0"));
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn worker_env<V: Into<OsString>>(
        mut self,
        name: impl Into<OsString>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.settings.env.set_by_worker(name.into(), values);
        self
    }

    /// Tells common native libraries, and rayon, how many threads to start in each worker, by the variables that they look at:
    /// `OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS`, `MKL_NUM_THREADS`, `BLIS_NUM_THREADS`, `VECLIB_MAXIMUM_THREADS`,
    /// `NUMEXPR_NUM_THREADS`, `NUMBA_NUM_THREADS`, `RAYON_NUM_THREADS`. [`env`](Self::env) goes over it. Default: nothing is
    /// told.
    ///
    /// A library that starts a thread for each CPU, in a worker for each CPU, starts their square.
    pub fn inner_threads(mut self, n_threads: usize) -> Self {
        self.settings.env.set_inner_threads(n_threads);
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
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.current_dir = Some(path.into());
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
    ///
    /// Two observers are the same setting only if they are clones of one builder's: with a new one
    /// [`get`](crate::ReusableBuilder::get) makes a new executor.
    pub fn observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.settings.observer = Some(Observer::new(observer));
        self
    }
}

impl Settings {
    /// A new executor of these settings, which were checked.
    pub(super) fn build(self) -> Result<ProcessPoolExecutor> {
        role::check()?;
        Table::get().check()?;
        ProcessPoolExecutor::from_settings(self)
    }
}
