//! The harness of the test suite.
//!
//! Each test runs in a process of its own ([`isolated`]): so a hang can be ended, a crash hurts no other test, tests can run
//! beside each other, and a [`Census`] of processes, descriptors, threads and mappings is exact. The helper programs lie in
//! `src/bin`, and are run by [`program`].

mod census;
mod event;
mod isolated;
mod program;
mod random;
mod record;
pub mod repository;
pub mod tasks;

pub use census::{Census, Proc, children_of, is_alive, process, processes_in_session};
pub use event::Event;
pub use isolated::{isolated, isolated_with_stderr, until};
pub use program::{Finished, program, program_path, run};
pub use random::Random;
pub use record::Record;
