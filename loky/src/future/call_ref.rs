//! References to a call: the cell that has it, and its number there.
//!
//! The types are generic over the cell, so that this file depends on no other and the loom model can use it for its own cells.

use std::fmt;
use std::sync::Arc;

/// Where the outcome of a call arrives.
pub(crate) struct CallRef<C> {
    pub(crate) cell: Arc<C>,
    /// The number of the call in its batch. `None` where the cell belongs to a single call.
    pub(crate) number: Option<u32>,
}

/// The answer of a cell to a question about one call.
pub(crate) enum Lookup<C, T> {
    Here(T),
    /// The call has moved to another cell.
    Moved(CallRef<C>),
}

/// The calls at the end of a batch that have moved: their cells, each with the number of its calls, in the order of the calls.
pub(crate) type MovedTail<C> = Vec<(Arc<C>, u32)>;

impl<C, T> Lookup<C, T> {
    pub(super) fn map<U>(self, answer: impl FnOnce(T) -> U) -> Lookup<C, U> {
        self.then(|found| Lookup::Here(answer(found)))
    }

    pub(super) fn then<U>(self, next: impl FnOnce(T) -> Lookup<C, U>) -> Lookup<C, U> {
        match self {
            Self::Here(found) => next(found),
            Self::Moved(call) => Lookup::Moved(call),
        }
    }
}

impl<C> CallRef<C> {
    /// Asks the cell that has the call now.
    pub(super) fn ask<T>(&self, mut question: impl FnMut(&Self) -> Lookup<C, T>) -> T {
        let mut moved = None;
        loop {
            match question(moved.as_ref().unwrap_or(self)) {
                Lookup::Here(answer) => return answer,
                Lookup::Moved(call) => moved = Some(call),
            }
        }
    }
}

impl<C> Clone for CallRef<C> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell), number: self.number }
    }
}

impl<C> From<Arc<C>> for CallRef<C> {
    fn from(cell: Arc<C>) -> Self {
        Self { cell, number: None }
    }
}

impl<C: fmt::Debug> fmt::Debug for CallRef<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cell, number } = self;
        f.debug_struct("CallRef").field("cell", cell).field("number", number).finish()
    }
}
