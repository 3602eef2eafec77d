//! The CPUs of the machine, those that this process may run on, and the resulting counts.

use std::num::NonZero;
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity};

use super::cpus::{self, Cpus};
use super::root::Root;
use super::{cgroup, topology};

/// The sources of the counts.
#[derive(Debug)]
pub(super) struct System {
    pub(super) root: Root,
    /// The CPUs that the calling thread may run on, by the system call. `None` on a machine with more CPUs than its mask has bits.
    pub(super) affinity: Option<Cpus>,
}

impl System {
    /// The system that this process runs on.
    pub(super) fn this() -> Self {
        Self { root: Root::new("/"), affinity: affinity() }
    }

    /// The number of usable CPUs, at most `user_limit`.
    pub(super) fn logical(&self, user_limit: Option<usize>) -> usize {
        let counts = [self.online(), self.allowed()].into_iter().flatten().map(|cpus| cpus.len());
        // Without the system call and the files, std has other ways to find out.
        let count = counts.min().or_else(|| thread::available_parallelism().ok().map(NonZero::get));
        let limits = [count, cgroup::quota(&self.root), user_limit];
        limits.into_iter().flatten().min().unwrap_or(1).max(1)
    }

    /// The number of usable cores, at most `user_limit`.
    pub(super) fn physical(&self, user_limit: Option<usize>) -> usize {
        let logical = self.logical(user_limit);
        let cpus = self.allowed().or_else(|| self.online());
        cpus.map_or(logical, |cpus| topology::cores(&self.root, &cpus).clamp(1, logical))
    }

    fn online(&self) -> Option<Cpus> {
        cpus::parse(&self.root.read("/sys/devices/system/cpu/online")?)
    }

    /// The online CPUs that the calling thread may run on.
    fn allowed(&self) -> Option<Cpus> {
        self.affinity.clone().or_else(|| self.allowed_by_status())
    }

    /// Those CPUs by proc_pid_status(5), which lists offline CPUs too.
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
