//! The environment variables of the workers.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::invalid::invalid;
use crate::error::Result;

/// The changes to a worker's environment, some of which depend on the worker's index. Equal values give each worker equal
/// variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Whether the workers get none of the variables of this process.
    is_cleared: bool,
    /// The variables that all workers share; `None` removes a variable.
    shared: BTreeMap<OsString, Option<OsString>>,
    /// Worker i gets value i modulo the number of values. These beat the shared ones.
    by_worker: BTreeMap<OsString, Vec<OsString>>,
    /// The number of threads for libraries. All other settings beat it.
    inner_threads: Option<usize>,
}

/// The variables by which libraries learn how many threads to start. `Builder::inner_threads` lists their libraries.
const THREAD_COUNTS: [&str; 20] = [
    "ASYNC_GLOBAL_EXECUTOR_THREADS",
    "ASYNC_STD_THREAD_COUNT",
    "BLIS_NUM_THREADS",
    "BLOSC_NTHREADS",
    "GOMAXPROCS",
    "MATMUL_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "SMOL_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TOKIO_WORKER_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "VIPS_CONCURRENCY",
];

impl Environment {
    pub(crate) fn set(&mut self, name: OsString, value: OsString) {
        self.shared.insert(name, Some(value));
    }

    pub(crate) fn set_by_worker(&mut self, name: OsString, values: Vec<OsString>) {
        self.by_worker.insert(name, values);
    }

    pub(crate) fn set_inner_threads(&mut self, n_threads: usize) {
        self.inner_threads = Some(n_threads);
    }

    pub(crate) fn remove(&mut self, name: OsString) {
        self.by_worker.remove(&name);
        self.shared.insert(name, None);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { is_cleared: true, ..Self::default() };
    }

    /// Whether workers start without the variables of this process.
    pub(crate) fn is_cleared(&self) -> bool {
        self.is_cleared
    }

    /// The changes for the worker with this index, in the order in which they are to be made; `None` removes a variable.
    pub(crate) fn of_worker(
        &self,
        index: usize,
    ) -> impl Iterator<Item = (&OsStr, Option<OsString>)> {
        let n_threads = self.inner_threads.map(|n_threads| OsString::from(n_threads.to_string()));
        let inner = n_threads.into_iter().flat_map(|n_threads| {
            THREAD_COUNTS.map(|name| (OsStr::new(name), Some(n_threads.clone())))
        });
        let shared = self.shared.iter().map(|(name, value)| (name.as_os_str(), value.clone()));
        let by_worker = self.by_worker.iter().map(move |(name, values)| {
            (name.as_os_str(), Some(values[index % values.len()].clone()))
        });
        inner.chain(shared).chain(by_worker)
    }

    /// Rejects names and values that no environment can hold.
    pub(super) fn check(&self) -> Result<()> {
        if self.inner_threads == Some(0) {
            return Err(invalid("`inner_threads` must be greater than 0".to_owned()));
        }
        for (name, value) in &self.shared {
            let setting = if value.is_some() { "env" } else { "env_remove" };
            check_variable(setting, name, value.as_deref().unwrap_or_default())?;
        }
        for (name, values) in &self.by_worker {
            if values.is_empty() {
                let name = name.display();
                return Err(invalid(format!("`worker_env`: no values are given for `{name}`")));
            }
            for value in values {
                check_variable("worker_env", name, value)?;
            }
        }
        Ok(())
    }
}

fn check_variable(setting: &str, name: &OsStr, value: &OsStr) -> Result<()> {
    let (bytes, value) = (name.as_encoded_bytes(), value.as_encoded_bytes());
    let name = String::from_utf8_lossy(bytes);
    if bytes.is_empty() || bytes.contains(&b'=') || bytes.contains(&0) {
        let name = name.escape_debug();
        return Err(invalid(format!("`{setting}`: `{name}` cannot be the name of a variable")));
    }
    if value.contains(&0) {
        return Err(invalid(format!("`{setting}`: the value of `{name}` contains a zero byte")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The changes for one worker; `None` is a removed variable.
    fn of_worker(environment: &Environment, index: usize) -> BTreeMap<&OsStr, Option<OsString>> {
        environment.of_worker(index).collect()
    }

    #[track_caller]
    fn check(environment: &Environment, index: usize, expected: &[(&str, Option<&str>)]) {
        let variables = of_worker(environment, index);
        for (name, value) in expected {
            let value = value.map(OsString::from);
            assert_eq!(variables[OsStr::new(name)], value, "{name} of worker {index}");
        }
    }

    #[test]
    fn worker_env_gives_values_in_turn() {
        let mut environment = Environment::default();
        environment.set("ALL".into(), "a".into());
        environment.set_by_worker("GPU".into(), vec!["0".into(), "1".into()]);
        for (index, gpu) in [(0, "0"), (1, "1"), (2, "0"), (5, "1")] {
            check(&environment, index, &[("GPU", Some(gpu)), ("ALL", Some("a"))]);
        }
    }

    #[test]
    fn specific_setting_beats_general_one() {
        let mut environment = Environment::default();
        environment.set("OMP_NUM_THREADS".into(), "3".into());
        environment.remove("GOMAXPROCS".into());
        environment.set_by_worker("MKL_NUM_THREADS".into(), vec!["4".into()]);
        environment.set("MKL_NUM_THREADS".into(), "3".into());
        environment.set_inner_threads(2);
        assert_eq!(of_worker(&environment, 0).len(), THREAD_COUNTS.len());
        let expected = [
            ("RAYON_NUM_THREADS", Some("2")),
            ("OMP_NUM_THREADS", Some("3")),
            ("MKL_NUM_THREADS", Some("4")),
            ("GOMAXPROCS", None),
        ];
        check(&environment, 0, &expected);
    }

    #[test]
    fn last_of_set_and_remove_wins() {
        let mut environment = Environment::default();
        environment.set("A".into(), "1".into());
        environment.set_by_worker("B".into(), vec!["1".into()]);
        for name in ["A", "B", "C", "D"] {
            environment.remove(name.into());
        }
        environment.set("C".into(), "2".into());
        environment.set_by_worker("D".into(), vec!["2".into()]);
        check(&environment, 0, &[("A", None), ("B", None), ("C", Some("2")), ("D", Some("2"))]);
    }

    #[test]
    fn clear_drops_all_earlier_settings() {
        let mut environment = Environment::default();
        environment.set("A".into(), "1".into());
        environment.set_by_worker("B".into(), vec!["1".into()]);
        environment.set_inner_threads(1);
        environment.clear();
        assert!(environment.is_cleared());
        assert_eq!(of_worker(&environment, 0).len(), 0);
        environment.set("C".into(), "2".into());
        check(&environment, 0, &[("C", Some("2"))]);
        assert_ne!(environment, Environment::default());
    }

    #[test]
    fn order_of_different_names_makes_no_difference() {
        let [mut one, mut other] = [Environment::default(), Environment::default()];
        one.set("A".into(), "old".into());
        for name in ["A", "B"] {
            one.set(name.into(), name.into());
        }
        for name in ["B", "A"] {
            other.set(name.into(), name.into());
        }
        assert_eq!(one, other);
        other.set("A".into(), "new".into());
        assert_ne!(one, other);
        other.remove("A".into());
        assert_ne!(one, other);
    }
}
