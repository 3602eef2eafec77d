//! What hangs below a worker: its session and its descendants, found by a scan of /proc. See proc_pid_stat(5).
//!
//! A worker leads a session of its own; what its tasks start belongs to that session, or descends from the worker, or
//! both. Not found, and documented so: a process in a session of its own whose parent is dead already.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use rustix::process::{Pid, Signal};

use super::child::open_pidfd;
use super::poll::PollSet;
use super::reserve::Reserve;
use crate::{clock, limits};

/// One line of /proc/PID/stat, as far as it says who belongs to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    state: u8,
    parent: u32,
    session: u32,
    n_threads: u32,
    /// When it was started, which tells it from a later one of the same number.
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in brackets may hold anything, brackets and spaces included: what counts comes after the last one.
    fn parse(pid: u32, line: &[u8]) -> Option<Self> {
        let behind_name = line.iter().rposition(|byte| *byte == b')')? + 1;
        let rest = std::str::from_utf8(line.get(behind_name..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let _group = fields.next()?;
        let session = fields.next()?.parse().ok()?;
        let n_threads = fields.nth(13)?.parse().ok()?;
        let started = fields.nth(1)?.parse().ok()?;
        Some(Self { pid, state, parent, session, n_threads, started })
    }

    /// One whose main thread alone has ended looks like a zombie too.
    fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x') || self.n_threads > 1
    }
}

fn processes() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Stat::read)
        .collect()
}

/// Some processes, and how to find what belongs to them.
struct Family {
    /// They are not looked for themselves.
    roots: HashSet<u32>,
    /// Theirs, and those of members that have one of their own, which would be lost from sight with them.
    sessions: HashSet<u32>,
}

impl Family {
    fn of(roots: &[u32]) -> Self {
        let roots: HashSet<_> = roots.iter().copied().collect();
        Self { sessions: roots.clone(), roots }
    }

