//! The machine's CPUs, those of them that this process may run on, and the counts that come of it.

use std::num::NonZero;
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity};

use super::cpus::{self, Cpus};
use super::root::Root;
use super::{cgroup, topology};

/// What the counts are made of.
#[derive(Debug)]
pub(super) struct System {
    pub(super) root: Root,
    /// The CPUs that the calling thread may run on, as the system call says it: not where the machine has more of them than
    /// its mask has room for.
    pub(super) affinity: Option<Cpus>,
}

impl System {
    /// The one that this process runs on.
    pub(super) fn this() -> Self {
        Self { root: Root::new("/"), affinity: affinity() }
    }

    /// The CPUs that may be used, if the user allows so many.
    pub(super) fn logical(&self, user_limit: Option<usize>) -> usize {
        let counts = [self.online(), self.allowed()].into_iter().flatten().map(|cpus| cpus.len());
        // Neither system call nor files: std has more ways to ask.
        let count = counts.min().or_else(|| thread::available_parallelism().ok().map(NonZero::get));
        let limits = [count, cgroup::quota(&self.root), user_limit];
        limits.into_iter().flatten().min().unwrap_or(1).max(1)
    }

    /// The cores of these, if the user allows so many.
    pub(super) fn physical(&self, user_limit: Option<usize>) -> usize {
        let logical = self.logical(user_limit);
        let cpus = self.allowed().or_else(|| self.online());
        cpus.map_or(logical, |cpus| topology::cores(&self.root, &cpus).clamp(1, logical))
    }

    fn online(&self) -> Option<Cpus> {
        cpus::parse(&self.root.read("/sys/devices/system/cpu/online")?)
    }

    /// The CPUs that the calling thread may run on, of those that are online.
    fn allowed(&self) -> Option<Cpus> {
        self.affinity.clone().or_else(|| self.allowed_by_status())
    }

    /// The same by proc_pid_status(5), where CPUs that are offline belong to it.
    fn allowed_by_status(&self) -> Option<Cpus> {
        let status = self.root.read("/proc/thread-self/status")?;
        let mut lines = status.split(|byte| *byte == b'\n');
        let list = lines.find_map(|line| line.strip_prefix(b"Cpus_allowed_list:"))?;
        let allowed = cpus::parse(list)?;
        match self.online() {
            Some(online) => Some(&allowed & &online).filter(|cpus| !cpus.is_empty()),
            None => Some(allowed),
        }
    }
}

fn affinity() -> Option<Cpus> {
    let mask = sched_getaffinity(None).ok()?;
    let cpus: Cpus = (0..CpuSet::MAX_CPU).filter(|cpu| mask.is_set(*cpu)).collect();
    Some(cpus).filter(|cpus| !cpus.is_empty())
}
