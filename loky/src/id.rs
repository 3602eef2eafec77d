//! Newtypes for ids, so that the compiler tells a call from a worker.
//!
//! Numbers ascend within a pool and are never used again. Parts of a batch keep the numbers that their batch reserved.

/// One submission of a task within its pool, or a batch of them.
///
/// The `number` identifies the call and gives its rank in the order of submission. The `index` finds it in the tables of
/// [`calls`](crate::calls), and belongs to another call once this one is over. A batch has the number of its first call. A part
/// of a batch has the number of the part's first call, and an index of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId {
    pub(crate) number: u64,
    pub(crate) index: u32,
}

impl CallId {
    /// The id of a call that no pool accepted.
    pub(crate) const NONE: Self = Self { number: 0, index: u32::MAX };

    /// The id of the `number`th call of a pool in which no call is over.
    #[cfg(test)]
    pub(crate) const fn nth(number: u64) -> Self {
        Self { number, index: (number as u32).wrapping_sub(1) }
    }
}

/// One worker process within its pool. A replacement is another worker with another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// A dispatched call as its worker knows it: a slot of the worker's page, and the generation of that slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

impl Ticket {
    /// The ticket of the initializer. It has no slot, because nothing ever revokes it.
    pub(crate) const INITIALIZER: Self = Self(u64::MAX);
}

/// A summary of a table of tasks: how many there are, and a hash of their names and signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) count: u64,
    pub(crate) hash: u64,
}
