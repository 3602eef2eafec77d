//! What can be seen of a pool from outside: how much of everything there is and was, and what happens.
//!
//! Plain data, and the user's function that is told; who collects and who tells is the [`pool`](crate::pool). Tested in the
//! package `tests`.

mod event;
mod stats;

use std::fmt;
use std::sync::{Arc, Weak};

pub use self::event::{Event, Retirement};
pub use self::stats::Stats;

use crate::unwind;

/// Who is told of events: a function of the user's. Two are equal if they are one and the same.
#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Fn(&Event) + Send + Sync>);

impl Observer {
    pub(crate) fn new(observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }

    /// Tells it, with no lock held. A panic was reported by the panic hook.
    pub(crate) fn tell(&self, event: &Event) {
        let _ = unwind::guarded(|| (self.0)(event));
    }
}

/// Tells an observer from others, without keeping it.
#[derive(Clone, Debug)]
pub(crate) struct ObserverId(Weak<dyn Fn(&Event) + Send + Sync>);

impl Observer {
    /// What it is known by. That stays its own for as long as the id lives.
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
