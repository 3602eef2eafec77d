//! The counted program: one executor, one worker, and calls of a no-op task.
//!
//! It is this program again, under valgrind. Two settings are for valgrind: the worker is started by its path, because
//! `/proc/self/exe` is valgrind itself, and the memory check, which runs once a second, is off.

use std::env;
use std::iter::repeat_n;

use loky::ProcessPoolExecutor;
use loky_benches::Result;

#[loky::task]
fn noop() {}

/// A way to make calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The caller waits for each call before the next one.
    RoundTrip,
    /// The caller submits all calls, then collects all results.
    Collect,
    /// `map` makes the calls, with its own choice of batches.
    Map,
}

impl Subject {
    pub(crate) const ALL: [Self; 3] = [Self::RoundTrip, Self::Collect, Self::Map];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RoundTrip => "round trip",
            Self::Collect => "collect",
            Self::Map => "map",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The allowed difference to the stored count, in percent: more than the difference between runs.
    pub(crate) fn margin(self) -> u64 {
        match self {
            Self::RoundTrip => 5,
            // The order in which threads run depends on time.
            Self::Collect | Self::Map => 20,
        }
    }

    /// Whether the pool thread counts. In the round trip it does not: the caller reads each answer, and the pool thread looks at
    /// the pool once per millisecond, independent of the number of calls.
    pub(crate) fn counts_all_threads(self) -> bool {
        self != Self::RoundTrip
    }

    pub(crate) fn run(self, n_calls: usize) -> Result<()> {
        let builder = ProcessPoolExecutor::builder().max_workers(1);
        let executor = builder.worker_exe(env::current_exe()?).memory_growth_limit(None).build()?;
        executor.prewarm()?;
        match self {
            Self::RoundTrip => {
                for _ in 0..n_calls {
                    executor.submit(noop, ()).result()?;
                }
            }
            Self::Collect => {
                let futures: Vec<_> = (0..n_calls).map(|_| executor.submit(noop, ())).collect();
                for future in futures {
                    future.result()?;
                }
            }
            Self::Map => {
                for result in executor.map(noop, repeat_n((), n_calls)) {
                    result?;
                }
            }
        }
        Ok(())
    }
}
