//! Newtypes for what is counted or compared, so that a call is never taken for a worker.
//!
//! Ids are given out in ascending order and never used again within their pool.

/// One submission of a task, within its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId(pub(crate) u64);

/// One worker process, within its pool. A replacement is another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// A call as one worker knows it: a slot of the worker's page, and which of the slot's uses it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// What tells one table from another: how many tasks, and a hash of their names and signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) count: u64,
    pub(crate) hash: u64,
}
