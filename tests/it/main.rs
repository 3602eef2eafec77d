//! The integration tests: a file a feature, each test in a process of its own.

loky::enable_test_support!();

mod as_completed;
mod callbacks;
mod crash_matrix;
mod entry;
mod faults;
mod fork;
mod kill_storm;
mod map;
mod parent_death;
mod policy;
mod registry;
mod regressions;
mod shutdown;
mod spawn;
mod submit;
mod tidy;
mod wait;
mod worker;
