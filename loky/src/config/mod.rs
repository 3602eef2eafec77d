//! Settings as plain, comparable data, checked once.
//!
//! This module performs nothing: other modules act on the settings. Two pools with equal [`Settings`] behave alike, so the
//! reusable executor compares them. Tested beside the code.

mod environment;
mod initializer;
mod invalid;
mod memory_growth;
mod paths;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use self::environment::Environment;
pub(crate) use self::initializer::Initializer;
pub use self::initializer::InitializerOutput;

use self::invalid::invalid;
use self::paths::absolute;
use crate::error::Result;
use crate::limits;
use crate::observer::Observer;

/// The effect of a worker's death on its executor.
///
/// ```
/// use loky::{CrashPolicy, ProcessPoolExecutor};
///
/// #[loky::task]
/// fn abort() {
///     std::process::abort()
/// }
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let builder = || ProcessPoolExecutor::builder().max_workers(1);
///
///     let healing = builder().build()?;
///     assert!(healing.submit(abort, ()).error().is_some_and(|it| it.is_terminated_worker()));
///     assert!(!healing.is_broken());
///
///     let breaking = builder().on_worker_crash(CrashPolicy::BreakPool).build()?;
///     assert!(breaking.submit(abort, ()).error().is_some_and(|it| it.is_terminated_worker()));
///     assert!(breaking.is_broken());
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CrashPolicy {
    /// The call that the worker was running fails with [`TerminatedWorker`](crate::ErrorKind::TerminatedWorker).
    /// Another worker replaces the dead one, and no other call fails.
    #[default]
    Heal,
    /// The call that the worker was running fails with [`TerminatedWorker`](crate::ErrorKind::TerminatedWorker). Every
    /// other unfinished call fails with [`BrokenProcessPool`](crate::ErrorKind::BrokenProcessPool), and the executor is
    /// unusable afterwards. This is the rule of Python.
    BreakPool,
}

/// The destination of a standard stream of the workers.
///
/// Unlike [`std::process::Stdio`], a value can be compared and used again.
///
/// ```
/// use loky::{ProcessPoolExecutor, Stdio};
///
/// #[loky::task]
/// fn complain() {
///     eprintln!("this goes nowhere")
/// }
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let executor = ProcessPoolExecutor::builder().max_workers(1).stderr(Stdio::Null).build()?;
///     executor.submit(complain, ()).result()
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stdio {
    /// The stream of this process.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// The end of this file, which all workers share. It is created if it does not exist.
    File(PathBuf),
    /// This process, which keeps the last 8 KiB of each worker for error messages.
    Capture,
}

/// How many bytes a worker's memory may grow by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GrowthLimit {
    /// Not set: [`checked`](Settings::checked) replaces it by the value of the environment, or of [`limits`].
    #[default]
    Default,
    Bytes(u64),
    Unlimited,
}

impl GrowthLimit {
    /// The limit as it is sent to workers, where `u64::MAX` is no limit.
    pub(crate) fn in_bytes(self) -> u64 {
        match self {
            Self::Default => limits::MEMORY_GROWTH_BYTES,
            Self::Bytes(bytes) => bytes,
            Self::Unlimited => u64::MAX,
        }
    }
}

/// All settings of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) max_workers: usize,
    pub(crate) crash_policy: CrashPolicy,
    /// The time after which an idle worker leaves.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_tasks_per_worker: Option<usize>,
    pub(crate) memory_growth_limit: GrowthLimit,
    pub(crate) initializer: Option<Initializer>,
    pub(crate) init_timeout: Option<Duration>,
    pub(crate) env: Environment,
    pub(crate) worker_exe: Option<PathBuf>,
    pub(crate) current_dir: Option<PathBuf>,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
    pub(crate) observer: Option<Observer>,
}

impl Settings {
    /// Rejects values out of range, fills in defaults, and makes paths absolute, so that later changes of directories do not
    /// matter.
    pub(crate) fn checked(mut self) -> Result<Self> {
        check_max_workers(self.max_workers)?;
        self.env.check()?;
        if self.max_tasks_per_worker == Some(0) {
            return Err(invalid("`max_tasks_per_worker` must be greater than 0".to_owned()));
        }
        self.memory_growth_limit = match self.memory_growth_limit {
            GrowthLimit::Default => GrowthLimit::Bytes(memory_growth::default_limit()?),
            GrowthLimit::Bytes(0) => {
                return Err(invalid("`memory_growth_limit` must be greater than 0".to_owned()));
            }
            set => set,
        };
        if self.init_timeout == Some(Duration::ZERO) {
            return Err(invalid("`init_timeout` must be greater than 0".to_owned()));
        }
        self.worker_exe = self.worker_exe.map(|path| absolute("worker_exe", &path)).transpose()?;
        self.current_dir =
            self.current_dir.map(|path| absolute("current_dir", &path)).transpose()?;
        for (name, stdio) in [("stdout", &mut self.stdout), ("stderr", &mut self.stderr)] {
            if let Stdio::File(path) = stdio {
                *path = absolute(name, path)?;
            }
        }
        Ok(self)
    }