    /// The members, dead ones that are not reaped included: in these sessions, or descended from the roots. Not the roots
    /// themselves.
    fn members(&self, all: &[Stat]) -> Vec<Stat> {
        let mut members = self.roots.clone();
        loop {
            let before = members.len();
            for stat in all {
                if self.sessions.contains(&stat.session) || members.contains(&stat.parent) {
                    members.insert(stat.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        let belongs = |stat: &&Stat| members.contains(&stat.pid) && !self.roots.contains(&stat.pid);
        all.iter().filter(belongs).copied().collect()
    }

    /// Kills the members that are there now. The last of those that were.
    fn kill_members(&mut self) -> Option<Killed> {
        let members = self.members(&processes());
        let leaders = members.iter().filter(|member| member.pid == member.session);
        self.sessions.extend(leaders.map(|leader| leader.pid));
        let mut killed = None;
        for member in members.into_iter().filter(Stat::is_alive) {
            drop(killed.take()); // Its descriptor may be the last that is to be had.
            killed = Some(Killed { pidfd: kill(member) });
        }
        killed
    }
}

/// A process that was told to die, if it can be waited for.
struct Killed {
    pidfd: Option<OwnedFd>,
}

/// Kills what belongs to `roots`, but not the roots themselves.
///
/// The caller keeps the roots' numbers taken (alive or unreaped), so that no stranger can have one of them as its session;
/// one that is not sure asks [`is_free`].
pub(crate) fn kill_below(roots: &[u32], reserve: &mut Reserve) {
    if !roots.is_empty() {
        reserve.lend(|| kill_until_none_is_found(Family::of(roots)));
    }
}

/// Kills `roots`, which is done by `kill_roots`, with what belongs to them.
///
/// What belongs to them goes first: a descendant in a session of its own is lost from sight when they are gone. And as long as
/// they live they see to it themselves if this process ends in the middle of this (so they must not be stopped meanwhile).
pub(crate) fn kill_with(roots: &[u32], reserve: &mut Reserve, kill_roots: impl FnOnce()) {
    if roots.is_empty() {
        return;
    }
    reserve.lend(|| {
        let mut family = Family::of(roots);
        family.kill_members();
        kill_roots();
        kill_until_none_is_found(family);
    });
}

/// Repeated until a scan finds nobody: a process that forks meanwhile does not get away, and one that was killed is dead when
/// this returns, unless it takes too long to die.
fn kill_until_none_is_found(mut family: Family) {
    let deadline = clock::deadline(Some(limits::KILL_SCANS));
    while let Some(killed) = family.kill_members() {
        if deadline.is_some_and(|deadline| deadline <= clock::now()) {
            return;
        }
        wait_for_death(killed);
    }
}

/// Waits a moment for one of those that were killed; the next scan looks for the others.
fn wait_for_death(killed: Killed) {
    match killed.pidfd {
        Some(pidfd) => {
            let mut set = PollSet::default();
            set.add(pidfd.as_fd(), true, false);
            let _ = set.wait(clock::now(), clock::deadline(Some(limits::KILL_SCAN_PAUSE)));
        }
        None => thread::park_timeout(limits::KILL_SCAN_PAUSE),
    }
}

/// Whether no living process has this number.
pub(crate) fn is_free(pid: u32) -> bool {
    Stat::read(pid).is_none_or(|stat| !stat.is_alive())
}

/// Kills the process that `stat` was read of, unless its number has passed to another since. Its pidfd, if there is one.
fn kill(stat: Stat) -> Option<OwnedFd> {
    let pid = i32::try_from(stat.pid).ok().and_then(Pid::from_raw)?;
    let pidfd = open_pidfd(pid);
    let is_same =
        Stat::read(stat.pid).is_some_and(|now| now.started == stat.started && now.is_alive());
    if !is_same {
        return None;
    }
    let _ = match &pidfd {
        Some(pidfd) => rustix::process::pidfd_send_signal(pidfd, Signal::KILL),
        None => rustix::process::kill_process(pid, Signal::KILL),
    };
    pidfd
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: u32, parent: u32, session: u32) -> Stat {
        Stat { pid, state: b'S', parent, session, n_threads: 1, started: 1 }
    }

    #[test]
    fn the_name_may_hold_anything() {
        let line = b"12 (a) b (c)) R 3 4 5 0 -1 6 7 8 9 10 11 12 13 14 15 16 17 0 99 18 19";
        assert_eq!(
            Stat::parse(12, line),
            Some(Stat { pid: 12, state: b'R', parent: 3, session: 5, n_threads: 17, started: 99 })
        );
        for cut in 0..line.len() - b"99 18 19".len() {
            assert_eq!(Stat::parse(12, &line[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn sessions_and_descendants_belong() {
        let all = [
            stat(1, 0, 1),
            stat(10, 1, 10),  // the root
            stat(11, 10, 10), // its child
            stat(12, 11, 12), // a grandchild in a session of its own
            stat(13, 1, 10),  // an orphan of the session
            stat(20, 1, 20),  // a stranger
            Stat { state: b'Z', ..stat(14, 10, 10) },
        ];
        let pids = |family: &Family| {
            family.members(&all).into_iter().map(|stat| stat.pid).collect::<Vec<_>>()
        };
        assert_eq!(pids(&Family::of(&[10])), [11, 12, 13, 14]);
    }

    #[test]
    fn one_that_was_killed_is_looked_for_until_it_is_dead_also_when_its_parent_is_gone() {
        let mut family = Family::of(&[10]);
        family.sessions.insert(12);
        let dying = [stat(1, 0, 1), stat(12, 1, 12), stat(15, 12, 12), stat(20, 1, 20)];
        let found: Vec<_> = family.members(&dying).into_iter().map(|stat| stat.pid).collect();
        assert_eq!(found, [12, 15]);
        assert!(Family::of(&[10]).members(&dying).is_empty());
    }

    #[test]
    fn this_process_is_found() {
        let me = Stat::read(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(processes().iter().any(|stat| stat.pid == me.pid));
    }
}
