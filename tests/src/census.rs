//! A census of a process: children, descriptors, threads, shared mappings; and what /proc tells of other processes.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::until;

/// A process, as /proc shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proc {
    /// Its number.
    pub pid: u32,
    /// `R`, `S`, `T`, `Z`, …
    pub state: char,
    /// Its parent's number.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// Its name, as prctl(2) set it.
    pub name: String,
}

/// Returns the process `pid`, if it exists.
#[must_use]
pub fn process(pid: u32) -> Option<Proc> {
    let stat = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?).into_owned();
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = tail.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    Some(Proc { pid, state, parent: number()?, group: number()?, session: number()?, name })
}

fn all() -> impl Iterator<Item = Proc> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| process(entry.ok()?.file_name().to_str()?.parse().ok()?))
}

/// Whether `pid` is there and no zombie.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    process(pid).is_some_and(|process| process.state != 'Z' && process.state != 'X')
}

/// The children of `parent`, zombies included.
#[must_use]
pub fn children_of(parent: u32) -> Vec<Proc> {
    all().filter(|process| process.parent == parent).collect()
}

/// The living processes of a session.
#[must_use]
pub fn processes_in_session(session: u32) -> Vec<Proc> {
    all().filter(|process| process.session == session && process.state != 'Z').collect()
}

/// The holdings of this process at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    children: Vec<String>,
    descriptors: BTreeSet<String>,
    threads: usize,
    shared_mappings: usize,
    shared_files: BTreeSet<String>,
}

impl Census {
    /// Counts.
    ///
    /// # Panics
    /// If /proc is not there.
    #[must_use]
    pub fn take() -> Self {
        let me = std::process::id();
        let children = children_of(me).into_iter();
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
        let is_shared = |line: &&str| line.contains("memfd:") || line.contains("/dev/shm");
        Self {
            children: children.map(|child| format!("{} {}", child.pid, child.name)).collect(),
            descriptors: descriptors(me),
            threads: threads(),
            shared_mappings: maps.lines().filter(is_shared).count(),
            shared_files: shared_files(),
        }
    }

    /// Insists that everything is as it was.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn assert_unchanged(&self) {
        // A thread that was joined is still listed until the kernel has taken it apart: join returns when its memory is
        // given up, which comes before. So threads have a moment; everything else has none.
        until("threads are gone", Duration::from_secs(5), || threads() <= self.threads);
        let now = Self::take();
        assert_eq!(&now, self, "something was left behind (left: now, right: before)");
    }
}

/// Returns the files of loky in `/dev/shm`. The semaphores of Python loky, which may run beside the tests, are left out.
#[must_use]
pub fn shared_files() -> BTreeSet<String> {
    let is_ours = |name: &String| name.contains("loky") && !name.starts_with("sem.");
    names("/dev/shm").filter(is_ours).collect()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("/proc").count()
}

/// The open descriptors of a process, with what they refer to.
fn descriptors(pid: u32) -> BTreeSet<String> {
    let folder = format!("/proc/{pid}/fd");
    names(&folder)
        .filter_map(|fd| {
            // The one that reads the folder is gone by now.
            let target = fs::read_link(format!("{folder}/{fd}")).ok()?;
            Some(format!("{fd} -> {}", target.display()))
        })
        .collect()
}

fn names(folder: &str) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
}