    /// Whether all settings but the number of workers are equal. The reusable executor compares the observers itself.
    pub(crate) fn are_same_but_for_size(&self, other: &Self) -> bool {
        // In full, so that a new setting is not forgotten here.
        let Self {
            max_workers: _,
            observer: _,
            crash_policy,
            idle_timeout,
            max_tasks_per_worker,
            memory_growth_limit,
            initializer,
            init_timeout,
            env,
            worker_exe,
            current_dir,
            stdout,
            stderr,
        } = self;
        *crash_policy == other.crash_policy
            && *idle_timeout == other.idle_timeout
            && *max_tasks_per_worker == other.max_tasks_per_worker
            && *memory_growth_limit == other.memory_growth_limit
            && *initializer == other.initializer
            && *init_timeout == other.init_timeout
            && *env == other.env
            && *worker_exe == other.worker_exe
            && *current_dir == other.current_dir
            && *stdout == other.stdout
            && *stderr == other.stderr
    }
}

/// Rejects a number of workers out of range.
pub(crate) fn check_max_workers(max_workers: usize) -> Result<()> {
    if max_workers == 0 {
        return Err(invalid("`max_workers` must be greater than 0".to_owned()));
    }
    if max_workers > limits::MAX_WORKERS {
        return Err(invalid(format!("`max_workers` must be at most {}", limits::MAX_WORKERS)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { max_workers: 1, ..Settings::default() }
    }

    #[track_caller]
    fn check_rejected(settings: Settings, text: &str) {
        let error = settings.checked().unwrap_err();
        assert!(error.is_invalid_config() && error.to_string().contains(text), "{error}");
    }

    #[test]
    fn rejected_setting_is_named() {
        check_rejected(
            Settings { max_workers: 0, ..settings() },
            "`max_workers` must be greater than 0",
        );
        let many = usize::MAX;
        check_rejected(
            Settings { max_workers: many, ..settings() },
            "`max_workers` must be at most 32768",
        );
        for (name, value, text) in [
            ("", "", "`` cannot be the name"),
            ("A=B", "", "`A=B` cannot be the name"),
            ("A\0", "", "`A\\0` cannot be the name"),
            ("A", "b\0", "the value of `A` contains a zero byte"),
        ] {
            let [mut env, mut worker_env] = [Environment::default(), Environment::default()];
            env.set(name.into(), value.into());
            worker_env.set_by_worker(name.into(), vec!["fine".into(), value.into()]);
            check_rejected(Settings { env, ..settings() }, &format!("`env`: {text}"));
            check_rejected(
                Settings { env: worker_env, ..settings() },
                &format!("`worker_env`: {text}"),
            );
        }
        let mut env = Environment::default();
        env.set_by_worker("A".into(), Vec::new());
        check_rejected(Settings { env, ..settings() }, "`worker_env`: no values are given for `A`");
        let mut env = Environment::default();
        env.set_inner_threads(0);
        check_rejected(Settings { env, ..settings() }, "`inner_threads` must be greater than 0");
        let max_tasks_per_worker = Some(0);
        check_rejected(
            Settings { max_tasks_per_worker, ..settings() },
            "`max_tasks_per_worker` must be",
        );
        let memory_growth_limit = GrowthLimit::Bytes(0);
        check_rejected(
            Settings { memory_growth_limit, ..settings() },
            "`memory_growth_limit` must be",
        );
        let init_timeout = Some(Duration::ZERO);
        check_rejected(
            Settings { init_timeout, ..settings() },
            "`init_timeout` must be greater than 0",
        );
        check_rejected(
            Settings { worker_exe: Some(PathBuf::new()), ..settings() },
            "cannot make `worker_exe` absolute",
        );
    }

    #[test]
    fn observer_equals_its_clones_only() {
        let observed = |observer: &Observer| {
            let observer = Some(observer.clone());
            Settings { observer, ..settings() }
        };
        let observers = [Observer::new(|_| {}), Observer::new(|_| {})];
        assert_eq!(observed(&observers[0]), observed(&observers[0]));
        assert_ne!(observed(&observers[0]), observed(&observers[1]));
        assert_ne!(observed(&observers[0]), settings());
    }

    #[test]
    fn paths_of_settings_become_absolute() {
        let [stdout, stderr] = ["o", "e"].map(|path| Stdio::File(path.into()));
        let [current_dir, worker_exe] = ["d", "w"].map(|path| Some(path.into()));
        let settings = Settings { current_dir, worker_exe, stdout, stderr, ..settings() };
        let checked = settings.checked().unwrap();
        assert!(checked.current_dir.unwrap().is_absolute());
        assert!(checked.worker_exe.unwrap().is_absolute());
        for stdio in [checked.stdout, checked.stderr] {
            assert!(matches!(&stdio, Stdio::File(path) if path.is_absolute()), "{stdio:?}");
        }
    }

    #[test]
    fn memory_growth_limit_of_the_builder_is_kept() {
        for memory_growth_limit in [GrowthLimit::Bytes(7), GrowthLimit::Unlimited] {
            let checked = Settings { memory_growth_limit, ..settings() }.checked().unwrap();
            assert_eq!(checked.memory_growth_limit, memory_growth_limit);
        }
    }
}
