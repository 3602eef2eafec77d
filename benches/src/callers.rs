//! Callers that make one call after the other for some time: one of them, timed call by call, or several at once.
//!
//! Subject and reference are measured by the same loop, so that what the loop itself costs (a reading of the clock for each
//! call) falls on both.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// This part of the time is added at the beginning, and not measured: until caches, and the system's idea of who wakes whom,
/// are as they will be.
const WARM_UP: u32 = 10;

/// The median time of a call, in microseconds, of one caller that calls for as long as `time`.
///
/// # Errors
/// The first that a call has.
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

/// How many calls are made in a second by callers that call at the same time, for as long as `time`, a thread each.
///
/// # Errors
/// One that a call has.
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

/// The calls of one of several callers that end between `start` and `time` later; all call from before until after that.
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
