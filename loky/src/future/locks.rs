//! The locks of an outcome cell. The loom model replaces this file by loom's.

pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
