//! Signal dispositions and the signal mask, both inherited through exec. See signal(7).
//!
//! # Safety
//! The calls here take plain data and change only how this process treats signals; they are made before the process has
//! other threads of ours.
#![allow(unsafe_code, reason = "sigaction and sigprocmask have no safe wrapper")]

use std::mem::MaybeUninit;
use std::ptr;

/// Undoes what a parent handed down: ignored signals get their default again, blocked ones are let through. `SIGPIPE`
/// stays, or becomes, ignored, as in every Rust program: a write to a closed pipe is an error there, not a death.
///
/// Handlers are left alone: exec has reset those of the parent, so the ones in place are Rust's own.
pub(crate) fn restore_defaults() {
    for signal in 1..=libc::SIGRTMAX() {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: `action` has room for what is written; a null new action only asks.
        let asked = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
        if asked != 0 {
            continue; // Reserved by the C library, or no signal.
        }
        // SAFETY: sigaction has filled it in.
        let action = unsafe { action.assume_init() };
        if action.sa_sigaction == libc::SIG_IGN {
            set(signal, libc::SIG_DFL);
        }
    }
    set(libc::SIGPIPE, libc::SIG_IGN);

    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `none` has room for a set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: sigemptyset has filled it in; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) };
}

fn set(signal: libc::c_int, disposition: libc::sighandler_t) {
    // SAFETY: the disposition is one of the two constants, no function.
    unsafe { libc::signal(signal, disposition) };
}
