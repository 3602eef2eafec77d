//! Segments: pooled shared memory in which large values travel from process to process.
//!
//! A segment is used again for later values, since the page faults of fresh memory cost more than the copy. A large value gets a
//! [`SegmentLease`] on a segment with its bytes ([`Segments::put`]), whose descriptor travels beside the call or result. The
//! receiver ([`ReceivedFd`]) copies the bytes once, into memory of its own. [`segment_memory`] does that, and guards both sides
//! against each other.
//!
//! | pool of | holds | a segment is free again when | thread that frees idle ones |
//! |---|---|---|---|
//! | a pool | arguments | the call is over, so that no worker reads them | the pool thread |
//! | a worker | results | the receiver dropped it, and set the segment's word; or the pool reported that it did not arrive | the watch thread |
//!
//! [`Segments::put`] may have no segment: the limit is reached, descriptors or memory are short, or this process was forked off the
//! owner. Then the value travels like a short one, which is slower but no error. So a million calls can be queued, and a result
//! that is kept for ever takes a descriptor only while few others are kept.
//!
//! A lease may end under the lock of a pool, so its drop unmaps and closes nothing. A thread that [visits](Segments::visit) frees
//! the segments beyond [`limits::KEPT_SEGMENTS`] and those that were idle for [`limits::SEGMENT_IDLE`]. It visits at the time that
//! its last visit returned, and is woken if a visit is due earlier. With nothing to free it does not wake.
//!
//! Tested in `tests.rs`, and through real workers in the package `tests`.

mod segment_pool;
#[cfg(test)]
mod tests;

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use self::segment_pool::SegmentPool;
use crate::clock;
use crate::id::Ticket;
use crate::limits;
use crate::sys;
use crate::sys::fork_guard;
use crate::sys::segment_memory::{self, Release, SegmentMemory};
use crate::sys::wake::Wake;

/// The segments of a pool, or of a worker. Clones are handles of one pool of segments.
#[derive(Clone)]
pub(crate) struct Segments {
    shared: Arc<Shared>,
}

struct Shared {
    owner_pid: u32,
    release: Release,
    /// Wakes the thread that visits.
    wake: Arc<Wake>,
    pool: Mutex<SegmentPool>,
}

impl Segments {
    /// The segments of a pool. A call holds its segments until it is over.
    pub(crate) fn of_pool(wake: Arc<Wake>) -> Self {
        Self::new(Release::Implied, wake, at_most())
    }

    /// The segments of a worker, which has none until the pool [allows](Self::allow) some.
    pub(crate) fn of_worker(wake: Arc<Wake>) -> Self {
        Self::new(Release::Reported, wake, 0)
    }

    fn new(release: Release, wake: Arc<Wake>, limit: usize) -> Self {
        let pool = Mutex::new(SegmentPool::new(limit));
        let owner_pid = fork_guard::current_pid();
        Self { shared: Arc::new(Shared { owner_pid, release, wake, pool }) }
    }

    /// Sets the highest number of segments on lease.
    pub(crate) fn allow(&self, limit: usize) {
        self.shared.lock().allow(limit);
    }

    /// Copies `bytes` into a segment. `None` if they are short, or no segment is available.
    pub(crate) fn put(&self, bytes: &[u8]) -> Option<SegmentLease> {
        // A forked child must not write to its parent's segments.
        if bytes.len() < limits::SEGMENT_BYTES || self.shared.is_foreign() {
            return None;
        }
        let class = bytes.len().checked_next_power_of_two()?;
        let lent = self.shared.lock().lend(class)?;
        let filled = match lent {
            Some(mut memory) => memory.refill(bytes).map(|()| memory),
            None => SegmentMemory::create(bytes, class, self.shared.release),
        };
        // The system has no memory or descriptors for it now.
        let Ok(memory) = filled else {
            self.shared.lock().lost();
            return None;
        };
        let shared = Arc::clone(&self.shared);
        Some(SegmentLease { memory: Some(memory), sent_for: OnceLock::new(), shared })
    }

    /// Handles the pool's report that it lacks descriptors for the result of `call`: the segments that were sent with it are free.
    /// Later results travel without segments.
    pub(crate) fn not_received(&self, call: Ticket) {
        let needs_visit = self.shared.lock().not_received(clock::now(), call);
        if needs_visit {
            self.shared.wake.wake();
        }
    }

    /// Removes the segments that are not to be kept. Returns them, since dropping them may take long, and the time at which the
    /// next visit is due, if one is.
    pub(crate) fn visit(&self, now: Instant) -> (Vec<SegmentMemory>, Option<Instant>) {
        self.shared.lock().visit(now)
    }

    /// Ends leasing: a worker of an ending pool may still read a segment when its call is over.
    pub(crate) fn close(&self) {
        self.shared.lock().close();
    }

    /// Ends leasing and frees all kept segments. There are no visits after this.
    pub(crate) fn end(&self) {
        let kept = self.shared.lock().end();
        drop(kept);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, SegmentPool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process was forked off the owner. Then the lock may be held for ever.
    fn is_foreign(&self) -> bool {
        fork_guard::current_pid() != self.owner_pid
    }
}

impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segments").finish_non_exhaustive()
    }
}

/// A segment with a value. Its drop returns the segment to the pool.
pub(crate) struct SegmentLease {
    /// `Some` until the drop.
    memory: Option<SegmentMemory>,
    /// The call with whose result the segment was sent.
    sent_for: OnceLock<Ticket>,
    shared: Arc<Shared>,
}

impl SegmentLease {
    fn memory(&self) -> &SegmentMemory {
        self.memory.as_ref().expect("`Some` until the drop")
    }

    /// The descriptor by which a receiver reads the segment.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        self.memory().fd()
    }

    /// Marks the segment as sent with the result of `call`. The receiver marks it as free when it is done.
    pub(crate) fn set_out(&self, call: Ticket) {
        let _ = self.sent_for.set(call);
        self.memory().set_out();
    }
}

impl Drop for SegmentLease {
    fn drop(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        if self.shared.is_foreign() {
            return;
        }
        let sent_for = self.sent_for.take();
        let given_back = self.shared.lock().give_back(clock::now(), memory, sent_for);
        match given_back {
            Ok(needs_visit) if needs_visit => self.shared.wake.wake(),
            Ok(_) => {}
            Err(memory) => drop(memory),
        }
    }
}

impl fmt::Debug for SegmentLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SegmentLease").field(self.memory()).finish()
    }
}

/// A descriptor from another process, of a segment or of something else.
#[derive(Debug)]
pub(crate) struct ReceivedFd {
    fd: Arc<OwnedFd>,
    owner_pid: u32,
}

impl ReceivedFd {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd), owner_pid: fork_guard::current_pid() }
    }

    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }
}

/// Marks the segment, if it is one, as free for its owner.
impl Drop for ReceivedFd {
    fn drop(&mut self) {
        // A forked child has a copy of this, while its parent may still read.
        if fork_guard::current_pid() == self.owner_pid {
            segment_memory::release(self.fd.as_fd());
        }
    }
}

/// The limit of segments on lease for a pool, and for its workers together, so that descriptors are left for other uses.
fn at_most() -> usize {
    limits::MAX_SEGMENTS.min(sys::descriptor_limit() / limits::SEGMENTS_PART)
}

/// The limit of segments with results for each worker of a pool.
pub(crate) fn per_worker(max_workers: usize) -> usize {
    limits::MAX_RESULT_SEGMENTS.min(at_most() / max_workers.max(1))
}
