//! Detection of a fork without a system call: a forked child must not use the pools of its parent.
//!
//! One page of the process holds its pid. The kernel fills this page with zeros in a forked child (`MADV_WIPEONFORK`, see
//! madvise(2)). A child that finds no pid there writes its own.
//!
//! # Safety
//! The page is mapped once, never unmapped, and only accessed as one `AtomicU32`.
#![allow(unsafe_code, reason = "a page of its own has to be mapped by hand")]

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// Returns the pid of this process: without a system call, except for the first time after a fork.
pub(crate) fn current_pid() -> u32 {
    static WORD: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
    let Some(word) = WORD.get_or_init(map) else {
        return std::process::id(); // The kernel is too old for the page.
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

/// A value per process: a forked child gets a new one and never touches its parent's, which may be locked.
///
/// The parent's first use must not run while another thread forks. So the entry of the program uses it.
pub(crate) struct PerProcess<T: 'static> {
    first: Node<T>,
}

/// A list with a node for each process of a chain of forks.
type Node<T> = OnceLock<Box<Owned<T>>>;

/// The value of one process.
struct Owned<T: 'static> {
    pid: u32,
    value: T,
    next: Node<T>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { first: OnceLock::new() }
    }

    /// Returns the value of this process.
    pub(crate) fn get(&'static self) -> &'static T {
        let pid = current_pid();
        let mut node = &self.first;
        loop {
            let new = || Box::new(Owned { pid, value: T::default(), next: OnceLock::new() });
            let owned = node.get_or_init(new);
            if owned.pid == pid {
                return &owned.value;
            }
            node = &owned.next;
        }
    }
}

/// Maps the page; `None` if the kernel does not know the advice.
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
    fn current_pid_agrees_with_std() {
        assert_eq!(super::current_pid(), std::process::id());
        assert_eq!(super::current_pid(), std::process::id());
    }
}
