//! [`ErrorKind`] with a predicate of [`Error`] for each kind, and [`Execution`].
//!
//! A kind is a case that a caller can act on; details are in the error's accessors. The kinds and their predicates come from
//! one table, so that neither can lack the other. The examples test them.

use super::Error;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident; $(#[$example:meta])* $is:ident;)*) => {
        /// The reason of an [`Error`], as far as a caller can act on it.
        ///
        /// The names are those of Python's `loky` and `concurrent.futures`, where these have one. Later versions may add kinds, so
        /// a `match` needs an arm for the others.
        ///
        /// ```
        /// use loky::ErrorKind;
        ///
        /// /// Whether another attempt may succeed.
        /// fn is_worth_another_try(error: &loky::Error) -> bool {
        ///     match error.kind() {
        ///         ErrorKind::TerminatedWorker => true,
        ///         ErrorKind::Spawn | ErrorKind::Io => true,
        ///         _ => false,
        ///     }
        /// }
        ///
        /// let error = loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
        /// assert!(!is_worth_another_try(&error));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$kind,)*];
        }

        impl Error {
            $(
                #[doc = concat!("Returns whether [`kind`](Error::kind) is [`ErrorKind::", stringify!($kind), "`].")]
                #[doc = ""]
                $(#[$example])*
                #[must_use]
                pub fn $is(&self) -> bool {
                    self.kind() == ErrorKind::$kind
                }
            )*
        }
    };
}

