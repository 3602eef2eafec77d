//! Callers that make calls in sequence for some time: one caller, timed call by call, or several at once.
//!
//! One loop measures subject and reference, so that its own cost, one reading of the clock per call, is part of both.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// The warm-up takes this fraction of the time, in addition and unmeasured: until the caches and the kernel's placement of
/// threads are stable.
const WARM_UP: u32 = 10;

/// Returns the median time of a call in microseconds. One caller makes calls for the duration `time`.
///
/// # Errors
/// The first error of a call.
pub fn p50(time: Duration, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(1 << 16);
    let mut last = Instant::now();
    let start = last + time / WARM_UP;
    while last < start + time || times.is_empty() {
        call()?;
        let now = Instant::now();
        if now >= start {
            times.push(now - last);
        }
        last = now;
    }
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    Ok(median.as_secs_f64() * 1e6)
}

/// Returns the calls per second of concurrent callers, each with a thread of its own, for the duration `time`.
///
/// # Errors
/// An error of a call.
pub fn calls_per_second(
    time: Duration,
    callers: Vec<impl FnMut() -> Result<()> + Send>,
) -> Result<f64> {
    let start = Instant::now() + time / WARM_UP;
    let n_calls = thread::scope(|scope| {
        let threads: Vec<_> =
            callers.into_iter().map(|call| scope.spawn(move || count(start, time, call))).collect();
        let counts = threads.into_iter().map(|it| it.join().unwrap_or_else(|it| resume_unwind(it)));
        counts.sum::<Result<u32>>()
    })?;
    Ok(f64::from(n_calls) / time.as_secs_f64())
}

/// Counts the calls of one caller that end within `time` of `start`. All callers are busy before and after that interval.
fn count(start: Instant, time: Duration, mut call: impl FnMut() -> Result<()>) -> Result<u32> {
    let end = start + time;
    let mut n_calls = 0;
    loop {
        call()?;
        let now = Instant::now();
        if now > end {
            return Ok(n_calls);
        }
        n_calls += u32::from(now >= start);
    }
}
