//! The measures, and the loop of a program that serves requests for them.
//!
//! | measure | workers | a block |
//! |---|---|---|
//! | round trip | 1 | no-op calls in sequence for 100 ms: the median time of one |
//! | collect | 2 | 10,000 no-op calls submitted, then all results collected, repeated for 200 ms (procspawn: 200 at a time, see `spawned.rs`) |
//! | map | 2 | 100,000 no-op calls by the pool's own `map`, repeated for 200 ms |
//! | 64 MiB | 1 | one call with 64 MiB of bytes, owned by the task, that returns their number |
//! | start | 2 | a new pool, until its first call has returned |

use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use loky_benches::peers::Measure;
use loky_benches::{Result, p50};

/// A way to run functions in other processes. A method returns `None` if the pool has no such operation.
pub(crate) trait Pool: Sized {
    /// Starts a pool with `n_workers` workers.
    fn start(n_workers: usize) -> Result<Self>;
    /// Makes a no-op call and waits for it.
    fn call(&mut self) -> Result<()>;
    /// Submits `n_calls` no-op calls, then collects all results.
    fn collect(&mut self, n_calls: usize) -> Result<Option<()>>;
    /// Makes `n_items` no-op calls by its `map`.
    fn map(&mut self, n_items: usize) -> Result<Option<()>>;
    /// Passes these bytes to a worker, which owns them and returns their count.
    fn large(&mut self, data: Vec<u8>) -> Result<usize>;
    /// Whether it starts its workers itself.
    const STARTS: bool = true;
}

const ROUND_TRIPS: Duration = Duration::from_millis(100);
const AT_LEAST: Duration = Duration::from_millis(200);
const N_COLLECTED: usize = 10_000;
const N_MAPPED: usize = 100_000;
const LARGE_BYTES: usize = 64 << 20;

/// Answers each line of the input, the name of a measure, with a number, or with `-` if the pool does not support it.
pub(crate) fn serve<P: Pool>() -> Result<()> {
    let (mut one, mut two) = (P::start(1)?, P::start(2)?);
    one.call()?;
    two.call()?;
    println!(); // The parent knows the version.
    for line in io::stdin().lock().lines() {
        let measure = Measure::named(&line?).ok_or("no measure of this name")?;
        let value = match measure {
            Measure::RoundTrip => Some(p50(ROUND_TRIPS, || one.call())?),
            Measure::Collect => per_second(N_COLLECTED, |n| two.collect(n))?,
            Measure::Map => per_second(N_MAPPED, |n| two.map(n))?,
            Measure::Large => Some(large(&mut one)?),
            Measure::Start => P::STARTS.then(first_result::<P>).transpose()?,
        };
        println!("{}", value.map_or_else(|| "-".to_owned(), |it| it.to_string()));
        io::stdout().flush()?;
    }
    Ok(())
}

fn per_second(
    n_calls: usize,
    mut run: impl FnMut(usize) -> Result<Option<()>>,
) -> Result<Option<f64>> {
    let start = Instant::now();
    let mut n_done = 0;
    while start.elapsed() < AT_LEAST {
        if run(n_calls)?.is_none() {
            return Ok(None);
        }
        n_done += n_calls;
    }
    Ok(Some(n_done as f64 / start.elapsed().as_secs_f64()))
}

fn large(pool: &mut impl Pool) -> Result<f64> {
    let data: Vec<u8> = (0..LARGE_BYTES).map(|i| (i % 251) as u8).collect();
    let start = Instant::now();
    let n_bytes = pool.large(data)?;
    let took = start.elapsed();
    assert_eq!(n_bytes, LARGE_BYTES, "bytes were lost");
    Ok(took.as_secs_f64() * 1e3)
}

fn first_result<P: Pool>() -> Result<f64> {
    let start = Instant::now();
    let mut pool = P::start(2)?;
    pool.call()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
