//! The environment variable that tells a started process that it is a worker.
//!
//! It names the parent and the socket on the process's stdin. A process that merely inherited the variable has another stdin,
//! and is no worker.

/// The name of the variable.
pub(crate) const COOKIE_ENV: &str = "__LOKY_WORKER";

/// The value of the variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) parent_pid: u32,
    pub(crate) socket_inode: u64,
}

impl Cookie {
    pub(crate) fn to_text(self) -> String {
        format!("{}:{}", self.parent_pid, self.socket_inode)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (parent_pid, socket_inode) = text.split_once(':')?;
        Some(Self {
            parent_pid: parent_pid.parse().ok()?,
            socket_inode: socket_inode.parse().ok()?,
        })
    }
}
