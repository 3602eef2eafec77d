//! The CPUs that are threads of one core, by `/sys/devices/system/cpu/cpu*/topology`.
//!
//! A core's `core_id` there is unique only within a socket, and on some machines not even there. So a core is identified by its
//! CPUs.

use super::cpus::{self, Cpus};
use super::root::Root;

/// The number of cores that have at least one of these CPUs.
pub(super) fn cores(root: &Root, cpus: &Cpus) -> usize {
    cpus.iter().map(|cpu| lowest_of_core(root, *cpu)).collect::<Cpus>().len()
}

/// The lowest CPU of the core of `cpu`, which identifies that core. `cpu` itself if nothing is known.
fn lowest_of_core(root: &Root, cpu: usize) -> usize {
    // Before Linux 5.3 the file has the second name.
    let lists = ["core_cpus_list", "thread_siblings_list"].into_iter().filter_map(|name| {
        let list = root.read(format!("/sys/devices/system/cpu/cpu{cpu}/topology/{name}"))?;
        cpus::parse(&list).filter(|siblings| siblings.contains(&cpu))
    });
    lists.filter_map(|siblings| siblings.first().copied()).next().unwrap_or(cpu)
}
