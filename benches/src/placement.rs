//! Where the caller and those that it calls run, which can make a difference of ten times and more.
//!
//! | placement | caller | workers, echo processes, pool threads | beside them |
//! |---|---|---|---|
//! | `unpinned` | anywhere | anywhere | |
//! | `same-core` | first CPU | first CPU | |
//! | `two-cores` | first CPU | second CPU | |
//! | `hogs` | anywhere | anywhere | two CPU hogs |
//!
//! Threads and processes inherit the CPUs of who starts them. So this thread goes to the caller's CPU before anything is
//! started; what belongs to the other side is started while this thread is over there ([`Place::on_other_side`]), or, where
//! a thread of the library starts it, moved afterwards ([`Place::move_worker`]).

use std::fs;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;
use crate::hogs::Hog;

/// Which CPUs the two sides may use, and with whom they share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// As the system likes.
    Unpinned,
    /// Both sides on one CPU.
    SameCore,
    /// Each side on a CPU of its own.
    TwoCores,
    /// As the system likes, beside two processes that spin.
    Hogs,
}

impl Placement {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unpinned, Self::SameCore, Self::TwoCores, Self::Hogs];

    /// Its name, in the table and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unpinned => "unpinned",
            Self::SameCore => "same-core",
            Self::TwoCores => "two-cores",
            Self::Hogs => "hogs",
        }
    }

    /// Goes to the caller's side, until the [`Place`] is dropped.
    ///
    /// # Errors
    /// There are not enough CPUs, or the system says no.
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

/// The set of the `n`th of these CPUs alone.
fn nth(cpus: &CpuSet, n: usize) -> Result<CpuSet> {
    let cpu = (0..CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu)).nth(n);
    let cpu = cpu.ok_or("this placement needs more CPUs than this process may use")?;
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(set)
}

/// A placement that is in force.
#[derive(Debug)]
pub struct Place {
    before: CpuSet,
    caller: CpuSet,
    other: CpuSet,
    _hogs: Vec<Hog>,
}

impl Place {
    /// Runs `start` on the CPU of those that are called, so that what it starts is there.
    ///
    /// # Errors
    /// That of `start`, or the system says no.
    pub fn on_other_side<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        sched_setaffinity(None, &self.other)?;
        let started = start();
        sched_setaffinity(None, &self.caller)?;
        started
    }

    /// Moves a worker, with all its threads, to the CPU of those that are called.
    ///
    /// # Errors
    /// It is gone, or the system says no.
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
    fn two_cores_are_two_and_end() {
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
