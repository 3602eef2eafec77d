//! Executors as most tests want them, and checks of them.

use std::time::Duration;

use loky::{Builder, CrashPolicy, ProcessPoolExecutor, ReusableBuilder};

use crate::tasks::square;
use crate::time::LONG;
use crate::{children_of, until};

/// Both crash policies.
pub const POLICIES: [CrashPolicy; 2] = [CrashPolicy::Heal, CrashPolicy::BreakPool];

/// Returns a builder with a number of workers.
pub fn builder(max_workers: usize) -> Builder {
    ProcessPoolExecutor::builder().max_workers(max_workers)
}

/// Returns a builder whose workers leave after an idle time.
pub fn builder_with_timeout(max_workers: usize, timeout: Duration) -> Builder {
    builder(max_workers).idle_timeout(timeout)
}

/// Returns a builder of the reusable executor, whose workers do not leave when they are idle.
pub fn reusable(max_workers: usize) -> ReusableBuilder {
    loky::reusable_executor().max_workers(max_workers).idle_timeout(None)
}

/// Builds an executor, which has no workers yet.
#[must_use]
pub fn executor(max_workers: usize) -> ProcessPoolExecutor {
    builder(max_workers).build().unwrap()
}

/// Builds an executor whose workers are ready.
#[track_caller]
#[must_use]
pub fn ready(max_workers: usize) -> ProcessPoolExecutor {
    let executor = executor(max_workers);
    executor.prewarm().unwrap();
    executor
}

/// Insists that the executor answers calls, with no more workers than its maximum.
#[track_caller]
pub fn assert_serves(executor: &ProcessPoolExecutor) {
    assert!(!executor.is_broken());
    let calls: Vec<_> = (0..20).map(|x| executor.submit(square, x)).collect();
    for (x, call) in (0..).zip(calls) {
        assert_eq!(call.result().unwrap(), square(x));
    }
    assert!(executor.worker_pids().len() <= executor.max_workers());
}

/// Waits until no child of this process is left, neither alive nor unreaped.
#[track_caller]
pub fn until_childless() {
    until("no worker is left", LONG, || children_of(std::process::id()).is_empty());
}

/// Waits until all workers of an executor have left, and are reaped.
#[track_caller]
pub fn until_asleep(executor: &ProcessPoolExecutor) {
    until("all workers have left", LONG, || executor.stats().workers == 0);
}
