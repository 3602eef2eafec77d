//! Signal dispositions and the signal mask of a new worker, which exec inherits from the parent. See signal(7).
//!
//! # Safety
//! The calls take plain data and change only the signal handling of this process, before the library has started other threads.
#![allow(unsafe_code, reason = "sigaction and sigprocmask have no safe wrapper")]

use std::mem::MaybeUninit;
use std::ptr;

/// Resets inherited signal settings: ignored signals get their default disposition, blocked ones are unblocked.
///
/// `SIGPIPE` is ignored, as in every Rust program, so that a write to a closed pipe is an error. Handlers stay: exec has reset
/// those of the parent, so the present ones are Rust's own.
pub(crate) fn restore_defaults() {
    for signal in 1..=libc::SIGRTMAX() {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: `action` has room for the result; a null new action only queries.
        let asked = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
        if asked != 0 {
            continue; // Reserved by the C library, or not a signal.
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
    // SAFETY: sigemptyset has filled it in; the old mask is not requested.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) };
}

fn set(signal: libc::c_int, disposition: libc::sighandler_t) {
    // SAFETY: the disposition is one of two constants, not a function.
    unsafe { libc::signal(signal, disposition) };
}
