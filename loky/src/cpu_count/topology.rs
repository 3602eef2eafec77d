//! Which CPUs are threads of one core, by `/sys/devices/system/cpu/cpu*/topology`.
//!
//! The numbers of cores there (`core_id`) are unique within a socket only, and on some machines not even there; so a core is told
//! by the CPUs that it has.

use super::cpus::{self, Cpus};
use super::root::Root;

/// How many cores have at least one of these CPUs.
pub(super) fn cores(root: &Root, cpus: &Cpus) -> usize {
    cpus.iter().map(|cpu| lowest_of_core(root, *cpu)).collect::<Cpus>().len()
}

/// The lowest CPU of the core that this one belongs to, which stands for that core. Itself, if nothing is known.
fn lowest_of_core(root: &Root, cpu: usize) -> usize {
    // The second is the first's name before Linux 5.3.
    let lists = ["core_cpus_list", "thread_siblings_list"].into_iter().filter_map(|name| {
        let list = root.read(format!("/sys/devices/system/cpu/cpu{cpu}/topology/{name}"))?;
        cpus::parse(&list).filter(|siblings| siblings.contains(&cpu))
    });
    lists.filter_map(|siblings| siblings.first().copied()).next().unwrap_or(cpu)
}
