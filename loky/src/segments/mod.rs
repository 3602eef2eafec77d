//! Where long values lie while they go from process to process: memory that is used again, since fresh pages are what costs.
//!
//! A value that is long gets a [`SegmentLease`] of a segment with its bytes ([`Segments::put`]), whose descriptor then travels beside the
//! call or the result. Whoever has that descriptor there ([`ReceivedFd`]) has the bytes copied out, once, into memory of his own; how,
//! and what nobody can do to the other side by it, is the subject of [`carrier`].
//!
//! | | leases | a segment is free again when | who takes idle ones away |
//! |---|---|---|---|
//! | a pool | arguments | the call is over, and so nobody reads them any more | the pool's thread |
//! | a worker | results | whoever has the result has dropped it, and has said so in the segment's word; or it has not come through, and the pool has said so | the worker's watch |
//!
//! There may be none to be had: many are out, or there are no descriptors or no memory, or this process was forked off the one
//! that they belong to. Then the value goes the way of shorter ones, which takes longer and is no error. So a million calls can
//! be queued, and a result that somebody keeps for ever takes a descriptor only if few others are kept.
//!
//! A lease ends wherever its last share is dropped, be it under the lock of a pool; so nothing is unmapped or closed there. What is
//! too much to be kept ([`limits::KEPT_SEGMENTS`]), or was not used for [`limits::SEGMENT_IDLE`], is taken away by a thread that
//! comes to [`visit`](Segments::visit): at the time that it was told at its last visit, or when it is woken since it is to come
//! earlier. Where there is nothing to be taken away it does not come.
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

/// The segments of a pool, or of a worker. Clones are handles of the same.
#[derive(Clone)]
pub(crate) struct Segments {
    shared: Arc<Shared>,
}

struct Shared {
    owner_pid: u32,
    release: Release,
    /// Wakes the thread that is to visit.
    wake: Arc<Wake>,
    shelf: Mutex<SegmentPool>,
}

impl Segments {
    /// Those of a pool, whose calls have them until they are over.
    pub(crate) fn of_pool(wake: Arc<Wake>) -> Self {
        Self::new(Release::Known, wake, at_most())
    }

    /// Those of a worker, which has none until it is [allowed](Self::allow) some.
    pub(crate) fn of_worker(wake: Arc<Wake>) -> Self {
        Self::new(Release::EventSink, wake, 0)
    }

    fn new(release: Release, wake: Arc<Wake>, limit: usize) -> Self {
        let shelf = Mutex::new(SegmentPool::new(limit));
        let owner_pid = fork_guard::current_pid();
        Self { shared: Arc::new(Shared { owner_pid, release, wake, shelf }) }
    }

    /// How many there may be out at a time.
    pub(crate) fn allow(&self, limit: usize) {
        self.shared.lock().allow(limit);
    }

    /// Copies `bytes` into a segment, if they are long and there is one to be had.
    pub(crate) fn put(&self, bytes: &[u8]) -> Option<SegmentLease> {
        // The memory of a forked child's parent is not its to write to.
        if bytes.len() < limits::SEGMENT_BYTES || self.shared.is_foreign() {
            return None;
        }
        let class = bytes.len().checked_next_power_of_two()?;
        let lent = self.shared.lock().lend(class)?;
        let filled = match lent {
            Some(mut carrier) => carrier.refill(bytes).map(|()| carrier),
            None => SegmentMemory::create(bytes, class, self.shared.release),
        };
        // Where there is no memory for it a segment has no use either.
        let Ok(carrier) = filled else {
            self.shared.lock().lost();
            return None;
        };
        let shared = Arc::clone(&self.shared);
        Some(SegmentLease { carrier: Some(carrier), sent_for: OnceLock::new(), shared })
    }

    /// The reader says that it has no room for descriptors: the result of this call has not come through, and so nobody has the
    /// segments that were sent with it. Later results go the other way.
    pub(crate) fn not_received(&self, call: Ticket) {
        let is_to_be_visited = self.shared.lock().not_received(clock::now(), call);
        if is_to_be_visited {
            self.shared.wake.wake();
        }
    }

    /// Takes away what is not to be kept: to be dropped, which takes long if it is much. And until when it need not be done again,
    /// if it is ever to be done.
    pub(crate) fn visit(&self, now: Instant) -> (Vec<SegmentMemory>, Option<Instant>) {
        self.shared.lock().visit(now)
    }

    /// No more are lent: what was lent may be with a worker that reads it still when its call is over.
    pub(crate) fn close(&self) {
        self.shared.lock().close();
    }

    /// As [`close`](Self::close), and nobody will visit any more: nothing is kept.
    pub(crate) fn end(&self) {
        let kept = self.shared.lock().end();
        drop(kept);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, SegmentPool> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process was forked off the one that they belong to. Then the lock may be held for ever.
    fn is_foreign(&self) -> bool {
        fork_guard::current_pid() != self.owner_pid
    }
}

impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segments").finish_non_exhaustive()
    }
}

/// A segment with a value. Given back when it is dropped.
pub(crate) struct SegmentLease {
    /// There until it is dropped.
    carrier: Option<SegmentMemory>,
    /// The call with whose result it goes out.
    sent_for: OnceLock<Ticket>,
    shared: Arc<Shared>,
}

impl SegmentLease {
    fn carrier(&self) -> &SegmentMemory {
        self.carrier.as_ref().expect("there until it is dropped")
    }

    /// What a reader needs.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        self.carrier().fd()
    }

    /// It is about to go to a reader, with the result of this call. He says when he is through with it.
    pub(crate) fn set_out(&self, call: Ticket) {
        let _ = self.sent_for.set(call);
        self.carrier().set_out();
    }
}

impl Drop for SegmentLease {
    fn drop(&mut self) {
        let Some(carrier) = self.carrier.take() else { return };
        if self.shared.is_foreign() {
            return;
        }
        let sent_for = self.sent_for.take();
        let given_back = self.shared.lock().give_back(clock::now(), carrier, sent_for);
        match given_back {
            Ok(is_to_be_visited) if is_to_be_visited => self.shared.wake.wake(),
            Ok(_) => {}
            Err(carrier) => drop(carrier),
        }
    }
}

impl fmt::Debug for SegmentLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SegmentLease").field(self.carrier()).finish()
    }
}

/// A descriptor that has come from another process: of a segment, or of something else.
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

/// If it is a segment, its owner may use it again.
impl Drop for ReceivedFd {
    fn drop(&mut self) {
        // A forked child has a copy, and the one that it was forked off goes on reading.
        if fork_guard::current_pid() == self.owner_pid {
            segment_memory::release(self.fd.as_fd());
        }
    }
}

/// How many segments a pool may have out, and how many its workers together: not so many that others lack descriptors.
fn at_most() -> usize {
    limits::MAX_SEGMENTS.min(sys::descriptor_limit() / limits::SEGMENTS_PART)
}

/// How many segments with results each of so many workers may have out.
pub(crate) fn per_worker(max_workers: usize) -> usize {
    limits::MAX_RESULT_SEGMENTS.min(at_most() / max_workers.max(1))
}
