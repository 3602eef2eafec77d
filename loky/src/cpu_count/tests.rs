//! Counts on folders that stand for `/`, with the kernel's files of many settings, and with malformed ones.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::cpus::Cpus;
use super::root::Root;
use super::*;
use crate::limits;
use fastrand::Rng;

/// A folder that stands for `/`, removed at the end of the test.
struct Tree {
    path: PathBuf,
}

impl Tree {
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("loky-cpu-count-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // A process with this pid, killed earlier, may have left it.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    fn file(self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> Self {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// A machine with these cores, each a list of CPUs.
    fn machine(self, cores: &[&str]) -> Self {
        let cores: Vec<_> = cores.iter().map(|list| cpus(list)).collect();
        let all: Cpus = cores.iter().flatten().copied().collect();
        let all: Vec<_> = all.iter().map(usize::to_string).collect();
        let mut tree = self.file("sys/devices/system/cpu/online", all.join(",") + "\n");
        for core in &cores {
            let list: Vec<_> = core.iter().map(usize::to_string).collect();
            for cpu in core {
                tree = tree.topology(*cpu, "core_cpus_list", &(list.join(",") + "\n"));
            }
        }
        tree
    }

    fn topology(self, cpu: usize, name: &str, text: &str) -> Self {
        self.file(format!("sys/devices/system/cpu/cpu{cpu}/topology/{name}"), text)
    }

    /// The files with the cgroups of this process and the mounts.
    fn cgroups(self, groups: &[&str], mounts: &[&str]) -> Self {
        let text = |lines: &[&str]| lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
        self.file("proc/self/cgroup", text(groups)).file("proc/self/mountinfo", text(mounts))
    }

    /// A container with its own cgroups of version 2, and this limit.
    fn limited(self, cpu_max: &str) -> Self {
        self.cgroups(&["0::/"], &[V2]).file("sys/fs/cgroup/cpu.max", cpu_max)
    }

    /// The quota of a folder of cgroup v1.
    fn v1(self, folder: &str, quota: &str, period: &str) -> Self {
        self.file(format!("{folder}/cpu.cfs_quota_us"), quota)
            .file(format!("{folder}/cpu.cfs_period_us"), period)
    }

    fn root(&self) -> Root {
        Root::new(&self.path)
    }

    fn quota(&self) -> Option<usize> {
        cgroup::quota(&self.root())
    }

    /// The logical and the physical count for a process that may run on these CPUs.
    fn counts(&self, affinity: Option<&str>, user_limit: Option<usize>) -> (usize, usize) {
        let system = System { root: self.root(), affinity: affinity.map(cpus) };
        (system.logical(user_limit), system.physical(user_limit))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[track_caller]
fn cpus(list: &str) -> Cpus {
    cpus::parse(list.as_bytes()).unwrap()
}

/// The usual mounts of cgroup v2 and of the controller `cpu` of v1.
const V2: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
const V1: &str =
    "33 25 0:28 / /sys/fs/cgroup/cpu rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct";

#[test]
fn test_cpu_count() {
    for _ in 0..2 {
        let (logical, physical) = (cpu_count(), physical_cpu_count());
        assert!(1 <= physical && physical <= logical, "{physical} {logical}");
        assert_eq!(checked().unwrap(), logical);
    }
    let machine = Tree::new().machine(&["0,2", "1,3"]);
    assert_eq!(machine.counts(None, None), (4, 2));
    assert_eq!(machine.counts(Some("0,1"), None), (2, 2));
    assert_eq!(machine.counts(Some("1,3"), None), (2, 1));
    assert_eq!(machine.counts(Some("0-3"), None), (4, 2));
}

#[test]
fn test_cpu_count_cgroup_limit() {
    for (cpu_max, quota) in [
        ("50000 100000\n", Some(1)),
        ("100000 100000\n", Some(1)),
        ("150000 100000\n", Some(2)),
        ("200000 100000\n", Some(2)),
        ("200001 100000\n", Some(3)),
        ("1 18446744073709551615\n", Some(1)),
        ("max 100000\n", None),
    ] {
        let tree = Tree::new().machine(&["0", "1", "2", "3"]).limited(cpu_max);
        assert_eq!(tree.quota(), quota, "{cpu_max:?}");
        let count = quota.unwrap_or(4);
        assert_eq!(tree.counts(None, None), (count, count), "{cpu_max:?}");
    }
    let roomy = Tree::new().machine(&["0", "1"]).limited("800000 100000\n");
    assert_eq!(roomy.counts(None, None), (2, 2));
}

#[test]
fn test_only_physical_cores_with_user_limitation() {
    let tree = Tree::new().machine(&["0,4", "1,5", "2,6", "3,7"]);
    for (user_limit, counts) in
        [(1, (1, 1)), (3, (3, 3)), (6, (6, 4)), (8, (8, 4)), (usize::MAX, (8, 4)), (0, (1, 1))]
    {
        assert_eq!(tree.counts(None, Some(user_limit)), counts, "{user_limit}");
    }
    assert_eq!(tree.counts(Some("0,1,4"), Some(6)), (3, 2));
    let tree = tree.limited("150000 100000");
    assert_eq!(tree.counts(None, Some(6)), (2, 2));
    assert_eq!(tree.counts(Some("0,4"), Some(6)), (2, 1));
}

#[test]
fn test_only_physical_cores_error() {
    let mut tree = Tree::new().file("sys/devices/system/cpu/online", "0-4");
    assert_eq!(tree.counts(None, None), (5, 5), "no topology");
    for (cpu, list) in ["", "2-3", "x", "4294967296-0"].iter().enumerate() {
        tree = tree.topology(cpu, "core_cpus_list", list);
    }
    assert_eq!(tree.counts(None, None), (5, 5), "all are malformed");
    let tree = tree.topology(0, "core_cpus_list", "0-1").topology(1, "core_cpus_list", "0-1");
    assert_eq!(tree.counts(None, None), (5, 4), "of two CPUs only");
}

#[test]
fn test_cpu_count_cgroup_invalid_content() {
    for text in [
        "",
        "\n",
        "max",
        "max\n",
        "max max",
        "100000",
        "100000 ",
        " 100000",
        "100000 0",
        "0 100000",
        "0 0",
        "-1 100000",
        "100000 -100000",
        "1.5 1",
        "100000 100000 100000",
        "99999999999999999999 100000",
        "100000 99999999999999999999",
        "garbage",
        "\0\0 \0",
        "١ ١",
    ] {
        let tree = Tree::new().machine(&["0", "1,2"]).limited(text);
        assert_eq!(tree.quota(), None, "{text:?}");
        assert_eq!(tree.counts(None, None), (3, 2), "{text:?}");
    }
    for text in ["", "\n", "max", "-5", "1.5", "1 1", "99999999999999999999", "garbage", "\0"] {
        for (quota, period) in [(text, "100000"), ("100000", text)] {
            let tree = Tree::new().cgroups(&["1:cpu:/"], &[V1]);
            let tree = tree.v1("sys/fs/cgroup/cpu", quota, period);
            assert_eq!(tree.quota(), None, "{quota:?} {period:?}");
        }
    }
    let tree = Tree::new().machine(&["0", "1,2"]).limited("max");
    let tree = tree.file("sys/fs/cgroup/cpu.max", [b'1', b' ', 0xff]);
    assert_eq!(tree.counts(None, None), (3, 2));
}

#[test]
fn quota_beyond_machine_is_no_limit() {
    let tree = Tree::new().machine(&["0", "1"]).limited("18446744073709551615 1");
    assert_eq!(tree.quota(), usize::try_from(u64::MAX).ok());
    assert_eq!(tree.counts(None, None), (2, 2));
}

#[test]
fn least_quota_of_all_ancestors_counts() {
    let path = "sys/fs/cgroup/kube.slice/pod.slice";
    let tree = |inner: &str, middle: &str, outer: &str| {
        Tree::new()
            .cgroups(&["0::/kube.slice/pod.slice/x.scope"], &[V2])
            .file(format!("{path}/x.scope/cpu.max"), inner)
            .file(format!("{path}/cpu.max"), middle)
            .file("sys/fs/cgroup/kube.slice/cpu.max", outer)
            .file("sys/fs/cgroup/other.slice/cpu.max", "1 1")
            .file(format!("{path}/x.scope/below/cpu.max"), "1 1")
            .file("sys/fs/cpu.max", "1 1")
    };
    assert_eq!(tree("400000 100000", "max 100000", "250000 100000").quota(), Some(3));
    assert_eq!(tree("max 100000", "150000 100000", "max 100000").quota(), Some(2));
    assert_eq!(tree("700000 100000", "garbage", "800000 100000").quota(), Some(7));
    assert_eq!(tree("max 100000", "max 100000", "max 100000").quota(), None);
}

#[test]
fn folder_without_quota_file_does_not_hide_ancestors() {
    let tree = Tree::new().cgroups(&["0::/a/gone/b"], &[V2]);
    let tree = tree.file("sys/fs/cgroup/a/cpu.max", "200000 100000");
    assert_eq!(tree.quota(), Some(2));
}

#[test]
fn v1_quota_comes_from_two_files() {
    let folder = "sys/fs/cgroup/cpu/docker/1";
    for (quota, period, expected) in [
        ("-1\n", "100000\n", None),
        ("50000\n", "100000\n", Some(1)),
        ("150000\n", "100000\n", Some(2)),
        ("150000\n", "0\n", None),
        ("0\n", "100000\n", None),
        ("9223372036854775808\n", "9223372036854775808\n", Some(1)),
    ] {
        for controllers in ["cpu,cpuacct", "cpuacct,cpu", "cpu"] {
            let group = format!("4:{controllers}:/docker/1");
            let mount = V1.replace("cpu,cpuacct", controllers);
            let tree = Tree::new().cgroups(&["3:cpuset:/other", &group], &[&mount]);
            let tree = tree.v1(folder, quota, period).v1("sys/fs/cgroup/cpu", "-1", "100000");
            assert_eq!(tree.quota(), expected, "{quota} {period} {controllers}");
        }
    }
    let tree = Tree::new().cgroups(&["4:cpu:/"], &[V1]);
    let tree = tree.file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000");
    assert_eq!(tree.quota(), None, "no period");
}

#[test]
fn controller_with_longer_name_is_not_cpu() {
    let mounts =
        ["1 0 0:1 / /a rw - cgroup cgroup rw,cpuacct", "2 0 0:1 / /b rw - cgroup c rw,cpuset"];
    let tree = Tree::new().cgroups(&["1:cpuacct:/", "2:cpuset:/", "3:cpu:/"], &mounts);
    let tree = tree.v1("a", "100000", "100000").v1("b", "100000", "100000");
    assert_eq!(tree.quota(), None);
}

#[test]
fn root_of_mount_is_cut_off_path() {
    // A container that shares the cgroups of its host, and sees its own part of them only.
    let mount = V1.replacen(" / ", " /docker/1 ", 1);
    let tree = |path: &str| {
        Tree::new()
            .cgroups(&[&format!("4:cpu,cpuacct:{path}")], &[&mount])
            .v1("sys/fs/cgroup/cpu", "300000", "100000")
            .v1("sys/fs/cgroup/cpu/below", "200000", "100000")
            .v1("sys/fs/cgroup/cpu/docker/1", "100000", "100000")
    };
    assert_eq!(tree("/docker/1").quota(), Some(3));
    assert_eq!(tree("/docker/1/below").quota(), Some(2));
    assert_eq!(tree("/docker/1/unlimited").quota(), Some(3));
    for outside in ["/", "/docker", "/docker/12", "/docker/2", "/elsewhere/docker/1", ""] {
        assert_eq!(tree(outside).quota(), None, "{outside:?}");
    }
}

#[test]
fn cgroup_outside_of_mount_is_no_limit() {
    let tree = |path: &str, root: &str| {
        let mount = V2.replacen(" / ", &format!(" {root} "), 1);
        Tree::new()
            .cgroups(&[&format!("0::{path}")], &[&mount])
            .file("sys/fs/cgroup/cpu.max", "300000 100000")
            .file("sys/fs/cgroup/x/cpu.max", "200000 100000")
            .file("sys/fs/x/cpu.max", "100000 100000")
    };
    assert_eq!(tree("/../x", "/").quota(), None);
    assert_eq!(tree("/../../x", "/..").quota(), None);
    assert_eq!(tree("/", "/..").quota(), None);
    assert_eq!(tree("/../x", "/..").quota(), Some(2), "both paths are relative to one place");
}

#[test]
fn hybrid_system_takes_least_of_both() {
    let mount = V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified");
    let tree = |quota: &str, cpu_max: &str| {
        Tree::new()
            .cgroups(&["4:cpu,cpuacct:/a", "1:name=systemd:/c", "0::/b"], &[&mount, V1])
            .v1("sys/fs/cgroup/cpu/a", quota, "100000")
            .file("sys/fs/cgroup/unified/b/cpu.max", cpu_max)
            // What would be found if one version's path were looked for in the other's mount.
            .v1("sys/fs/cgroup/cpu/b", "100000", "100000")
            .file("sys/fs/cgroup/unified/a/cpu.max", "100000 100000")
    };
    assert_eq!(tree("400000", "max 100000").quota(), Some(4));
    assert_eq!(tree("-1", "300000 100000").quota(), Some(3));
    assert_eq!(tree("400000", "300000 100000").quota(), Some(3));
    assert_eq!(tree("-1", "").quota(), None);
}

#[test]
fn escaped_path_is_decoded() {
    let mount = r"9 8 0:1 /my\040root\134x /my\011mount\1340\04 rw - cgroup2 none rw";
    let tree = Tree::new()
        .cgroups(&[r"0::/my root\x/a:b c"], &[mount])
        .file("my\tmount\\0\\04/a:b c/cpu.max", "200000 100000");
    assert_eq!(tree.quota(), Some(2));

    let name = OsStr::from_bytes(b"\xff\x80");
    let tree =
        Tree::new().file("proc/self/cgroup", b"0::/\xff\x80").file("proc/self/mountinfo", V2);
    let tree = tree.file(Path::new("sys/fs/cgroup").join(name).join("cpu.max"), "300000 100000");
    assert_eq!(tree.quota(), Some(3));

    // 0777 is no byte, and `+7` no digits.
    let mount = r"9 8 0:1 / /a\777\+73\ rw - cgroup2 none rw";
    let tree = Tree::new().cgroups(&["0::/"], &[mount]);
    assert_eq!(tree.file(r"a\777\+73\/cpu.max", "200000 100000").quota(), Some(2));
}

#[test]
fn hidden_mount_is_ignored() {
    let hidden =
        Tree::new().cgroups(&["0::/"], &[V2, "40 29 0:99 / /sys/fs/cgroup rw - tmpfs t rw"]);
    assert_eq!(hidden.file("sys/fs/cgroup/cpu.max", "100000 100000").quota(), None);
    let inner = V2.replacen(" / ", " /docker/1 ", 1);
    let tree = Tree::new().cgroups(&["0::/docker/1/x"], &[V2, &inner]);
    let tree = tree
        .file("sys/fs/cgroup/x/cpu.max", "300000 100000")
        .file("sys/fs/cgroup/docker/1/x/cpu.max", "100000 100000");
    assert_eq!(tree.quota(), Some(3));
}

#[test]
fn missing_cgroups_are_no_limit() {
    assert_eq!(Tree::new().quota(), None);
    assert_eq!(Tree::new().file("proc/self/cgroup", "0::/\n").quota(), None);
    assert_eq!(Tree::new().file("proc/self/mountinfo", V2).quota(), None);
    let folders = Tree::new().file("proc/self/cgroup/x", "").file("proc/self/mountinfo/x", "");
    assert_eq!(folders.quota(), None);
}

#[test]
fn equal_core_ids_in_two_sockets_are_two_cores() {
    let mut tree = Tree::new().machine(&["0,4", "1,5", "2,6", "3,7"]);
    for cpu in 0..8 {
        let (socket, core) = (cpu % 4 / 2, cpu % 2);
        tree = tree.topology(cpu, "physical_package_id", &socket.to_string());
        tree = tree.topology(cpu, "core_id", &core.to_string());
    }
    assert_eq!(tree.counts(None, None), (8, 4));
    assert_eq!(tree.counts(Some("2,3,7"), None), (3, 2));
}

#[test]
fn old_name_of_siblings_list_is_read() {
    let mut tree = Tree::new().file("sys/devices/system/cpu/online", "0-3");
    for cpu in 0..4 {
        tree = tree.topology(cpu, "thread_siblings_list", if cpu < 2 { "0-1" } else { "2-3" });
    }
    assert_eq!(tree.counts(None, None), (4, 2));
}

#[test]
fn offline_cpus_do_not_count() {
    // 1 and 3 are offline: they have no topology, and are in no list.
    let tree = Tree::new().machine(&["0", "2,6", "4-5"]);
    assert_eq!(tree.counts(None, None), (5, 3));
    let status =
        |list: &str| format!("Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{list}\nMems:\t1\n");
    let tree = tree.file("proc/thread-self/status", status("0-3"));
    assert_eq!(tree.counts(None, None), (2, 2), "the mask keeps them");
    assert_eq!(tree.counts(Some("4-6"), None), (3, 2), "the system call goes first");
    let tree = tree.file("proc/thread-self/status", status("1,3"));
    assert_eq!(tree.counts(None, None), (5, 3), "no overlap");
}

#[test]
fn cpus_beyond_mask_are_counted() {
    let tree = Tree::new().file("sys/devices/system/cpu/online", "0-2047\n");
    assert_eq!(tree.counts(None, None), (2048, 2048));
    let tree = tree.file("proc/thread-self/status", "Cpus_allowed_list:\t1000-1099,2000\n");
    assert_eq!(tree.counts(None, None), (101, 101));
}

#[test]
fn online_and_mask_without_overlap_take_the_least() {
    // lxcfs provides such a file.
    let tree = Tree::new().file("sys/devices/system/cpu/online", "0-1\n");
    assert_eq!(tree.counts(Some("4-7"), None), (2, 2));
}

#[test]
fn missing_files_fall_back_to_std() {
    let count = std::thread::available_parallelism().unwrap().get();
    assert_eq!(Tree::new().counts(None, None), (count, count));
    assert_eq!(Tree::new().counts(None, Some(1)), (1, 1));
    assert_eq!(Tree::new().counts(Some("3,5,9"), None), (3, 3));
}

#[test]
fn malformed_list_is_refused() {
    for (list, expected) in
        [("0", vec![0]), ("0-2,5\n", vec![0, 1, 2, 5]), (" 65535 ", vec![65535])]
    {
        assert_eq!(cpus::parse(list.as_bytes()), Some(expected.into_iter().collect()));
    }
    for list in [
        "", "\n", ",", "0,", "3-1", "1,0", "0-3,2", "0-3,3", "-1", "0-65536", "0-", "0x1", "a",
        "0-1-2",
    ] {
        assert_eq!(cpus::parse(list.as_bytes()), None, "{list:?}");
    }
    assert_eq!(cpus::parse(b"\xff"), None);
}

#[test]
fn long_file_is_read_up_to_limit() {
    let limit = limits::MAX_KERNEL_TEXT_BYTES;
    let tree = Tree::new().file("one line", vec![b'1'; limit + 1]);
    assert_eq!(tree.root().read("/one line"), None);
    let long = [b"ab\n".as_slice(), &vec![b'1'; limit]].concat();
    let tree = tree.file("long", long).file("all", vec![b'1'; limit]);
    assert_eq!(tree.root().read("/long"), Some(b"ab".to_vec()), "whole lines");
    assert_eq!(tree.root().read("/all").map(|text| text.len()), Some(limit));
    assert_eq!(Root::new("/").read("/dev/zero"), None);
}

#[test]
fn random_files_never_panic() {
    let mut random = Rng::with_seed(1);
    let words = [
        "0",
        "::",
        ":",
        "/",
        " ",
        "-",
        ",",
        "\n",
        "cpu",
        "cgroup",
        "cgroup2",
        "max",
        "..",
        "\\040",
        "\\",
        "100000",
        "18446744073709551615",
        "é",
        "\0",
        "/sys/fs/cgroup",
        " - cgroup2 x rw",
        "0::/",
        V2,
    ];
    let mut tree = Tree::new();
    for _ in 0..200 {
        let mut text = || {
            let words: Vec<_> =
                (0..random.usize(..12)).map(|_| *random.choice(&words).expect("words")).collect();
            words.concat()
        };
        tree = tree
            .file("proc/self/cgroup", text())
            .file("proc/self/mountinfo", text())
            .file("proc/thread-self/status", format!("Cpus_allowed_list:{}", text()))
            .file("sys/fs/cgroup/cpu.max", text())
            .file("sys/devices/system/cpu/online", text())
            .file("sys/devices/system/cpu/cpu0/topology/core_cpus_list", text());
        let (logical, physical) = tree.counts(None, None);
        assert!(1 <= physical && physical <= logical, "{physical} {logical}");
    }
}

#[test]
fn malformed_variable_is_an_error() {
    for (value, expected) in [
        ("4", Some(4)),
        (" 4\n", Some(4)),
        ("1", Some(1)),
        ("0", Some(1)),
        ("-3", Some(1)),
        ("-99999999999999999999", Some(1)),
        ("9223372036854775807", usize::try_from(i64::MAX).ok()),
        ("99999999999999999999", None),
    ] {
        assert_eq!(parse(OsStr::new(value)).unwrap(), expected, "{value:?}");
    }
    for (value, shown) in [
        (b"abc".as_slice(), "abc"),
        (b"", ""),
        (b"1.5", "1.5"),
        (b"4 CPUs", "4 CPUs"),
        (b"a\nb", "a\\nb"),
        (b"4\xff", "4\u{fffd}"),
    ] {
        let error = parse(OsStr::from_bytes(value)).unwrap_err();
        assert!(error.is_invalid_config());
        let message = format!("`LOKY_MAX_CPU_COUNT` must be a number, not `{shown}`");
        assert_eq!(error.to_string(), message);
    }
}
