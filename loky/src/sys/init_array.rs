//! The functions that run before `main`, of which the test support is one.
//!
//! # Safety
//! The linker puts the addresses of these functions between two symbols of its own; every entry is a function of the C
//! start code's type, and calling those that were to come next is what the start code would have done.
#![allow(unsafe_code, reason = "the table is made by the linker and called by address")]

use std::ffi::{c_char, c_int};

/// A function that runs before `main`, as glibc calls it. See `DT_INIT_ARRAY` in elf(5).
pub type Initializer = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

unsafe extern "C" {
    #[link_name = "__init_array_end"]
    static END: Initializer;
}

/// Calls the initializers that stand behind the one at `own`, so that everything that is ready when `main` begins is
/// ready: C++ statics, above all.
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
        // 0 and -1 are the marks that old linkers left at the ends.
        if address != 0 && address != usize::MAX {
            // SAFETY: the same place, now known to hold a function.
            let initializer = unsafe { next.read() };
            initializer(argc, argv, envp);
        }
        next = next.wrapping_add(1);
    }
}
