//! The CPU of a thread. See sched_getcpu(3).
//!
//! # Safety
//! `sched_getcpu` takes no argument and accesses no memory of the program.
#![allow(unsafe_code, reason = "the C library knows it without a system call")]

/// Returns the CPU of the calling thread. The thread may have moved by the time this returns.
pub(crate) fn current() -> u64 {
    // SAFETY: see the module head.
    let cpu = unsafe { libc::sched_getcpu() };
    u64::try_from(cpu).unwrap_or(u64::MAX) // An unknown CPU equals no other one.
}
