#!/usr/bin/env bash
# shared_child 1.1.2 in a process that ignores SIGCHLD (daemons often start so; the disposition passes through exec).
# Expected: `wait` and `wait_timeout` of one crate agree, and neither changes how the process treats signals.
# Seen (Linux x86-64, Rust 1.95): `wait` fails with ECHILD, since the kernel discards the status; the first `wait_timeout` installs a handler for
# SIGCHLD, so it returns the status, and from then on every wait in the process does, those of the standard library too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
libc = "0.2"
shared_child = "=1.1.2"
TOML
cat > src/main.rs <<'RUST'
use std::process::Command;
use std::time::Duration;

use shared_child::SharedChild;

fn is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("hexadecimal");
    mask >> (libc::SIGCHLD - 1) & 1 == 1
}

fn main() {
    // SAFETY: Ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let mut command = Command::new("sh");
    command.args(["-c", "exit 7"]);
    let code = |status: std::io::Result<std::process::ExitStatus>| match status {
        Ok(status) => format!("code {}", status.code().expect("no signal")),
        Err(error) => format!("errno {}", error.raw_os_error().expect("of the system")),
    };
    let child = SharedChild::spawn(&mut command).expect("sh");
    println!("wait: {}, ignored: {}", code(child.wait()), is_ignored());
    let child = SharedChild::spawn(&mut command).expect("sh");
    let status = child.wait_timeout(Duration::from_secs(60)).map(|status| status.expect("in time"));
    println!("wait_timeout: {}, ignored: {}", code(status), is_ignored());
    println!("std: {}", code(command.status()));
}
RUST
seen=$(cargo run --quiet)
echo "$seen"
diff <(echo "$seen") - <<'TEXT'
wait: errno 10, ignored: true
wait_timeout: code 7, ignored: false
std: code 7
TEXT
