//! The CPU time that cgroups allow this process. A hybrid system has both versions of cgroups at once.
//!
//! | | v1 | v2 |
//! |---|---|---|
//! | its line in `/proc/self/cgroup` | `4:cpu,cpuacct:/path` | `0::/path` |
//! | its mounts in `/proc/self/mountinfo` | type `cgroup` with the option `cpu` | type `cgroup2` |
//! | the quota of a folder | `cpu.cfs_quota_us`, `cpu.cfs_period_us` | `cpu.max`: both |
//! | no limit | quota -1 | quota `max` |
//!
//! A mount may show only a part of the hierarchy, below its root. That root is cut off the path of the cgroup, and the rest of the
//! path is a folder below the mount point. All folders from there up to the mount point count, since a limit holds for everything
//! below it. A process may lie outside of the root: its path leads out by `..` if it was moved into a container. Then that mount
//! is no limit.
//!
//! See cgroups(7), proc_pid_mountinfo(5), and the kernel's pages on cgroup v2 and on CFS bandwidth control.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::root::Root;

/// Returns the CPU time that the quotas allow, in whole CPUs rounded up: the least of this process's cgroup and all above it.
pub(super) fn quota(root: &Root) -> Option<usize> {
    let groups = root.read("/proc/self/cgroup")?;
    let groups: Vec<Group> = lines(&groups).filter_map(Group::parse).collect();
    let mounts = mounts(&root.read("/proc/self/mountinfo")?);
    let pairs = groups.iter().flat_map(|group| mounts.iter().map(move |mount| (group, mount)));
    let pairs = pairs.filter(|(group, mount)| Some(group.version) == mount.version);
    let folders = pairs.flat_map(|(group, mount)| {
        mount.folders(&group.path).into_iter().map(|folder| (group.version, folder))
    });
    folders.filter_map(|(version, folder)| version.quota(root, &folder)).min()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    /// The quota in the files of one folder.
    fn quota(self, root: &Root, folder: &Path) -> Option<usize> {
        match self {
            Self::V1 => {
                let quota = number(&root.read(folder.join("cpu.cfs_quota_us"))?)?;
                whole_cpus(quota, number(&root.read(folder.join("cpu.cfs_period_us"))?)?)
            }
            Self::V2 => {
                let text = root.read(folder.join("cpu.max"))?;
                let (quota, period) = std::str::from_utf8(&text).ok()?.trim().split_once(' ')?;
                whole_cpus(number(quota.as_bytes())?, number(period.as_bytes())?)
            }
        }
    }
}

/// A cgroup that this process is in, and that may have a quota.
#[derive(Debug)]
struct Group {
    version: Version,
    path: PathBuf,
}

impl Group {
    /// Parses one line of /proc/self/cgroup. The path may contain colons.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match (id, controllers) {
            (b"0", b"") => Version::V2,
            _ if has_cpu(controllers) => Version::V1,
            _ => return None,
        };
        Some(Self { version, path: OsString::from_vec(path.to_vec()).into() })
    }
}

/// A mount, with the fields that are needed here.
#[derive(Debug)]
struct Mount {
    /// The version of the cgroups that it shows. `None` for mounts of other things, and of cgroups without quotas.
    version: Option<Version>,
    /// The part of its file system that it shows.
    root: PathBuf,
    /// The path at which it is mounted.
    point: PathBuf,
}

impl Mount {
    /// Parses one line of /proc/self/mountinfo. Among its fields is a variable number of optional ones, up to a dash.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let (root, point) = (unescape(fields.nth(3)?), unescape(fields.next()?));
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, _source, options) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match kind {
            b"cgroup" if has_cpu(options) => Some(Version::V1),
            b"cgroup2" => Some(Version::V2),
            _ => None,
        };
        Some(Self { version, root, point })
    }

    /// The folders of the cgroup with this path, and of those above it, in this mount.
    fn folders(&self, path: &Path) -> Vec<PathBuf> {
        match path.strip_prefix(&self.root) {
            Ok(rest) if rest.components().all(|part| matches!(part, Component::Normal(_))) => {
                rest.ancestors().map(|folder| self.point.join(folder)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The visible mounts: of several at one point, the last one hides the others.
fn mounts(text: &[u8]) -> Vec<Mount> {
    let mut mounts = HashMap::new();
    for mount in lines(text).filter_map(Mount::parse) {
        mounts.insert(mount.point.clone(), mount);
    }
    mounts.into_values().collect()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// Whether `cpu` is one of these names, which commas separate.
fn has_cpu(names: &[u8]) -> bool {
    names.split(|byte| *byte == b',').any(|name| name == b"cpu")
}

/// Decodes a path of mountinfo. A byte that would end a field or line is a backslash and three octal digits there.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.first_chunk().filter(|_| *first == b'\\').and_then(octal);
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes).into()
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let value = digits.iter().try_fold(0, |value, digit| {
        matches!(digit, b'0'..=b'7').then(|| value * 8 + u16::from(digit - b'0'))
    })?;
    u8::try_from(value).ok()
}

/// Parses a number that is not negative, with white space around it. `max` and -1 give `None`, which is no limit.
fn number(text: &[u8]) -> Option<u64> {
    u64::from_str(std::str::from_utf8(text).ok()?.trim()).ok()
}

/// The number of CPUs whose time a quota is worth. The kernel accepts no 0 for either, so a 0 is no limit.
fn whole_cpus(quota: u64, period: u64) -> Option<usize> {
    if quota == 0 || period == 0 {
        return None;
    }
    usize::try_from(quota.div_ceil(period)).ok()
}
