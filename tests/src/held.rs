//! Calls that run until the test lets them go on.

use loky::{Future, ProcessPoolExecutor};

use crate::tasks::hold;
use crate::time::LONG;
use crate::{Event, until};

/// Calls that block in workers of their own, until the gate opens for each.
#[derive(Debug)]
pub struct Held {
    /// The calls.
    pub futures: Vec<Future<u32>>,
    began: Event,
    /// The gate that each call waits at.
    pub gate: Event,
}

impl Held {
    /// Submits `calls` calls, and returns when they have begun and this process knows it.
    #[must_use]
    pub fn new(executor: &ProcessPoolExecutor, calls: usize) -> Self {
        let (began, gate) = (Event::new(), Event::new());
        let call = || executor.submit(hold, (began.clone(), gate.clone()));
        let futures: Vec<_> = (0..calls).map(|_| call()).collect();
        (0..calls).for_each(|_| began.wait());
        until("the calls are known to run", LONG, || futures.iter().all(Future::is_running));
        Self { futures, began, gate }
    }

    /// Submits one more call at this gate, and does not wait for its begin.
    pub fn another(&self, executor: &ProcessPoolExecutor) -> Future<u32> {
        executor.submit(hold, (self.began.clone(), self.gate.clone()))
    }

    /// Opens the gate for each call.
    pub fn release(&self) {
        self.gate.set_for(self.futures.len());
    }
}

/// Submits a call that runs until its event is set, and returns when it is known to run.
#[track_caller]
pub fn busy(executor: &ProcessPoolExecutor) -> (Future<u32>, Event) {
    let mut held = Held::new(executor, 1);
    (held.futures.remove(0), held.gate)
}
