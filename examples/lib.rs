//! Programs that show loky at work, an idea each; run one with `cargo run --release --example NAME`.
//!
//! - `say_hello`: the first example of the README, and of Python's loky: one call, then fifty on four workers.
//! - `wordcount`: the main job on real input: counts the words of a folder's text files, in worker processes.
