//! The task of the tests about calls in the queue of a worker.
//!
//! A pool prefetches further ahead the quicker its calls are. So there is one task, which is as quick as possible unless its
//! [`Step`] says otherwise. A pool that has run thousands of quick steps gives out the next ones many at a time. One of these may
//! block, or kill its worker.

use std::time::{Duration, Instant};

use loky::{Execution, Future, ProcessPoolExecutor};
use serde::{Deserialize, Serialize};

use crate::deed::Deed;
use crate::scribble::Scribble;
use crate::time::LONG;
use crate::{Event, Record, until};

/// The work of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Step {
    /// Nothing.
    Pass,
    /// Blocks until it may go on.
    Wait(Event),
    /// Lets one that waits go on.
    Set(Event),
    /// Keeps the processor busy.
    Spin(Duration),
    /// Something wrong.
    Do(Deed),
    /// Overwrites what its worker shares with the pool.
    Scribble(Scribble),
}

impl Step {
    /// Performs it.
    pub fn perform(self) {
        match self {
            Self::Pass => {}
            Self::Wait(event) => event.wait(),
            Self::Set(event) => event.set(),
            Self::Spin(time) => {
                let start = Instant::now();
                while start.elapsed() < time {
                    std::hint::spin_loop();
                }
            }
            Self::Do(deed) => deed.perform().expect("a deed that no worker survives"),
            Self::Scribble(scribble) => scribble.perform(),
        }
    }
}

/// Notes that it runs, does what it is told, and returns its number.
#[loky::task]
pub fn step(number: u64, record: Option<Record>, step: Step) -> u64 {
    if let Some(record) = record {
        record.note(number);
    }
    step.perform();
    number
}

/// An executor that has seen nothing but quick calls.
#[track_caller]
pub fn warm(max_workers: usize) -> ProcessPoolExecutor {
    let executor = ProcessPoolExecutor::builder().max_workers(max_workers).build().unwrap();
    executor.prewarm().unwrap();
    warm_up(&executor, 1000 * max_workers);
    executor
}

/// Runs a number of quick calls.
#[track_caller]
pub fn warm_up(executor: &ProcessPoolExecutor, n_calls: usize) {
    let call = |number| (number, executor.submit(step, (number, None, Step::Pass)));
    let calls: Vec<_> = (0..n_calls as u64).map(call).collect();
    for (number, call) in calls {
        assert_eq!(call.result_timeout(LONG).unwrap(), number);
    }
}

/// Submits a call for each step, all before any is waited for. Their numbers count from 0.
pub fn burst(
    executor: &ProcessPoolExecutor,
    record: &Record,
    steps: impl IntoIterator<Item = Step>,
) -> Vec<Future<u64>> {
    let record = Some(record);
    let call = |(number, it)| executor.submit(step, (number, record.cloned(), it));
    (0..).zip(steps).map(call).collect()
}

/// As many steps that do nothing.
pub fn passes(n_calls: usize) -> impl Iterator<Item = Step> {
    std::iter::repeat_n(Step::Pass, n_calls)
}

/// Waits until a worker has begun the call, and the pool knows it.
#[track_caller]
pub fn until_running(call: &Future<u64>) {
    until("the call runs", LONG, || call.is_running());
}

/// Waits for all calls of a burst. How often each ran.
#[track_caller]
pub fn starts_of<R: 'static>(calls: &[Future<R>], record: &Record) -> Vec<usize> {
    for (number, call) in calls.iter().enumerate() {
        let error = call.result_timeout(LONG).err();
        assert!(!error.is_some_and(|error| error.is_timeout()), "call {number} has no outcome");
    }
    record.counts(calls.len())
}

/// Insists that this call of a burst ran once, and returned its own number.
#[track_caller]
pub fn check_returned(number: usize, call: &Future<u64>, starts: &[usize]) {
    let result = call.result_timeout(LONG);
    assert_eq!(result.as_ref().ok(), Some(&(number as u64)), "call {number}: {result:?}");
    assert_eq!(starts[number], 1, "how often call {number} ran");
}

/// Insists that this call of a burst ran once, and died with its worker.
#[track_caller]
pub fn check_died(number: usize, call: &Future<u64>, starts: &[usize]) {
    let error = call.result_timeout(LONG).expect_err("a death");
    assert!(error.is_terminated_worker(), "call {number}: {error:?}");
    assert_eq!(error.execution(), Execution::Started, "call {number}: {error:?}");
    assert_eq!(starts[number], 1, "how often call {number} ran");
}
