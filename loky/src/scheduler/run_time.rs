//! An estimate of the run time of calls, and the prefetch depth that follows from it.

use std::time::Duration;

use crate::limits;

/// A moving average of the run time of recent calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunTime {
    /// `None` before the first call.
    nanos: Option<u64>,
    /// A fixed depth that overrides the estimate.
    forced: Option<usize>,
}

impl RunTime {
    pub(super) fn new(forced: Option<usize>) -> Self {
        Self { nanos: None, forced }
    }

    /// Adds a run time. The worker reports it, so it may be wrong; only the estimate suffers.
    pub(super) fn ran(&mut self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        self.nanos = Some(match self.nanos {
            None => time,
            // Up fast, down slowly: a depth that is too large delays calls, one that is too small costs little speed.
            Some(nanos) if time > nanos => nanos + (time - nanos) / 2,
            Some(nanos) => nanos - (nanos - time) / 8,
        });
    }

    /// Returns how many calls run within `time`; 0 if that is unknown.
    pub(super) fn calls_within(self, time: Duration) -> u64 {
        /// The least cost of a call, overhead included.
        const LEAST_NANOS: u64 = 200;
        let Some(nanos) = self.nanos else { return 0 };
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        time / nanos.max(LEAST_NANOS)
    }

    /// Returns the number of calls that a worker gets, including the one that it runs.
    pub(super) fn depth(self) -> usize {
        if let Some(forced) = self.forced {
            return forced;
        }
        let Some(nanos) = self.nanos else { return 1 };
        let time = Duration::from_nanos(nanos);
        let row = limits::DEPTHS.iter().find(|(limit, _)| time < *limit);
        row.map_or(1, |(_, depth)| *depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth_after(times: &[u64]) -> usize {
        let mut run_time = RunTime::new(None);
        times.iter().for_each(|micros| run_time.ran(Duration::from_micros(*micros)));
        run_time.depth()
    }

    #[test]
    fn depth_follows_run_time() {
        assert_eq!(depth_after(&[]), 1, "unknown");
        let expected =
            [(0, 64), (4, 64), (10, 16), (100, 3), (500, 2), (1000, 1), (u64::MAX / 1000, 1)];
        for (micros, depth) in expected {
            assert_eq!(depth_after(&[micros]), depth, "{micros} µs");
        }
    }

    #[test]
    fn one_long_call_lowers_depth_and_many_short_calls_raise_it() {
        assert_eq!(depth_after(&[1, 1, 1, 1_000_000]), 1);
        assert_eq!(depth_after(&[&[1_000_000][..], &[1; 200][..]].concat()), 64);
    }
}
