//! Programs that each show one idea of loky. Run one with `cargo run --release --example NAME`.
//!
//! - `say_hello`: the first example of the README, and of Python's loky: one call, then fifty on four workers.
//! - `reusable`: one executor for the whole process, whose workers stay warm.
//! - `initializer`: a costly table that each worker loads once.
//! - `gpu_env`: one GPU for each worker, selected by an environment variable.
//! - `shared_array`: a large array in shared memory that all workers read.
//! - `wordcount`: a whole program on real input: counts the words of the text files in a folder.
