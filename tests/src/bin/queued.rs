//! Queues a million calls behind one that does not end, and prints how many bytes of memory each of them takes beside its
//! `Future`, and how many are still taken when they are gone.
#![expect(unsafe_code, reason = "an allocator that counts has no safe way in")]
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use loky::ProcessPoolExecutor;
use loky_tests::until;

const N_CALLS: usize = if cfg!(loky_force_stream) { 100_000 } else { 1_000_000 };

/// The system's allocator, and how much it has given out.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// Returns the real size of a block: with a header, and rounded up, as glibc does.
fn taken(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

// SAFETY: it is the system's allocator that does everything.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[loky::task]
fn noop() {}

/// Ends as soon as there is this file.
#[loky::task]
fn wait_for(path: String) {
    until("it may end", Duration::from_secs(100), || {
        thread::park_timeout(Duration::from_millis(10));
        std::path::Path::new(&path).exists()
    });
}

loky::main! {
    fn main() -> loky::Result<()> {
        let path = std::env::args().nth(1).expect("the path of a file");
        let executor = ProcessPoolExecutor::builder().max_workers(1).build()?;
        let held = || HELD.load(Ordering::Relaxed);
        let queue = |n_calls: usize| {
            let first = executor.submit(wait_for, path.clone());
            until("it runs", Duration::from_secs(60), || first.is_running());
            let mut futures = Vec::with_capacity(n_calls);
            let before = held();
            futures.extend((0..n_calls).map(|_| executor.submit(noop, ())));
            let taken = held() - before;
            std::fs::write(&path, "").unwrap();
            futures.iter().try_for_each(|future| future.result())?;
            drop(futures);
            std::fs::remove_file(&path).unwrap();
            Ok::<_, loky::Error>(taken)
        };
        // Everything that is made once is made now.
        queue(100)?;
        let before = held();
        let taken = queue(N_CALLS)?;
        let left = held().saturating_sub(before);
        print!("{} {left}", taken.div_ceil(N_CALLS));
        Ok(())
    }
}
