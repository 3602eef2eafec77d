//! The harness of the test suite.
//!
//! Each test runs in a process of its own ([`isolated`]): so a hang can be ended, a crash hurts no other test, tests can run
//! beside each other, and a [`Census`] of processes, descriptors, threads and mappings is exact. The helper programs lie in
//! `src/bin`, and are run by [`program`].

//!
//! [`tasks`], [`step`] and [`deed`] are the tasks that tests share. [`pools`] builds executors, [`held`] has calls that block.
#![expect(clippy::missing_panics_doc, reason = "a helper of tests panics where the test fails")]

mod census;
pub mod deed;
mod event;
pub mod forked;
pub mod held;
mod isolated;
pub mod ledger;
pub mod limits;
pub mod map_orders;
pub mod marked;
pub mod pools;
mod program;
mod random;
mod record;
pub mod repository;
pub mod scratch;
pub mod scribble;
pub mod signal;
pub mod step;
pub mod storm;
pub mod tasks;
pub mod time;

pub use census::{
    Census, Proc, children_of, is_alive, process, processes_in_session, shared_files,
};
pub use event::Event;
pub use isolated::{isolated, isolated_with_stderr, until};
pub use program::{Finished, program, program_path, run};
pub use random::Random;
pub use record::Record;
