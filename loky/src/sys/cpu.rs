//! Which CPU a thread runs on. See sched_getcpu(3).
//!
//! # Safety
//! The function takes nothing and touches nothing of ours.
#![allow(unsafe_code, reason = "the C library knows it without a system call")]

/// The CPU that the calling thread runs on now, and perhaps not any more when this returns.
pub(crate) fn current() -> u64 {
    // SAFETY: as said above.
    let cpu = unsafe { libc::sched_getcpu() };
    u64::try_from(cpu).unwrap_or(u64::MAX) // Not known: then it is another one than any.
}
