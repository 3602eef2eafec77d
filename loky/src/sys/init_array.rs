//! The initializers of the program: functions that run before `main`. Test support is one of them.
//!
//! # Safety
//! The linker puts the addresses of these functions between two symbols. Each entry is a function of the type that the C start
//! code calls, and that code would have called the remaining entries next, in this order.
#![allow(unsafe_code, reason = "the table is made by the linker and called by address")]

use std::ffi::{c_char, c_int};

/// A function that runs before `main`, as glibc calls it. See `DT_INIT_ARRAY` in elf(5).
pub type Initializer = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

unsafe extern "C" {
    #[link_name = "__init_array_end"]
    static END: Initializer;
}

/// Calls the initializers behind the one at `own`, so that C++ statics, for example, are ready as at the start of `main`.
pub(crate) fn run_remaining(
    own: &'static Initializer,
    argc: c_int,
    argv: *const *const c_char,
    envp: *const *const c_char,
) {
    let end = &raw const END;
    let mut next = std::ptr::from_ref(own).wrapping_add(1);
    while next < end {
        // SAFETY: between a known entry and the end lie only entries.
        let address = unsafe { next.cast::<usize>().read() };
        // Old linkers put the markers 0 and -1 at the ends.
        if address != 0 && address != usize::MAX {
            // SAFETY: this entry is no marker, so it is a function.
            let initializer = unsafe { next.read() };
            initializer(argc, argv, envp);
        }
        next = next.wrapping_add(1);
    }
}
