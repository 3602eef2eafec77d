//! Sets of CPUs, and the kernel's list format for them: `0-3,8`. See "List format" in cpuset(7).

use std::collections::BTreeSet;

use crate::limits;

/// CPUs, by their numbers.
pub(super) type Cpus = BTreeSet<usize>;

/// Parses a list. `None` if it is empty, or not a list of ascending numbers, as the kernel writes them.
pub(super) fn parse(list: &[u8]) -> Option<Cpus> {
    let mut cpus = Cpus::new();
    for range in std::str::from_utf8(list).ok()?.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        let is_ascending = first <= last && cpus.last().is_none_or(|highest| *highest < first);
        if !is_ascending || last >= limits::MAX_CPUS {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}
