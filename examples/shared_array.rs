#![allow(clippy::print_stdout, reason = "an example prints")]
//! A large array in shared memory, which all workers read without a copy. It is filled in place and frozen, and only its handle
//! is sent. The results return as shared memory too.

use std::time::Instant;

use loky::TaskResult;
use loky::shared::{SharedSlice, SharedSliceMut};

/// The differences of neighbours in one part of the samples.
#[loky::task]
fn differences(samples: SharedSlice<f64>, from: usize, to: usize) -> TaskResult<SharedSlice<f64>> {
    let mut differences = SharedSliceMut::zeroed(to - from)?;
    for (difference, pair) in differences.iter_mut().zip(samples[from..].windows(2)) {
        *difference = pair[1] - pair[0];
    }
    Ok(differences.freeze()?)
}

#[loky::entry]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n = 4_000_000;
    let mut samples = SharedSliceMut::<f64>::zeroed(n + 1)?;
    for (i, sample) in samples.iter_mut().enumerate() {
        *sample = (i as f64).sqrt();
    }
    let samples = samples.freeze()?;

    let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    executor.prewarm()?;
    let start = Instant::now();
    let parts = (0..4).map(|part| (samples.clone(), part * n / 4, (part + 1) * n / 4));
    let parts: Vec<_> = executor.map(differences, parts).collect::<Result<_, _>>()?;
    let parts = parts.into_iter().collect::<TaskResult<Vec<_>>>()?;
    println!("{} MB read by 4 calls in {:?}", n * 8 / 1_000_000, start.elapsed());

    let sum: f64 = parts.iter().flatten().sum();
    println!("the differences add up to {sum:.3}, the last sample is {:.3}", samples[n]);
    assert!((sum - samples[n]).abs() < 1e-6);
    Ok(())
}
