//! The variables of the workers, beside those that they inherit.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::invalid;
use crate::error::Result;

/// What is set in a worker's environment, and where that depends on which worker it is. Two are equal if each worker gets the
/// same by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// For all workers alike.
    shared: BTreeMap<OsString, OsString>,
    /// Worker i gets value i modulo their number. Stronger than the shared ones.
    by_worker: BTreeMap<OsString, Vec<OsString>>,
    /// How many threads native libraries are to use. The weakest.
    inner_threads: Option<usize>,
}

/// The variables by which native libraries, and rayon, are told how many threads to start.
const THREAD_COUNTS: [&str; 8] = [
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
];

impl Environment {
    pub(crate) fn set(&mut self, name: OsString, value: OsString) {
        self.shared.insert(name, value);
    }

    pub(crate) fn set_by_worker(&mut self, name: OsString, values: Vec<OsString>) {
        self.by_worker.insert(name, values);
    }

    pub(crate) fn set_inner_threads(&mut self, n_threads: usize) {
        self.inner_threads = Some(n_threads);
    }

    /// What the worker with this index gets; later ones go over earlier ones of the same name.
    pub(crate) fn of_worker(&self, index: usize) -> impl Iterator<Item = (&OsStr, OsString)> {
        let n_threads = self.inner_threads.map(|n_threads| OsString::from(n_threads.to_string()));
        let inner = n_threads
            .into_iter()
            .flat_map(|n_threads| THREAD_COUNTS.map(|name| (OsStr::new(name), n_threads.clone())));
        let shared = self.shared.iter().map(|(name, value)| (name.as_os_str(), value.clone()));
        let by_worker = self.by_worker.iter();
        let by_worker = by_worker
            .map(move |(name, values)| (name.as_os_str(), values[index % values.len()].clone()));
        inner.chain(shared).chain(by_worker)
    }

    /// Refuses what no environment can hold.
    pub(super) fn check(&self) -> Result<()> {
        if self.inner_threads == Some(0) {
            return Err(invalid("`inner_threads` must be greater than 0".to_owned()));
        }
        for (name, value) in &self.shared {
            check_variable("env", name, value)?;
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
        return Err(invalid(format!("`{setting}`: the value of `{name}` has a zero byte in it")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_worker(environment: &Environment, index: usize) -> BTreeMap<&OsStr, OsString> {
        environment.of_worker(index).collect()
    }

    #[test]
    fn workers_get_values_by_turns() {
        let mut environment = Environment::default();
        environment.set("ALL".into(), "a".into());
        environment.set_by_worker("GPU".into(), vec!["0".into(), "1".into()]);
        for (index, gpu) in [(0, "0"), (1, "1"), (2, "0"), (5, "1")] {
            let variables = of_worker(&environment, index);
            assert_eq!(variables[OsStr::new("GPU")], gpu);
            assert_eq!(variables[OsStr::new("ALL")], "a");
        }
    }

    #[test]
    fn the_special_goes_over_the_general() {
        let mut environment = Environment::default();
        environment.set_inner_threads(2);
        environment.set("OMP_NUM_THREADS".into(), "3".into());
        environment.set("MKL_NUM_THREADS".into(), "3".into());
        environment.set_by_worker("MKL_NUM_THREADS".into(), vec!["4".into()]);
        let variables = of_worker(&environment, 0);
        assert_eq!(variables.len(), THREAD_COUNTS.len());
        for (name, value) in
            [("RAYON_NUM_THREADS", "2"), ("OMP_NUM_THREADS", "3"), ("MKL_NUM_THREADS", "4")]
        {
            assert_eq!(variables[OsStr::new(name)], value);
        }
    }

    #[test]
    fn the_order_in_which_they_were_set_makes_no_difference() {
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
    }
}