kinds! {
    /// The task panicked; [`Error::panic`] has the report. The worker lives on.
    Panicked;
    /// ```
    /// #[loky::task]
    /// fn divide(a: u64, b: u64) -> u64 {
    ///     a / b
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         assert!(executor.submit(divide, (1, 0)).result().unwrap_err().is_panicked());
    ///         assert_eq!(executor.submit(divide, (6, 2)).result()?, 3);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_panicked;
    /// The worker that ran the call died; [`Error::worker_exit`] tells how. Python's `TerminatedWorkerError`.
    TerminatedWorker;
    /// ```
    /// #[loky::task]
    /// fn crash() {
    ///     std::process::abort()
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         assert!(executor.submit(crash, ()).result().unwrap_err().is_terminated_worker());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_terminated_worker;
    /// The pool is unusable: the initializer failed, workers die at start again and again, or a worker died under
    /// [`CrashPolicy::BreakPool`](crate::CrashPolicy::BreakPool). [`Error::worker_exit`] tells how the last one died.
    BrokenProcessPool;
    /// ```
    /// #[loky::task]
    /// fn connect() -> Result<(), String> {
    ///     Err("no route to the database".to_owned())
    /// }
    ///
    /// #[loky::task]
    /// fn answer() -> u64 {
    ///     42
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let builder = loky::ProcessPoolExecutor::builder().max_workers(1);
    ///         let executor = builder.initializer(connect, ()).build()?;
    ///         let error = executor.submit(answer, ()).result().unwrap_err();
    ///         assert!(error.is_broken_process_pool());
    ///         assert!(error.to_string().contains("no route to the database"));
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_broken_process_pool;
    /// The executor was shut down before the call was submitted, or before it finished.
    ShutdownExecutor;
    /// ```
    /// #[loky::task]
    /// fn answer() -> u64 {
    ///     42
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         executor.shutdown(loky::Shutdown::Wait);
    ///         assert!(executor.submit(answer, ()).result().unwrap_err().is_shutdown_executor());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_shutdown_executor;
    /// The call was cancelled before it started.
    Cancelled;
    /// ```
    /// #[loky::task]
    /// fn answer() -> u64 {
    ///     42
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let future = executor.submit(answer, ());
    ///         let is_cancelled = future.cancel(); // false if the task has begun
    ///         assert_eq!(future.error().is_some_and(|error| error.is_cancelled()), is_cancelled);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_cancelled;
    /// A wait reached its time limit, as with [`Future::result_timeout`](crate::Future::result_timeout); the call goes on.
    Timeout;
    /// ```
    /// use std::time::Duration;
    ///
    /// #[loky::task]
    /// fn read_to_end() -> u64 {
    ///     std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap()
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let future = executor.submit(read_to_end, ());
    ///         match future.result_timeout(Duration::ZERO) {
    ///             Err(error) => assert!(error.is_timeout()),
    ///             Ok(bytes) => assert_eq!(bytes, 0),
    ///         }
    ///         assert_eq!(future.result()?, 0); // the call went on
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_timeout;
    /// The call ran longer than its own time limit, and its worker was killed.
    TaskTimeout;
    /// ```
    /// // Errors of the caller's settings are never a call's time limit.
    /// let error = loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
    /// assert!(!error.is_task_timeout());
    /// ```
    is_task_timeout;
    /// The arguments could not be encoded: serde failed or panicked.
    EncodeArgs;
    /// ```
    /// use std::path::PathBuf;
    ///
    /// #[loky::task]
    /// fn open(path: PathBuf) -> bool {
    ///     path.exists()
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         use std::os::unix::ffi::OsStringExt;
    ///
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let path = PathBuf::from(std::ffi::OsString::from_vec(vec![0xff])); // serde takes UTF-8 only
    ///         assert!(executor.submit(open, path).result().unwrap_err().is_encode_args());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_encode_args;
    /// The worker could not decode the arguments; the task did not run.
    DecodeArgs;
    /// ```
    /// #[derive(serde::Serialize)]
    /// struct Even(u64);
    ///
    /// impl<'de> serde::Deserialize<'de> for Even {
    ///     fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
    ///         let number = u64::deserialize(from)?;
    ///         if number % 2 == 0 { Ok(Self(number)) } else { Err(serde::de::Error::custom("an odd number")) }
    ///     }
    /// }
    ///
    /// #[loky::task]
    /// fn half(number: Even) -> u64 {
    ///     number.0 / 2
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         assert!(executor.submit(half, Even(3)).result().unwrap_err().is_decode_args());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_decode_args;
    /// The task ran, but its result could not be encoded.
    EncodeResult;
    /// ```
    /// use std::path::PathBuf;
    ///
    /// #[loky::task]
    /// fn strange_name() -> PathBuf {
    ///     use std::os::unix::ffi::OsStringExt;
    ///     PathBuf::from(std::ffi::OsString::from_vec(vec![0xff])) // serde takes UTF-8 only
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         assert!(executor.submit(strange_name, ()).result().unwrap_err().is_encode_result());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_encode_result;
    /// The task ran, but this process could not decode its result.
    DecodeResult;
    /// ```
    /// #[derive(Debug, serde::Serialize)]
    /// struct Even(u64);
    ///
    /// impl<'de> serde::Deserialize<'de> for Even {
    ///     fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
    ///         let number = u64::deserialize(from)?;
    ///         if number % 2 == 0 { Ok(Self(number)) } else { Err(serde::de::Error::custom("an odd number")) }
    ///     }
    /// }
    ///
    /// #[loky::task]
    /// fn half(number: u64) -> Even {
    ///     Even(number / 2)
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         assert!(executor.submit(half, 6).result().unwrap_err().is_decode_result());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_decode_result;
    /// The submitted function is not registered with `#[loky::task]`.
    NotATask;
    /// ```
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         let error = executor.submit(|x: u64| x + 1, 1).result().unwrap_err();
    ///         assert!(error.is_not_a_task());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_not_a_task;
    /// The worker's program has no task of this name.
    UnknownTask;
    /// ```
    /// fn advice(error: &loky::Error) -> Option<&'static str> {
    ///     error.is_unknown_task().then_some("link the crate of the task: `use that_crate as _;`")
    /// }
    ///
    /// let error = loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
    /// assert_eq!(advice(&error), None);
    /// ```
    is_unknown_task;
    /// Two tasks are registered under one name.
    DuplicateTask;
    /// ```standalone_crate
    /// #[loky::task(name = "add")]
    /// fn one(a: u64) -> u64 {
    ///     a
    /// }
    ///
    /// #[loky::task(name = "add")]
    /// fn two(a: u64) -> u64 {
    ///     a
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         assert!(loky::ProcessPoolExecutor::new().unwrap_err().is_duplicate_task());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_duplicate_task;
    /// An executor was created in a worker below the deepest level: 10, or the value of `LOKY_MAX_DEPTH`.
    Recursion;
    /// ```
    /// #[loky::task]
    /// fn depth_below(levels: u32) -> loky::TaskResult<u32> {
    ///     let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     Ok(1 + if levels > 1 { executor.submit(depth_below, levels - 1).result()?? } else { 0 })
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///         assert_eq!(executor.submit(depth_below, 2).result()?.unwrap(), 2);
    ///         let outermost = loky::ProcessPoolExecutor::builder().max_workers(1).build();
    ///         assert!(!outermost.is_err_and(|error| error.is_recursion()));
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_recursion;
    /// A setting is out of its range or does not fit the program.
    InvalidConfig;
    /// ```
    /// let error = loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
    /// assert!(error.is_invalid_config());
    /// ```
    is_invalid_config;
    /// The system did not start a worker.
    Spawn;
    /// ```
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let builder = loky::ProcessPoolExecutor::builder().max_workers(1);
    ///         let executor = builder.worker_exe("/no/such/program").build()?;
    ///         assert!(executor.prewarm().unwrap_err().is_spawn());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_spawn;
    /// The started program is not a worker of this one.
    Handshake;
    /// ```
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let builder = loky::ProcessPoolExecutor::builder().max_workers(1);
    ///         let executor = builder.worker_exe("/bin/true").build()?;
    ///         assert!(executor.prewarm().unwrap_err().is_handshake());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    is_handshake;
    /// The operating system has no more memory or descriptors. Each piece of shared memory in a call takes one descriptor.
    Io;
    /// ```
    /// use loky::shared::SharedSliceMut;
    ///
    /// let error = SharedSliceMut::<u64>::zeroed(usize::MAX).unwrap_err();
    /// assert!(error.is_io());
    /// ```
    is_io;
}

/// How far a call had come when its error arose: is it safe to run it again?
///
/// These are all the answers there are, so a `match` needs no arm for others.
///
/// ```
/// use loky::Execution;
///
/// /// For a task that may have had its effect already, such as a payment.
/// fn may_run_again(error: &loky::Error) -> bool {
///     match error.execution() {
///         Execution::NotStarted => true,
///         Execution::Started | Execution::Finished => false,
///     }
/// }
///
/// let error = loky::ProcessPoolExecutor::builder().max_workers(0).build().unwrap_err();
/// assert!(may_run_again(&error));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Execution {
    /// The task's code has not begun. An error of a call whose code did begin never has this value.
    NotStarted,
    /// The task's code may have begun. As far as is known, it did not end.
    Started,
    /// The task's code ran to its end.
    Finished,
}
