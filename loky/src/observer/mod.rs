//! The view of a pool from outside: [`Stats`] with its numbers, [`Event`]s, and the user's function that receives them.
//!
//! This module holds plain data. The [`pool`](crate::pool) counts, and delivers the events. Tested in the package `tests`.

mod event;
mod stats;

use std::fmt;
use std::sync::{Arc, Weak};

pub use self::event::{Event, Retirement};
pub use self::stats::Stats;

use crate::unwind;

/// The user's function that receives events. Two are equal if they are one function object.
#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Fn(&Event) + Send + Sync>);

impl Observer {
    pub(crate) fn new(observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }

    /// Calls it, with no lock held. The panic hook has reported a panic in it already.
    pub(crate) fn tell(&self, event: &Event) {
        let _ = unwind::guarded(|| (self.0)(event));
    }
}

/// The identity of an observer, which does not keep it alive.
#[derive(Clone, Debug)]
pub(crate) struct ObserverId(Weak<dyn Fn(&Event) + Send + Sync>);

impl Observer {
    /// Returns its identity. No other observer gets an equal one while the id lives.
    pub(crate) fn id(&self) -> ObserverId {
        ObserverId(Arc::downgrade(&self.0))
    }
}

impl PartialEq for ObserverId {
    fn eq(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ObserverId {}

impl PartialEq for Observer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Observer {}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer(..)")
    }
}
