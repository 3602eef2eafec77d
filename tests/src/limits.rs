//! Resource limits of this process.

use std::fs::File;

use loky::{Error, Execution};

/// Sets the limit of descriptors of this process. Returns the limit before.
pub fn limit_descriptors(soft: libc::rlim_t) -> libc::rlim_t {
    limit(libc::RLIMIT_NOFILE, soft)
}

/// Sets a resource limit of this process. Returns the limit before.
pub fn limit(resource: libc::__rlimit_resource_t, soft: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    #[expect(unsafe_code, reason = "std has no resource limits")]
    // SAFETY: `limit` has room for what is written.
    let got = unsafe { libc::getrlimit(resource, &raw mut limit) };
    let before = limit.rlim_cur;
    limit.rlim_cur = soft;
    #[expect(unsafe_code, reason = "std has no resource limits")]
    // SAFETY: `limit` is filled in.
    let set = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!((got, set), (0, 0));
    before
}

/// A lack of descriptors, which ends when this value is dropped.
#[derive(Debug)]
pub struct Scarcity {
    limit: libc::rlim_t,
    files: Vec<File>,
}

impl Scarcity {
    /// Uses up all descriptors of this process but `n_free`.
    #[must_use]
    pub fn with_free(n_free: usize) -> Self {
        let limit = limit_descriptors(200);
        let mut files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        files.truncate(files.len() - n_free);
        Self { limit, files }
    }
}

impl Drop for Scarcity {
    fn drop(&mut self) {
        self.files.clear();
        limit_descriptors(self.limit);
    }
}

/// Insists that the error names the limit of descriptors.
#[track_caller]
pub fn names_the_limit(error: &Error) {
    assert!(error.is_io() || error.is_spawn(), "{error:?}");
    assert!(error.to_string().contains("`RLIMIT_NOFILE`"), "{error}");
    assert_eq!(error.execution(), Execution::NotStarted, "{error:?}");
}
