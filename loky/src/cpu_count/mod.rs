//! How many CPUs this process may use, which is how many workers are worth having.
//!
//! | file | |
//! |---|---|
//! | [`system`] | the machine's CPUs, those that the affinity leaves, and what they come to |
//! | [`cgroup`] | the time on them that cgroups leave |
//! | [`topology`] | which of them are one core |
//! | [`cpus`] | sets of them, as the kernel writes them |
//! | [`root`] | reading what the kernel says |
//!
//! What it must never do: fail, or count less, because a file is absent, unreadable, or holds what nobody expects; such a
//! file limits nothing. Only a limit that the user himself has set and misspelt is an error, for those who ask for it
//! ([`checked`]). Nothing is remembered: limits change while a process runs.
//!
//! How it is tested: in `tests.rs` on folders that stand for `/`, and in `tests/it/cpu_count.rs` by a process that is really
//! limited.

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

/// How many CPUs this process may use: at least 1.
///
/// It is the least of
/// - the CPUs of the machine that are online;
/// - those that the calling thread may run on, which threads and processes inherit: see [sched_getaffinity(2)];
/// - the quotas of the process's own cgroup and of all above it, rounded up, which is how containers are limited: `cpu.max`
///   of [cgroup v2], `cpu.cfs_quota_us` of [cgroup v1]; see [cgroups(7)];
/// - `LOKY_MAX_CPU_COUNT` in the environment, where 0 and less mean 1.
///
/// Each call looks afresh, which takes a few small files in `/proc` and `/sys`. One that cannot be read or makes no sense is no
/// limit. Neither is a `LOKY_MAX_CPU_COUNT` that is no number, since this function cannot fail; building an executor reports it
/// as [`ErrorKind::InvalidConfig`].
///
/// ```
/// let cpus = loky::cpu_count();
/// // One CPU is left to whoever waits for the results.
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

/// How many physical cores this process may use: at least 1, and at most [`cpu_count`].
///
/// For work that gains nothing from the second thread of a core, since it waits for memory or for the floating point units.
///
/// It counts the cores, over all sockets, that have at least one of the CPUs that the process may run on, and is limited by
/// cgroups and `LOKY_MAX_CPU_COUNT` as [`cpu_count`] is. So a limit of 6 on a machine of 4 cores with two threads each gives 4.
/// The cores are those of `/sys/devices/system/cpu/cpu*/topology`; see the kernel's page on [CPU topology]. A CPU of which that
/// says nothing counts as a core.
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

/// As [`cpu_count`], for those who can report that `LOKY_MAX_CPU_COUNT` is no number.
pub(crate) fn checked() -> Result<usize> {
    Ok(System::this().logical(variable()?))
}

const MAX_CPU_COUNT_ENV: &str = "LOKY_MAX_CPU_COUNT";

/// The user's own limit, if there is one.
fn variable() -> Result<Option<usize>> {
    std::env::var_os(MAX_CPU_COUNT_ENV).map_or(Ok(None), |value| parse(&value))
}

/// A number that is too large for its type is a number all the same.
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
