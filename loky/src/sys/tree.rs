//! The processes below a worker, its session and its descendants: found by scans of /proc, and killed. See proc_pid_stat(5).
//!
//! A worker leads a session. A process that its tasks start belongs to that session, descends from the worker, or both. One kind
//! is not found, as the documentation says: a process in a session of its own whose parent has exited.
//!
//! A process is identified by number and start time, so none that got its number later is killed. Unit tests are at the end of
//! this file; storms in the package `tests` count the surviving processes.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use rustix::process::{Pid, Signal};

use super::child::open_pidfd;
use super::poll::PollSet;
use super::reserve::Reserve;
use crate::{clock, limits};

/// The fields of /proc/PID/stat that show to which family a process belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    state: u8,
    parent: u32,
    session: u32,
    n_threads: u32,
    /// The start time, which differs from that of a later process with this number.
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in parentheses may contain any character, so the fields begin after the last parenthesis.
    fn parse(pid: u32, line: &[u8]) -> Option<Self> {
        let fields_begin = line.iter().rposition(|byte| *byte == b')')? + 1;
        let rest = std::str::from_utf8(line.get(fields_begin..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let _group = fields.next()?;
        let session = fields.next()?.parse().ok()?;
        let n_threads = fields.nth(13)?.parse().ok()?;
        let started = fields.nth(1)?.parse().ok()?;
        Some(Self { pid, state, parent, session, n_threads, started })
    }

    /// A process also has state Z if only its main thread has ended.
    fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x') || self.n_threads > 1
    }
}

/// Lists all processes.
fn processes() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Stat::read)
        .collect()
}

/// Some processes, the roots, and the means to find the processes below them.
struct Family {
    /// The roots. They are not members.
    roots: HashSet<u32>,
    /// The sessions of the roots, and of members that lead one: these sessions are still found after their leader has exited.
    sessions: HashSet<u32>,
}

impl Family {
    fn of(roots: &[u32]) -> Self {
        let roots: HashSet<_> = roots.iter().copied().collect();
        Self { sessions: roots.clone(), roots }
    }

    /// Returns the members, including zombies: the processes in these sessions, and the descendants of the roots.
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

    /// Kills all present members, and returns the last one; `None` if there were none.
    fn kill_members(&mut self) -> Option<Killed> {
        let members = self.members(&processes());
        let leaders = members.iter().filter(|member| member.pid == member.session);
        self.sessions.extend(leaders.map(|leader| leader.pid));
        let mut killed = None;
        for member in members.into_iter().filter(Stat::is_alive) {
            drop(killed.take()); // The process may have no other free descriptor.
            killed = Some(Killed { pidfd: kill(member) });
        }
        killed
    }
}

/// A killed process, with its pidfd if it can be waited for.
struct Killed {
    pidfd: Option<OwnedFd>,
}

/// Kills the processes below `roots`, but not the roots.
///
/// The roots are alive or unreaped, so that no foreign session can have one of their numbers. A caller that is not sure asks
/// [`is_free`].
pub(crate) fn kill_below(roots: &[u32], reserve: &mut Reserve) {
    if !roots.is_empty() {
        reserve.lend(|| kill_until_none_is_found(Family::of(roots)));
    }
}

/// Kills `roots` by `kill_roots`, and the processes below them.
///
/// The processes below go first, because a descendant in a session of its own is not found once its ancestors have exited. If this
/// process exits in between, the roots finish the work themselves. So they must not be stopped meanwhile.
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

/// Kills until a scan finds no member. So a process that forks meanwhile does not escape, and the members are dead when this
/// returns, except those that take longer than [`limits::KILL_SCANS`] to die.
fn kill_until_none_is_found(mut family: Family) {
    let deadline = clock::deadline(Some(limits::KILL_SCANS));
    while let Some(killed) = family.kill_members() {
        if deadline.is_some_and(|deadline| deadline <= clock::now()) {
            return;
        }
        wait_for_death(killed);
    }
}

/// Waits a moment for one killed process. The next scan finds the others.
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

/// Kills the process of `stat`, unless another process has its number now. Returns its pidfd, if there is one.
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
    fn stat_with_parentheses_in_name_is_parsed() {
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
    fn members_are_sessions_and_descendants() {
        let all = [
            stat(1, 0, 1),
            stat(10, 1, 10),  // the root
            stat(11, 10, 10), // its child
            stat(12, 11, 12), // a grandchild in a session of its own
            stat(13, 1, 10),  // an orphan of the session
            stat(20, 1, 20),  // an unrelated process
            Stat { state: b'Z', ..stat(14, 10, 10) },
        ];
        let pids = |family: &Family| {
            family.members(&all).into_iter().map(|stat| stat.pid).collect::<Vec<_>>()
        };
        assert_eq!(pids(&Family::of(&[10])), [11, 12, 13, 14]);
    }

    #[test]
    fn orphaned_session_is_still_a_member() {
        let mut family = Family::of(&[10]);
        family.sessions.insert(12);
        let dying = [stat(1, 0, 1), stat(12, 1, 12), stat(15, 12, 12), stat(20, 1, 20)];
        let found: Vec<_> = family.members(&dying).into_iter().map(|stat| stat.pid).collect();
        assert_eq!(found, [12, 15]);
        assert!(Family::of(&[10]).members(&dying).is_empty());
    }

    #[test]
    fn scan_finds_this_process() {
        let me = Stat::read(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(processes().iter().any(|stat| stat.pid == me.pid));
    }
}
