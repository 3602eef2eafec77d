//! Handles belong to the process that made them: in a forked child no thread would ever bring their outcomes.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::fork_guard;

/// Checks that this is the process `owner`, and not one that was forked off it.
pub(crate) fn check_process(owner: u32) -> Result<()> {
    if fork_guard::current_pid() == owner {
        return Ok(());
    }
    let message =
        format!("this handle belongs to the process `{owner}`, which this one was forked off");
    Err(Error::new(ErrorKind::InvalidConfig, message))
}
