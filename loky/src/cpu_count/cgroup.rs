//! The time on CPUs that cgroups leave this process, of both versions of cgroups, which a hybrid system has beside each other.
//!
//! | | v1 | v2 |
//! |---|---|---|
//! | its line in `/proc/self/cgroup` | `4:cpu,cpuacct:/path` | `0::/path` |
//! | its mounts in `/proc/self/mountinfo` | type `cgroup` with the option `cpu` | type `cgroup2` |
//! | what a folder says | `cpu.cfs_quota_us`, `cpu.cfs_period_us` | `cpu.max`: both |
//! | no limit | quota -1 | quota `max` |
//!
//! A mount may show a part of the hierarchy only, which begins at its root: that root is cut off the path, and what is left of
//! the path is looked for below the mount's point. All folders from there up to that point count, since a limit holds for
//! everything below. A process that is not below the root (its path leads out by `..`, for one that was moved into a container
//! from outside) cannot be found in that mount, which then says nothing.
//!
//! See cgroups(7), proc_pid_mountinfo(5), and the kernel's pages on cgroup v2 and on CFS bandwidth control.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::root::Root;

/// How many CPUs' time the quotas leave, rounded up: the least of this process's cgroup and all above it.
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
    /// What the files of one folder say.
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
    /// One line of /proc/self/cgroup. The path may have colons in it.
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

/// A mount, as far as it matters here.
#[derive(Debug)]
struct Mount {
    /// Of cgroups that may have quotas; `None` for everything else.
    version: Option<Version>,
    /// Which part of its file system it shows.
    root: PathBuf,
    /// Where it is mounted.
    point: PathBuf,
}

impl Mount {
    /// One line of /proc/self/mountinfo: among its fields a variable number of optional ones, up to a dash.
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

    /// Where this mount shows the cgroup with this path, and those above it.
    fn folders(&self, path: &Path) -> Vec<PathBuf> {
        match path.strip_prefix(&self.root) {
            Ok(rest) if rest.components().all(|part| matches!(part, Component::Normal(_))) => {
                rest.ancestors().map(|folder| self.point.join(folder)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The mounts that are not hidden: of those at one point, the last one is on top.
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

/// Whether `cpu` is among what these commas separate.
fn has_cpu(names: &[u8]) -> bool {
    names.split(|byte| *byte == b',').any(|name| name == b"cpu")
}

/// A path of mountinfo, which has three octal digits behind a backslash for a byte that would end a field or line.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.first_chunk().filter(|_| *first == b'\\').and_then(octal);
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &behind[3..] } else { behind };
    }
    OsString::from_vec(bytes).into()
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let value = digits.iter().try_fold(0, |value, digit| {
        matches!(digit, b'0'..=b'7').then(|| value * 8 + u16::from(digit - b'0'))
    })?;
    u8::try_from(value).ok()
}

/// A number that is not negative, with white space around it. `max` and -1 are none.
fn number(text: &[u8]) -> Option<u64> {
    u64::from_str(std::str::from_utf8(text).ok()?.trim()).ok()
}

/// The CPUs that have so much time together. The kernel takes neither 0, so with one of these it is no limit.
fn whole_cpus(quota: u64, period: u64) -> Option<usize> {
    if quota == 0 || period == 0 {
        return None;
    }
    usize::try_from(quota.div_ceil(period)).ok()
}
