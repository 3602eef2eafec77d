//! The error of a setting that is out of its range.

use crate::error::{Error, ErrorKind};

/// Returns an error whose message names the setting.
pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}
