//! How long calls run, and what follows from it: how many a worker gets at a time.

use std::time::Duration;

use crate::limits;

/// What calls have taken of late: an average that forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunTime {
    /// `None` before the first.
    nanos: Option<u64>,
    /// The depth whatever the calls take.
    forced: Option<usize>,
}

impl RunTime {
    pub(super) fn new(forced: Option<usize>) -> Self {
        Self { nanos: None, forced }
    }

    /// A call has run for so long, says its worker (which may be wrong: it is an estimate).
    pub(super) fn ran(&mut self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        self.nanos = Some(match self.nanos {
            None => time,
            // Up at once and down slowly: too deep costs others their time, too shallow a little speed.
            Some(nanos) if time > nanos => nanos + (time - nanos) / 2,
            Some(nanos) => nanos - (nanos - time) / 8,
        });
    }

    /// How many calls run within `time`.
    pub(super) fn calls_within(self, time: Duration) -> u64 {
        /// What each takes at least, with all that is done for it.
        const LEAST_NANOS: u64 = 200;
        let Some(nanos) = self.nanos else { return 0 };
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        time / nanos.max(LEAST_NANOS)
    }

    /// How many calls a worker is to have, the one that it runs included.
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
    fn the_depth_follows_the_time() {
        assert_eq!(depth_after(&[]), 1, "unknown");
        let expected =
            [(0, 64), (4, 64), (10, 16), (100, 3), (500, 2), (1000, 1), (u64::MAX / 1000, 1)];
        for (micros, depth) in expected {
            assert_eq!(depth_after(&[micros]), depth, "{micros} µs");
        }
    }

    #[test]
    fn one_long_call_is_enough_to_be_careful_and_many_short_ones_to_be_bold() {
        assert_eq!(depth_after(&[1, 1, 1, 1_000_000]), 1);
        assert_eq!(depth_after(&[&[1_000_000][..], &[1; 200][..]].concat()), 64);
    }
}
