//! Newtypes for what is counted or compared, so that a call is never taken for a worker.
//!
//! Ids are given out in ascending order and never used again within their pool.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// One submission of a task, within its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId(pub(crate) u64);

/// Something for each of many calls.
pub(crate) type CallMap<T> = HashMap<CallId, T, BuildHasherDefault<CallHasher>>;

/// A hash for numbers that are given out in order, and by nobody who could choose them: those that follow one another come
/// to lie side by side, so a long queue of calls is walked through memory in its order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallHasher(u64);

impl Hasher for CallHasher {
    fn finish(&self) -> u64 {
        // The table takes its place from the low bits, and tells neighbours apart by the highest.
        self.0 ^ self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) << 57
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(8) ^ number;
    }
}

/// One worker process, within its pool. A replacement is another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// A call as one worker knows it: a slot of the worker's page, and which of the slot's uses it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

impl Ticket {
    /// The initializer's, which has no slot: nobody takes it back, and the worker has nothing else.
    pub(crate) const INITIALIZER: Self = Self(u64::MAX);
}

/// What tells one table from another: how many tasks, and a hash of their names and signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) count: u64,
    pub(crate) hash: u64,
}
