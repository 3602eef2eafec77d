//! Noticing, without a system call, that this process was forked off the one that a pool belongs to.
//!
//! One page of the process holds its pid. The kernel hands a forked child that page full of zeros (`MADV_WIPEONFORK`, see
//! madvise(2)), so a child that looks finds no pid there, and writes its own.
//!
//! # Safety
//! The page is mapped once, never unmapped, and only ever seen as one `AtomicU32`.
#![allow(unsafe_code, reason = "a page of its own has to be mapped by hand")]

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// This process: the pid, as long as nobody forked.
pub(crate) fn current_pid() -> u32 {
    static WORD: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
    let Some(word) = WORD.get_or_init(map) else {
        return std::process::id(); // An old kernel: a system call, then.
    };
    match word.load(Ordering::Relaxed) {
        0 => {
            let pid = std::process::id();
            word.store(pid, Ordering::Relaxed);
            pid
        }
        pid => pid,
    }
}

/// A value of its own in each process: a forked child finds a new one, whatever its parent's was in the middle of, and never
/// touches that. (But for the parent's first use, which a fork in another thread must not come upon: so the entry uses it.)
pub(crate) struct PerProcess<T: 'static> {
    first: Link<T>,
}

type Link<T> = OnceLock<Box<Of<T>>>;

struct Of<T: 'static> {
    pid: u32,
    value: T,
    next: Link<T>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { first: OnceLock::new() }
    }

    /// The one of this process.
    pub(crate) fn get(&'static self) -> &'static T {
        let pid = current_pid();
        let mut link = &self.first;
        loop {
            let new = || Box::new(Of { pid, value: T::default(), next: OnceLock::new() });
            let of = link.get_or_init(new);
            if of.pid == pid {
                return &of.value;
            }
            link = &of.next;
        }
    }
}

fn map() -> Option<&'static AtomicU32> {
    let length = size_of::<AtomicU32>(); // The kernel rounds up to its page.
    // SAFETY: a new private mapping, placed by the kernel, overlaps nothing.
    let page = unsafe {
        rustix::mm::mmap_anonymous(
            ptr::null_mut(),
            length,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    }
    .ok()?;
    // SAFETY: the range is exactly the mapping made above.
    unsafe { rustix::mm::madvise(page, length, Advice::LinuxWipeOnFork) }.ok()?;
    // SAFETY: the page is zeroed, aligned, never unmapped, and used as nothing else.
    Some(unsafe { &*page.cast::<AtomicU32>() })
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_pid() {
        assert_eq!(super::current_pid(), std::process::id());
        assert_eq!(super::current_pid(), std::process::id());
    }
}
