//! The builder of an executor: a new one, or the one that the whole process shares.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{ProcessPoolExecutor, encode_call};
use crate::codec::EncodedValue;
use crate::config::{CrashPolicy, GrowthLimit, Initializer, InitializerOutput, Settings, Stdio};
use crate::cpu_count;
use crate::error::{Error, Result};
use crate::observer::{Event, Observer};
use crate::registry::{IntoTask, Table};
use crate::role;

/// The settings of a [`ProcessPoolExecutor`], all optional.
///
/// [`ProcessPoolExecutor::builder`] returns a builder for a new executor, which [`build`](Self::build) creates.
/// [`reusable_executor`](crate::reusable_executor) returns a builder for the executor that the whole process shares, which
/// [`get`](crate::ReusableBuilder::get) finds or creates.
///
/// ```
/// use loky::{CrashPolicy, ProcessPoolExecutor, Stdio};
///
/// #[loky::task]
/// fn greeting() -> Option<String> {
///     std::env::var("GREETING").ok()
/// }
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let executor = ProcessPoolExecutor::builder()
///         .max_workers(2)
///         .env("GREETING", "hello")
///         .stderr(Stdio::Null)
///         .on_worker_crash(CrashPolicy::BreakPool)
///         .build()?;
///     assert_eq!(executor.submit(greeting, ()).result()?.as_deref(), Some("hello"));
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` or `get`"]
pub struct Builder<Kind = Own> {
    pub(super) max_workers: Option<usize>,
    pub(super) settings: Settings,
    /// The error of the initializer, if it cannot be called.
    pub(super) problem: Option<Error>,
    pub(super) kind: Kind,
}

/// Marks the [`Builder`] of a new executor.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Own(());

impl Builder {
    pub(super) fn new() -> Self {
        Self::with(Own(()), None)
    }

    /// Creates the executor. Its workers start with the first call, or with [`prewarm`](ProcessPoolExecutor::prewarm).
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder().build()?;
    ///     assert_eq!(executor.max_workers(), loky::cpu_count());
    ///     assert!(executor.worker_pids().is_empty());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// - [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if a setting is out of its range, if `LOKY_MAX_CPU_COUNT` or
    ///   `LOKY_MAX_MEMORY_LEAK_SIZE` is needed and no number, or if the program has no entry: then its copies would not become
    ///   workers but run its `main` again;
    /// - [`DuplicateTask`](crate::ErrorKind::DuplicateTask) if two tasks have one name;
    /// - [`NotATask`](crate::ErrorKind::NotATask) or [`EncodeArgs`](crate::ErrorKind::EncodeArgs) if the initializer cannot be
    ///   called;
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
        let settings = Settings { idle_timeout, ..Settings::default() };
        Self { max_workers: None, settings, problem: None, kind }
    }

    /// Returns the checked settings for an executor with `max_workers` workers.
    pub(super) fn checked(self, max_workers: usize) -> Result<Settings> {
        match self.problem {
            Some(problem) => Err(problem),
            None => Settings { max_workers, ..self.settings }.checked(),
        }
    }

    /// Sets the most workers that the executor has. Default: [`cpu_count`](crate::cpu_count()).
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    ///     assert_eq!(executor.max_workers(), 2);
    ///     Ok(())
    /// }
    /// ```
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// Sets the time after which an idle worker leaves. `None`: it stays. Default: `None`; for the reusable executor 10 s.
    ///
    /// All workers may leave. Later calls start as many as they need. No call is lost or fails by this, but a call that arrives
    /// while workers leave may wait until one is gone.
    ///
    /// Processes that a task has started, and that run in the background, end with their worker. Calls that a task has left in an
    /// executor of its own are finished first, for at most 5 s.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// #[loky::task]
    /// fn pid() -> u32 {
    ///     std::process::id()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let timeout = Duration::from_millis(10);
    ///     let executor =
    ///         loky::ProcessPoolExecutor::builder().max_workers(1).idle_timeout(timeout).build()?;
    ///     let first = executor.submit(pid, ()).result()?;
    ///     while !executor.worker_pids().is_empty() {
    ///         std::thread::sleep(timeout);
    ///     }
    ///     assert_ne!(executor.submit(pid, ()).result()?, first);
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "timeout")]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = timeout.into();
        self
    }

    /// Sets a task that each new worker runs before its first call. Default: none.
    ///
    /// Workers that replace others run it too. All calls of the worker find the statics and thread locals as the initializer
    /// left them.
    ///
    /// The executor is [broken](crate::ErrorKind::BrokenProcessPool) if the initializer panics, returns an `Err`, ends its
    /// worker, or takes longer than [`init_timeout`](Self::init_timeout). The error contains the initializer's own message.
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
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor =
    ///         loky::ProcessPoolExecutor::builder().max_workers(2).initializer(load, 100).build()?;
    ///     assert_eq!(executor.submit(look_up, 12).result()?, 144);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// These are Python's `initializer` and `initargs`. The reusable executor takes two initializers for equal if they are one
    /// task, and their arguments have equal bytes and use one piece of shared memory. The order of a `HashMap` differs each
    /// time, so an argument that contains one is never equal to another.
    #[doc(alias = "initargs")]
    pub fn initializer<T, Args, K>(mut self, task: T, args: Args) -> Self
    where
        T: IntoTask<Args, K>,
        T::Output: InitializerOutput,
    {
        let initializer = task.into_task().and_then(|task| {
            // The bytes are compared, so none of them may lie in a segment.
            let args = encode_call(task, &args, None)?.to_value();
            let output = task.output();
            let mut success = EncodedValue::default();
            // A success that cannot be encoded is found by decoding each result.
            let _ = output.encode(&T::Output::success(), &mut success, None);
            Ok(Initializer::new(task.name(), args, success.bytes, move |result| {
                let returned = output
                    .decode_all(&result.bytes, &result.attachments)
                    .map_err(|error| format!("its result cannot be decoded: {error}"))?;
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

    /// Limits the time of the [`initializer`](Self::initializer) in each worker. Default: no limit.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// #[loky::task]
    /// fn hang() {
    ///     std::thread::sleep(Duration::from_secs(60))
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder()
    ///         .max_workers(1)
    ///         .initializer(hang, ())
    ///         .init_timeout(Duration::from_millis(50))
    ///         .build()?;
    ///     assert!(executor.prewarm().unwrap_err().is_broken_process_pool());
    ///     Ok(())
    /// }
    /// ```
    pub fn init_timeout(mut self, limit: Duration) -> Self {
        self.settings.init_timeout = Some(limit);
        self
    }

    /// Replaces each worker after `n_calls` calls. Default: never.
    ///
    /// This is for native libraries that leak. No call is lost: the next one waits until the worker is gone and another is there.
    /// Exit handlers may delay that by at most 5 s. Python's `max_tasks_per_child`.
    ///
    /// ```
    /// #[loky::task]
    /// fn pid() -> u32 {
    ///     std::process::id()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor =
    ///         loky::ProcessPoolExecutor::builder().max_workers(1).max_tasks_per_worker(1).build()?;
    ///     assert_ne!(executor.submit(pid, ()).result()?, executor.submit(pid, ()).result()?);
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "max_tasks_per_child")]
    pub fn max_tasks_per_worker(mut self, n_calls: usize) -> Self {
        self.settings.max_tasks_per_worker = Some(n_calls);
        self
    }

    /// Replaces a worker, between calls, when its memory has grown by more than `bytes` since its first call. `None`: never.
    ///
    /// Default: the value of `LOKY_MAX_MEMORY_LEAK_SIZE` in the environment of this process, such as `2e9`; if it is not set,
    /// 300 MB. This setting beats the variable.
    ///
    /// The limit counts the worker's own resident memory, without files and shared memory. A worker looks after a call, and at
    /// most once a second. For a limit that holds at every moment use `setrlimit` or cgroups.
    ///
    /// ```
    /// #[loky::task]
    /// fn leak(bytes: usize) -> u32 {
    ///     Vec::leak(vec![1_u8; bytes]);
    ///     std::process::id()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder()
    ///         .max_workers(1)
    ///         .memory_growth_limit(1_000_000)
    ///         .build()?;
    ///     let first = executor.submit(leak, 0).result()?;
    ///     while executor.submit(leak, 2_000_000).result()? == first {
    ///         std::thread::sleep(std::time::Duration::from_millis(200));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn memory_growth_limit(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.settings.memory_growth_limit =
            bytes.into().map_or(GrowthLimit::Unlimited, GrowthLimit::Bytes);
        self
    }

    /// Sets a variable in the environment of the workers.
    ///
    /// Without any of these settings a worker gets the variables that this process has when the worker starts.
    ///
    /// | setting | effect on the workers | beaten by |
    /// |---|---|---|
    /// | `env`, [`envs`](Self::envs) | set a variable | a later `env` of its name, `worker_env` |
    /// | [`worker_env`](Self::worker_env) | sets a variable to a value for each worker | a later `worker_env` of its name |
    /// | [`inner_threads`](Self::inner_threads) | sets the thread counts of libraries | `env`, `worker_env` and `env_remove` of a name |
    /// | [`env_remove`](Self::env_remove) | drops a variable and its earlier settings | a later `env` or `worker_env` of its name |
    /// | [`env_clear`](Self::env_clear) | drops all variables and all earlier settings | all later settings |
    ///
    /// ```
    /// #[loky::task]
    /// fn mode() -> Option<String> {
    ///     std::env::var("MODE").ok()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor =
    ///         loky::ProcessPoolExecutor::builder().max_workers(1).env("MODE", "fast").build()?;
    ///     assert_eq!(executor.submit(mode, ()).result()?.as_deref(), Some("fast"));
    ///     Ok(())
    /// }
    /// ```
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.settings.env.set(name.into(), value.into());
        self
    }

    /// Sets several variables in the environment of the workers, as [`env`](Self::env) does.
    ///
    /// ```
    /// #[loky::task]
    /// fn mode_and_level() -> (String, String) {
    ///     (std::env::var("MODE").unwrap(), std::env::var("LEVEL").unwrap())
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder()
    ///         .max_workers(1)
    ///         .envs([("MODE", "fast"), ("LEVEL", "3")])
    ///         .build()?;
    ///     assert_eq!(executor.submit(mode_and_level, ()).result()?, ("fast".into(), "3".into()));
    ///     Ok(())
    /// }
    /// ```
    pub fn envs<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        for (name, value) in variables {
            self.settings.env.set(name.into(), value.into());
        }
        self
    }

    /// Removes a variable from the environment of the workers.
    ///
    /// Earlier settings of this name by [`env`](Self::env), [`envs`](Self::envs) and [`worker_env`](Self::worker_env) are
    /// dropped. A later one sets the variable again. A variable of [`inner_threads`](Self::inner_threads) is removed whichever
    /// comes first.
    ///
    /// ```
    /// #[loky::task]
    /// fn home() -> Option<String> {
    ///     std::env::var("HOME").ok()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor =
    ///         loky::ProcessPoolExecutor::builder().max_workers(1).env_remove("HOME").build()?;
    ///     assert_eq!(executor.submit(home, ()).result()?, None);
    ///     Ok(())
    /// }
    /// ```
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.settings.env.remove(name.into());
        self
    }

    /// Starts the workers with an empty environment, to which later settings add variables.
    ///
    /// Earlier settings are dropped: [`env`](Self::env), [`envs`](Self::envs), [`worker_env`](Self::worker_env),
    /// [`env_remove`](Self::env_remove) and [`inner_threads`](Self::inner_threads). The variable by which loky itself tells a
    /// worker what it is stays; the worker removes it before any task runs.
    ///
    /// Programs that find libraries by `LD_LIBRARY_PATH`, or other programs by `PATH`, need these set again.
    ///
    /// ```
    /// #[loky::task]
    /// fn variables() -> Vec<String> {
    ///     std::env::vars().map(|(name, _)| name).collect()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder()
    ///         .max_workers(1)
    ///         .env_clear()
    ///         .env("LANG", "C.UTF-8")
    ///         .build()?;
    ///     assert_eq!(executor.submit(variables, ()).result()?, ["LANG"]);
    ///     Ok(())
    /// }
    /// ```
    pub fn env_clear(mut self) -> Self {
        self.settings.env.clear();
        self
    }

    /// Sets a variable to another value in each worker: the worker with [index](crate::worker_index) i gets value i modulo the
    /// number of values.
    ///
    /// It beats [`env`](Self::env), whichever comes first.
    ///
    /// ```
    /// #[loky::task]
    /// fn gpu() -> Option<String> {
    ///     std::env::var("CUDA_VISIBLE_DEVICES").ok()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::ProcessPoolExecutor::builder()
    ///         .max_workers(1)
    ///         .worker_env("CUDA_VISIBLE_DEVICES", ["0", "1"])
    ///         .build()?;
    ///     assert_eq!(executor.submit(gpu, ()).result()?.as_deref(), Some("0"));
    ///     Ok(())
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

    /// Tells libraries how many threads to start in each worker. Default: nothing is told.
    ///
    /// A library that starts N threads on a machine with N CPUs starts N² of them in N workers. This setting puts `n_threads`
    /// into the variables that common libraries read. Settings of a single variable beat it: see [`env`](Self::env).
    ///
    /// | variable | read by |
    /// |---|---|
    /// | `ASYNC_GLOBAL_EXECUTOR_THREADS` | async-global-executor 3.1.0 |
    /// | `ASYNC_STD_THREAD_COUNT` | async-std 1.13.2 |
    /// | `BLIS_NUM_THREADS` | BLIS, documented in its `Multithreading.md` |
    /// | `BLOSC_NTHREADS` | c-blosc (crate blosc-src 0.3.8), python-blosc2 4.14.1 |
    /// | `GOMAXPROCS` | the runtime of Go, for libraries in Go |
    /// | `MATMUL_NUM_THREADS` | matrixmultiply 0.3.11, feature `threading` |
    /// | `MKL_NUM_THREADS` | Intel oneMKL, developer guide 2026.0 |
    /// | `NUMBA_NUM_THREADS` | numba 0.68.1 |
    /// | `NUMEXPR_NUM_THREADS` | numexpr 2.14.2 |
    /// | `OMP_NUM_THREADS` | OpenMP; as a fallback OpenBLAS, BLIS, oneMKL, numexpr |
    /// | `OPENBLAS_NUM_THREADS` | OpenBLAS, in numpy 2.4.6 |
    /// | `OPENCV_FOR_THREADS_NUM` | OpenCV, in opencv-python-headless 5.0.0.93 |
    /// | `POLARS_MAX_THREADS` | polars-config 0.55.2 |
    /// | `RAYON_NUM_THREADS` | rayon-core 1.13.0 |
    /// | `SMOL_THREADS` | smol 2.0.2 |
    /// | `TF_NUM_INTEROP_THREADS`, `TF_NUM_INTRAOP_THREADS` | TensorFlow, in its `process_util.cc` |
    /// | `TOKIO_WORKER_THREADS` | tokio 1.54.1 |
    /// | `VECLIB_MAXIMUM_THREADS` | Accelerate of macOS, as joblib sets it |
    /// | `VIPS_CONCURRENCY` | libvips, in pyvips-binary 8.18.7 |
    ///
    /// ```
    /// #[loky::task]
    /// fn rayon_threads() -> Option<String> {
    ///     std::env::var("RAYON_NUM_THREADS").ok()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor =
    ///         loky::ProcessPoolExecutor::builder().max_workers(1).inner_threads(1).build()?;
    ///     assert_eq!(executor.submit(rayon_threads, ()).result()?.as_deref(), Some("1"));
    ///     Ok(())
    /// }
    /// ```
    pub fn inner_threads(mut self, n_threads: usize) -> Self {
        self.settings.env.set_inner_threads(n_threads);
        self
    }

    /// Sets the effect of a worker's death. Default: [`CrashPolicy::Heal`], whose page has an example.
    pub fn on_worker_crash(mut self, policy: CrashPolicy) -> Self {
        self.settings.crash_policy = policy;
        self
    }

    /// Sets the destination of the workers' stdout. Default: [`Stdio::Inherit`]. Their stdin is always empty.
    ///
    /// ```
    /// use loky::{ProcessPoolExecutor, Stdio};
    ///
    /// #[loky::task]
    /// fn print() {
    ///     println!("this goes nowhere")
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = ProcessPoolExecutor::builder().max_workers(1).stdout(Stdio::Null).build()?;
    ///     executor.submit(print, ()).result()
    /// }
    /// ```
    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.settings.stdout = stdout;
        self
    }

    /// Sets the destination of the workers' stderr. Default: [`Stdio::Inherit`].
    ///
    /// ```
    /// use loky::{ProcessPoolExecutor, Stdio};
    ///
    /// #[loky::task]
    /// fn give_up() {
    ///     eprintln!("no more disk");
    ///     std::process::exit(1)
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor =
    ///         ProcessPoolExecutor::builder().max_workers(1).stderr(Stdio::Capture).build()?;
    ///     let error = executor.submit(give_up, ()).error().unwrap();
    ///     let exit = error.worker_exit().unwrap();
    ///     assert_eq!(exit.stderr_tail().map(str::trim), Some("no more disk"));
    ///     Ok(())
    /// }
    /// ```
    pub fn stderr(mut self, stderr: Stdio) -> Self {
        self.settings.stderr = stderr;
        self
    }

    /// Sets the directory that workers start in. Default: the directory of this process when a worker starts.
    ///
    /// A relative path is made absolute when the executor is built, so later changes of directory have no effect. A `..` is
    /// resolved then too: `../data` stays good if the directory that it leaves is removed.
    ///
    /// ```
    /// use std::path::PathBuf;
    ///
    /// #[loky::task]
    /// fn directory() -> PathBuf {
    ///     std::env::current_dir().unwrap()
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor =
    ///         loky::ProcessPoolExecutor::builder().max_workers(1).current_dir("/").build()?;
    ///     assert_eq!(executor.submit(directory, ()).result()?, PathBuf::from("/"));
    ///     Ok(())
    /// }
    /// ```
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.current_dir = Some(path.into());
        self
    }

    /// Sets another program as the worker. Default: this program.
    ///
    /// That program must have an entry ([`#[loky::entry]`](macro@crate::entry), [`main!`](crate::main) or
    /// [`init`](crate::init)) and be built with this version of loky. It must register the tasks that are called, under equal
    /// names and with equal signatures. It is executed directly: a script that starts the program as its child does not work.
    ///
    /// ```
    /// #[loky::task]
    /// fn one() -> u64 {
    ///     1
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let program = std::env::current_exe()?; // A program with other tasks would do, if it had `one` too.
    ///     let executor =
    ///         loky::ProcessPoolExecutor::builder().max_workers(1).worker_exe(program).build()?;
    ///     assert_eq!(executor.submit(one, ()).result()?, 1);
    ///     Ok(())
    /// }
    /// ```
    pub fn worker_exe(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.worker_exe = Some(path.into());
        self
    }

    /// Sets a function that is called with each [`Event`] of the executor, one after another, in the order of the events.
    /// Default: none.
    ///
    /// ```
    /// use loky::{Event, ProcessPoolExecutor, Shutdown};
    ///
    /// #[loky::task]
    /// fn exit(code: i32) {
    ///     std::process::exit(code)
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let (sender, deaths) = std::sync::mpsc::channel();
    ///     let executor = ProcessPoolExecutor::builder()
    ///         .max_workers(1)
    ///         .observer(move |event| {
    ///             if let Event::WorkerExited { exit, was_told: false, .. } = event {
    ///                 let _ = sender.send(exit.to_string());
    ///             }
    ///         })
    ///         .build()?;
    ///     assert!(executor.submit(exit, 3).error().is_some_and(|error| error.is_terminated_worker()));
    ///     executor.shutdown(Shutdown::Wait);
    ///     assert_eq!(deaths.iter().collect::<Vec<_>>(), ["EXIT(3)"]);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// The observer runs on the thread of the callbacks, shortly after each event. It delays callbacks, but no call. Events for
    /// which it is too slow wait in memory. The panic hook reports a panic in it, which has no other effect. A
    /// [`shutdown`](ProcessPoolExecutor::shutdown) that waits returns after the last event.
    ///
    /// There are no events before the first call or [`prewarm`](ProcessPoolExecutor::prewarm), and none in a forked process.
    ///
    /// The observer may use the executor: query it, submit, wait for results. If it holds a handle, the executor lives until
    /// [`shutdown`](ProcessPoolExecutor::shutdown) is called, even without other handles.
    ///
    /// Two observers are equal settings only if one builder is a clone of the other's. With a new observer
    /// [`get`](crate::ReusableBuilder::get) creates a new executor.
    pub fn observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.settings.observer = Some(Observer::new(observer));
        self
    }
}

impl Settings {
    /// Creates an executor from checked settings.
    pub(super) fn build(self) -> Result<ProcessPoolExecutor> {
        role::check()?;
        Table::get().check()?;
        ProcessPoolExecutor::from_settings(self)
    }
}
