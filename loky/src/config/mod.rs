//! Settings as plain, comparable data, checked once.
//!
//! Nothing here acts; what a setting does is done where it belongs. Two pools with equal [`Settings`] behave alike, which is
//! what reuse is decided by. Tested beside the code.

mod environment;
mod initializer;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use self::environment::Environment;
pub(crate) use self::initializer::Initializer;
pub use self::initializer::InitializerOutput;

use crate::error::{Error, ErrorKind, Result};
use crate::limits;
use crate::observer::Observer;

/// What becomes of an executor when one of its workers dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CrashPolicy {
    /// Only the call that the worker was running fails, with [`ErrorKind::TerminatedWorker`]; the worker is replaced.
    #[default]
    Heal,
    /// As in Python: the call that ran fails so, every other unfinished one with [`ErrorKind::BrokenProcessPool`], and the
    /// executor is unusable afterwards.
    BreakPool,
}

/// Where a standard stream of the workers goes.
///
/// Comparable and reusable, unlike [`std::process::Stdio`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stdio {
    /// Where this process's own goes.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// To the end of this file, which is created if need be. All workers share it.
    File(PathBuf),
    /// To this process, which keeps the last 8 KiB of each worker's.
    Capture,
}

/// Everything that a pool is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) max_workers: usize,
    pub(crate) crash_policy: CrashPolicy,
    /// How long workers may have nothing to do. `None`: for ever.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_tasks_per_worker: Option<usize>,
    pub(crate) memory_growth_limit: Option<u64>,
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
    /// Refuses what no pool can be made of, and makes paths absolute, so that a later change of directory does not matter.
    pub(crate) fn checked(mut self) -> Result<Self> {
        check_max_workers(self.max_workers)?;
        self.env.check()?;
        if self.max_tasks_per_worker == Some(0) {
            return Err(invalid("`max_tasks_per_worker` must be greater than 0".to_owned()));
        }
        if self.memory_growth_limit == Some(0) {
            return Err(invalid("`memory_growth_limit` must be greater than 0".to_owned()));
        }
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

    /// Whether all are equal but perhaps the number of workers. (And the observer, which is compared where it is known.)
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

/// Refuses numbers of workers that no pool can have.
pub(crate) fn check_max_workers(max_workers: usize) -> Result<()> {
    if max_workers == 0 {
        return Err(invalid("`max_workers` must be greater than 0".to_owned()));
    }
    if max_workers > limits::MAX_WORKERS {
        return Err(invalid(format!("`max_workers` must be at most {}", limits::MAX_WORKERS)));
    }
    Ok(())
}

fn absolute(name: &str, path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| {
        Error::io(ErrorKind::InvalidConfig, &format!("cannot make `{name}` absolute"), error)
    })
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { max_workers: 1, ..Settings::default() }
    }

    #[track_caller]
    fn refused(settings: Settings, text: &str) {
        let error = settings.checked().unwrap_err();
        assert!(error.is_invalid_config() && error.to_string().contains(text), "{error}");
    }

    #[test]
    fn bad_settings_are_named() {
        refused(Settings { max_workers: 0, ..settings() }, "`max_workers` must be greater than 0");
        let many = usize::MAX;
        refused(
            Settings { max_workers: many, ..settings() },
            "`max_workers` must be at most 32768",
        );
        for (name, value, text) in [
            ("", "", "`` cannot be the name"),
            ("A=B", "", "`A=B` cannot be the name"),
            ("A\0", "", "`A\\0` cannot be the name"),
            ("A", "b\0", "the value of `A` has a zero byte"),
        ] {
            let [mut env, mut worker_env] = [Environment::default(), Environment::default()];
            env.set(name.into(), value.into());
            worker_env.set_by_worker(name.into(), vec!["fine".into(), value.into()]);
            refused(Settings { env, ..settings() }, &format!("`env`: {text}"));
            refused(Settings { env: worker_env, ..settings() }, &format!("`worker_env`: {text}"));
        }
        let mut env = Environment::default();
        env.set_by_worker("A".into(), Vec::new());
        refused(Settings { env, ..settings() }, "`worker_env`: no values are given for `A`");
        let mut env = Environment::default();
        env.set_inner_threads(0);
        refused(Settings { env, ..settings() }, "`inner_threads` must be greater than 0");
        let max_tasks_per_worker = Some(0);
        refused(Settings { max_tasks_per_worker, ..settings() }, "`max_tasks_per_worker` must be");
        let memory_growth_limit = Some(0);
        refused(Settings { memory_growth_limit, ..settings() }, "`memory_growth_limit` must be");
        let init_timeout = Some(Duration::ZERO);
        refused(Settings { init_timeout, ..settings() }, "`init_timeout` must be greater than 0");
        refused(
            Settings { worker_exe: Some(PathBuf::new()), ..settings() },
            "`worker_exe`: cannot make an empty path absolute",
        );
    }

    #[test]
    fn an_observer_is_equal_to_itself_alone() {
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
    fn paths_become_absolute() {
        let checked = Settings { current_dir: Some("x".into()), ..settings() }.checked().unwrap();
        assert!(checked.current_dir.unwrap().is_absolute());
    }
}
