//! The default limit of a worker's memory growth, which an environment variable changes.

use super::invalid::invalid;
use crate::error::Result;
use crate::limits;

/// Python loky's variable, since its version 3.7.
const VARIABLE: &str = "LOKY_MAX_MEMORY_LEAK_SIZE";

/// Returns the limit for a builder that sets none, in bytes.
///
/// # Errors
/// The variable is set to no positive number.
pub(super) fn default_limit() -> Result<u64> {
    match std::env::var_os(VARIABLE) {
        None => Ok(limits::MEMORY_GROWTH_BYTES),
        Some(value) => {
            let value = value.to_string_lossy();
            parse(&value).ok_or_else(|| {
                let value = value.escape_debug();
                invalid(format!(
                    "`{VARIABLE}` must be a number of bytes greater than 0, such as `2e9`, not `{value}`"
                ))
            })
        }
    }
}

/// Parses a number as Python's `int(float(…))` does: `300000000` and `3e8` are equal.
fn parse(text: &str) -> Option<u64> {
    let bytes: f64 = text.trim().parse().ok()?;
    // The conversion saturates: a number that `u64` cannot hold is no limit.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked by the condition"
    )]
    (bytes.is_finite() && bytes >= 1.0).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_python_are_accepted() {
        for (text, bytes) in [
            ("300000000", 300_000_000),
            ("3e8", 300_000_000),
            (" 2.5E3\n", 2500),
            ("1.9", 1),
            ("1e30", u64::MAX),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text:?}");
        }
    }

    #[test]
    fn other_values_are_rejected() {
        for text in ["", "lots", "300 MB", "0", "0.5", "-1", "nan", "inf", "-inf", "1,5"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
