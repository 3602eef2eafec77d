//! The description of the machine.

use std::process::Command;
use std::{fs, thread};

use loky_benches::Result;
use loky_benches::peers::Circumstances;

/// Describes this machine, at the end of the comparison.
pub(crate) fn describe(load_before: &str, n_blocks: usize) -> Result<Circumstances> {
    let date = Command::new("date").args(["-u", "+%F"]).output()?.stdout;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let n_cpus = thread::available_parallelism()?;
    let model = model.map_or("unknown CPU", |(_, model)| model);
    Ok(Circumstances {
        date: String::from_utf8(date)?.trim().to_owned(),
        machine: format!("{n_cpus} CPUs ({model}), Linux {kernel}"),
        load: format!("{load_before} before and {} after", load()?),
        n_blocks,
    })
}

/// Returns the load average of five minutes (proc_loadavg(5)). The comparison itself adds one or two.
pub(crate) fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().nth(1).unwrap_or_default().to_owned())
}
