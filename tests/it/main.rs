//! The integration tests: a file a feature, each test in a process of its own.

loky::enable_test_support!();

mod as_completed;
mod callbacks;
mod cancel;
mod churn;
mod cpu_count;
mod crash_matrix;
mod endings;
mod entry;
mod faults;
mod fork;
mod kill_storm;
mod ledger;
mod map;
mod map_adapters;
mod map_unordered;
mod observer;
mod parent_death;
mod policy;
mod prefetch;
mod readers;
mod registry;
mod regressions;
mod shutdown;
mod slot_page;
mod spawn;
mod step;
mod submit;
mod tidy;
mod wait;
mod worker;
