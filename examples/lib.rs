//! Programs that show loky at work, an idea each; run one with `cargo run --release --example NAME`.
//!
//! - `say_hello`: the first example of the README, and of Python's loky: one call, then fifty on four workers.
//! - `reusable`: one executor for the whole process, found by whoever asks, and kept warm.
//! - `initializer`: a costly table, loaded once by each worker.
//! - `gpu_env`: a GPU for each worker, by a variable of its environment.
//! - `shared_array`: a large array that all workers read where it is.
//! - `wordcount`: the main job on real input: counts the words of a folder's text files, in worker processes.
