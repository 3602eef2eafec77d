//! The program whose instructions are counted: one executor, one worker, a number of calls of a task that does nothing.
//!
//! It is this program again, under valgrind. Two settings are there for valgrind's sake: the worker is found by its path
//! (`/proc/self/exe` is valgrind there), and does not look at its memory, which it would do once a second.

use std::env;
use std::iter::repeat_n;

use loky::ProcessPoolExecutor;
use loky_benches::Result;

#[loky::task]
fn noop() {}

/// One way to make calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Each is waited for before the next one.
    RoundTrip,
    /// All are submitted, then all results asked for.
    Collect,
    /// By `map`, as it likes.
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

    /// By how many parts in a hundred a count may be more than the stored one: more than runs differ by.
    pub(crate) fn margin(self) -> u64 {
        match self {
            Self::RoundTrip => 5,
            // Who has which turn goes by time.
            Self::Collect | Self::Map => 20,
        }
    }

    /// Whether what the pool's own thread does belongs to the calls. Where the caller reads each answer himself it does not:
    /// that thread then looks at the pool once a millisecond, however many calls there are in one.
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
