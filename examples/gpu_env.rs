#![allow(clippy::print_stdout, reason = "an example prints")]
//! One GPU for each worker, selected by the variable that CUDA reads first.
//!
//! The example needs no GPU: it shows the variables of the workers.

use std::collections::BTreeMap;

/// The worker that has run a call, and its variables.
#[derive(serde::Serialize, serde::Deserialize)]
struct Seen {
    worker: Option<usize>,
    gpu: Option<String>,
    threads: Option<String>,
}

#[loky::task]
fn train(_batch: u32) -> Seen {
    // A library would find the one GPU of this process here.
    Seen {
        worker: loky::worker_index(),
        gpu: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        threads: std::env::var("OMP_NUM_THREADS").ok(),
    }
}

#[loky::entry]
fn main() -> loky::Result<()> {
    let gpus = ["0", "1"];
    let executor = loky::ProcessPoolExecutor::builder()
        .max_workers(4) // Two for each GPU.
        .worker_env("CUDA_VISIBLE_DEVICES", gpus)
        .inner_threads(1)
        .build()?;
    executor.prewarm()?;

    let mut batches = BTreeMap::new();
    for seen in executor.map(train, 0..1000).chunksize(1) {
        let Seen { worker, gpu, threads } = seen?;
        let worker = worker.expect("a task runs in a worker");
        assert_eq!(gpu.as_deref(), Some(gpus[worker % gpus.len()]));
        assert_eq!(threads.as_deref(), Some("1"));
        *batches.entry((worker, gpus[worker % gpus.len()])).or_insert(0) += 1;
    }
    for ((worker, gpu), n_batches) in batches {
        println!("worker {worker} on GPU {gpu}: {n_batches} batches");
    }
    assert_eq!(loky::worker_index(), None); // This is no worker.
    Ok(())
}
