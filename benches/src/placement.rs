//! The CPUs of the caller and of the other side, which can change a result by a factor of ten and more.
//!
//! | placement | caller | workers, echo processes, pool threads | other load |
//! |---|---|---|---|
//! | `unpinned` | any CPU | any CPU | |
//! | `same-core` | first CPU | first CPU | |
//! | `two-cores` | first CPU | second CPU | |
//! | `hogs` | any CPU | any CPU | two CPU hogs |
//!
//! Threads and processes inherit the CPUs of the thread that starts them. So this thread moves to the caller's CPU first. It moves
//! to the other CPU to start the other side ([`Place::on_other_side`]). Workers, which the pool thread starts, are moved afterwards
//! ([`Place::move_worker`]).

use std::fs;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;
use crate::hogs::Hog;

/// The CPUs that the two sides may use, and the load that they share them with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Any CPU for both sides.
    Unpinned,
    /// Both sides on one CPU.
    SameCore,
    /// Each side on a CPU of its own.
    TwoCores,
    /// Any CPU for both sides, beside two processes that spin.
    Hogs,
}

impl Placement {
    /// All placements.
    pub const ALL: [Self; 4] = [Self::Unpinned, Self::SameCore, Self::TwoCores, Self::Hogs];

    /// Returns the name in the table and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unpinned => "unpinned",
            Self::SameCore => "same-core",
            Self::TwoCores => "two-cores",
            Self::Hogs => "hogs",
        }
    }

    /// Moves this thread to the caller's CPU, until the [`Place`] is dropped.
    ///
    /// # Errors
    /// There are not enough CPUs, or the system call fails.
    pub fn enter(self) -> Result<Place> {
        let before = sched_getaffinity(None)?;
        let (caller, other) = match self {
            Self::Unpinned | Self::Hogs => (before, before),
            Self::SameCore => (nth(&before, 0)?, nth(&before, 0)?),
            Self::TwoCores => (nth(&before, 0)?, nth(&before, 1)?),
        };
        let hogs = if self == Self::Hogs { vec![Hog::start()?, Hog::start()?] } else { Vec::new() };
        sched_setaffinity(None, &caller)?;
        Ok(Place { before, caller, other, _hogs: hogs })
    }
}

/// Returns a set with only the `n`th of these CPUs.
fn nth(cpus: &CpuSet, n: usize) -> Result<CpuSet> {
    let cpu = (0..CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu)).nth(n);
    let cpu = cpu.ok_or("this placement needs more CPUs than this process may use")?;
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(set)
}

/// A placement in force.
#[derive(Debug)]
pub struct Place {
    before: CpuSet,
    caller: CpuSet,
    other: CpuSet,
    _hogs: Vec<Hog>,
}

impl Place {
    /// Runs `start` on the CPU of the other side, so that processes and threads that it starts stay there.
    ///
    /// # Errors
    /// The error of `start`, or the system call fails.
    pub fn on_other_side<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        sched_setaffinity(None, &self.other)?;
        let started = start();
        sched_setaffinity(None, &self.caller)?;
        started
    }

    /// Moves a worker with all its threads to the CPU of the other side.
    ///
    /// # Errors
    /// The worker has exited, or the system call fails.
    pub fn move_worker(&self, pid: u32) -> Result<()> {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let id: i32 = task?.file_name().to_string_lossy().parse()?;
            sched_setaffinity(Pid::from_raw(id), &self.other)?;
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus_here() -> Vec<usize> {
        let set = sched_getaffinity(None).expect("this thread's CPUs");
        (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
    }

    #[test]
    fn two_cores_placement_uses_two_cpus_until_dropped() {
        let before = cpus_here();
        if before.len() < 2 {
            assert!(Placement::TwoCores.enter().is_err());
            return;
        }
        let place = Placement::TwoCores.enter().expect("two CPUs");
        assert_eq!(cpus_here(), before[..1]);
        let other = place.on_other_side(|| Ok(cpus_here())).expect("the second CPU");
        assert_eq!((other, cpus_here()), (before[1..2].to_vec(), before[..1].to_vec()));
        drop(place);
        assert_eq!(cpus_here(), before);
    }
}
