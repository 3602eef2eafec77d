//! Settings as plain, comparable data, checked once.
//!
//! Nothing here acts; what a setting does is done where it belongs. Two pools with equal [`Settings`] behave alike, which is
//! what reuse is decided by. Tested beside the code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) worker_exe: Option<PathBuf>,
    pub(crate) working_dir: Option<PathBuf>,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
    pub(crate) observer: Option<Observer>,
}

impl Settings {
    /// Refuses what no pool can be made of, and makes paths absolute, so that a later change of directory does not matter.
    pub(crate) fn checked(mut self) -> Result<Self> {
        check_max_workers(self.max_workers)?;
        for (name, value) in &self.env {
            let (name, value) = (name.as_encoded_bytes(), value.as_encoded_bytes());
            if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
                let name = String::from_utf8_lossy(name);
                return Err(invalid(format!(
                    "`env`: `{}` cannot be the name of a variable",
                    name.escape_debug()
                )));
            }
            if value.contains(&0) {
                let name = String::from_utf8_lossy(name);
                return Err(invalid(format!("`env`: the value of `{name}` has a zero byte in it")));
            }
        }
        self.worker_exe = self.worker_exe.map(|path| absolute("worker_exe", &path)).transpose()?;
        self.working_dir =
            self.working_dir.map(|path| absolute("working_dir", &path)).transpose()?;
        for (name, stdio) in [("stdout", &mut self.stdout), ("stderr", &mut self.stderr)] {
            if let Stdio::File(path) = stdio {
                *path = absolute(name, path)?;
            }
        }
        Ok(self)
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
    std::path::absolute(path)
        .map_err(|error| Error::io(ErrorKind::InvalidConfig, &format!("`{name}`"), error))
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
            ("A", "b\0", "value of `A` has a zero byte"),
        ] {
            refused(Settings { env: vec![(name.into(), value.into())], ..settings() }, text);
        }
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
        let checked = Settings { working_dir: Some("x".into()), ..settings() }.checked().unwrap();
        assert!(checked.working_dir.unwrap().is_absolute());
    }
}
