//! A seccomp filter after which this process cannot start others. A worker that kills its descendants installs it first, so that
//! no new one appears between the scan and its own end. See seccomp(2).
//!
//! # Safety
//! The filter is a constant program of valid instructions. The kernel checks and copies it.
#![allow(unsafe_code, reason = "seccomp has no safe wrapper")]

use std::ptr;

use libc::{sock_filter, sock_fprog};

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Makes every later attempt to start a process or a thread fail with `EAGAIN`, in all threads. Without kernel support nothing
/// changes.
pub(crate) fn forbid() {
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let number = |call: libc::c_long| u32::try_from(call).unwrap_or(u32::MAX);
    let calls = [
        libc::SYS_clone,
        libc::SYS_clone3,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_vfork,
    ];
    let denied = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EAGAIN).unwrap_or(1);
    let mut program = vec![step(LOAD, 0, 0, 0)]; // The filter sees the number of the system call at offset 0.
    for call in calls {
        program.push(step(JUMP_IF_EQUAL, 0, 1, number(call)));
        program.push(step(RETURN, 0, 0, denied));
    }
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    let filter =
        sock_fprog { len: u16::try_from(program.len()).unwrap_or(0), filter: program.as_mut_ptr() };
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the filter lives until the call returns, and the kernel has copied it by then.
    unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            ptr::from_ref(&filter),
        )
    };
}
