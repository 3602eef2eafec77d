//! The number of CPUs that this process may use: the default number of workers.
//!
//! | file | |
//! |---|---|
//! | [`system`] | the CPUs of the machine, those that the affinity allows, and the resulting counts |
//! | [`cgroup`] | the CPU time that cgroups allow |
//! | [`topology`] | the CPUs that belong to one core |
//! | [`cpus`] | sets of CPUs in the kernel's list format |
//! | [`root`] | reading the kernel's files |
//!
//! A file that is absent, unreadable or malformed is no limit: it never causes an error or a lower count. Only a malformed limit of
//! the user's own is an error, for callers that can report it ([`checked`]). Nothing is cached, since limits change while a process
//! runs.
//!
//! Tested in `tests.rs` on folders that stand for `/`, and in `tests/it/cpu_count.rs` by processes with real limits.

mod cgroup;
mod cpus;
mod root;
mod system;
#[cfg(test)]
mod tests;
mod topology;

use std::ffi::OsStr;
use std::num::IntErrorKind;

use self::system::System;
use crate::error::{Error, ErrorKind, Result};

/// Returns the number of CPUs that this process may use, at least 1.
///
/// It is the least of
/// - the online CPUs of the machine;
/// - the CPUs that the calling thread may run on, a set that threads and processes inherit: see [sched_getaffinity(2)];
/// - the quotas of the process's cgroup and of all cgroups above it, rounded up. Containers are limited in this way: `cpu.max`
///   of [cgroup v2], `cpu.cfs_quota_us` of [cgroup v1]; see [cgroups(7)];
/// - `LOKY_MAX_CPU_COUNT` in the environment, where 0 and less mean 1.
///
/// Each call reads a few small files in `/proc` and `/sys` again. A file that cannot be read or is malformed is no limit. Neither is
/// a `LOKY_MAX_CPU_COUNT` that is not a number, since this function cannot fail; building an executor reports it as
/// [`ErrorKind::InvalidConfig`].
///
/// ```
/// let cpus = loky::cpu_count();
/// // One CPU is left for the thread that consumes the results.
/// let builder = loky::ProcessPoolExecutor::builder().max_workers((cpus - 1).max(1));
/// # drop(builder);
/// ```
///
/// [sched_getaffinity(2)]: https://man7.org/linux/man-pages/man2/sched_getaffinity.2.html
/// [cgroups(7)]: https://man7.org/linux/man-pages/man7/cgroups.7.html
/// [cgroup v1]: https://docs.kernel.org/scheduler/sched-bwc.html
/// [cgroup v2]: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
#[must_use]
pub fn cpu_count() -> usize {
    System::this().logical(variable().unwrap_or(None))
}

/// Returns the number of physical cores that this process may use: at least 1, and at most [`cpu_count`].
///
/// Use it for work that gains nothing from the second thread of a core, because it waits for memory or floating point units.
///
/// It counts the cores, over all sockets, that have at least one of the CPUs that the process may run on, and is limited by
/// cgroups and `LOKY_MAX_CPU_COUNT` as [`cpu_count`] is. So a limit of 6 on a machine of 4 cores with two threads each gives 4.
/// The cores are those of `/sys/devices/system/cpu/cpu*/topology`; see the kernel's page on [CPU topology]. A CPU that is not
/// described there counts as a core.
///
/// ```
/// let cores = loky::physical_cpu_count();
/// assert!((1..=loky::cpu_count()).contains(&cores));
/// ```
///
/// [CPU topology]: https://docs.kernel.org/admin-guide/cputopology.html
#[must_use]
pub fn physical_cpu_count() -> usize {
    System::this().physical(variable().unwrap_or(None))
}

/// Returns [`cpu_count`], or an error for a `LOKY_MAX_CPU_COUNT` that is not a number.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`].
pub(crate) fn checked() -> Result<usize> {
    Ok(System::this().logical(variable()?))
}

const MAX_CPU_COUNT_ENV: &str = "LOKY_MAX_CPU_COUNT";

/// The user's limit, if there is one.
fn variable() -> Result<Option<usize>> {
    std::env::var_os(MAX_CPU_COUNT_ENV).map_or(Ok(None), |value| parse(&value))
}

/// Parses the user's limit. A number that is too large for its type is valid.
fn parse(value: &OsStr) -> Result<Option<usize>> {
    match value.to_str().map(|text| text.trim().parse::<i64>()) {
        Some(Ok(number)) => Ok(usize::try_from(number.max(1)).ok()),
        Some(Err(error)) if *error.kind() == IntErrorKind::PosOverflow => Ok(None),
        Some(Err(error)) if *error.kind() == IntErrorKind::NegOverflow => Ok(Some(1)),
        Some(Err(_)) | None => {
            let value = value.to_string_lossy();
            let message =
                format!("`{MAX_CPU_COUNT_ENV}` must be a number, not `{}`", value.escape_debug());
            Err(Error::new(ErrorKind::InvalidConfig, message))
        }
    }
}
