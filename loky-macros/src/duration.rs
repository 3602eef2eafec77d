//! Durations as the attribute writes them: `"30s"`, `"1.5h"`.
//!
//! Exact: no floating point, so that the value in the table is the one in the source. Tested here.

use std::time::Duration;

const NANOS_PER_SEC: u128 = 1_000_000_000;

/// The units, and their nanoseconds. `ms` stands before `m` and `s`, which are its parts.
const UNITS: [(&str, u128); 4] = [
    ("ms", NANOS_PER_SEC / 1000),
    ("s", NANOS_PER_SEC),
    ("m", 60 * NANOS_PER_SEC),
    ("h", 3600 * NANOS_PER_SEC),
];

/// The duration that `text` says, or `None` where it says none that is longer than zero.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (number, unit) =
        UNITS.iter().find_map(|(name, nanos)| Some((text.strip_suffix(name)?, *nanos)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = digits(whole)?.checked_mul(scale)?.checked_add(digits(fraction)?)?;
    let nanos = scaled.checked_mul(unit)? / scale;
    let secs = u64::try_from(nanos / NANOS_PER_SEC).ok()?;
    let rest = u32::try_from(nanos % NANOS_PER_SEC).ok()?;
    (nanos > 0).then(|| Duration::new(secs, rest))
}

/// Decimal digits only, where `str::parse` would also take a sign.
fn digits(text: &str) -> Option<u128> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: impl Into<Option<Duration>>) {
        assert_eq!(parse(text), expected.into(), "{text:?}");
    }

    #[test]
    fn a_number_and_a_unit() {
        check("250ms", Duration::from_millis(250));
        check("30s", Duration::from_secs(30));
        check("2m", Duration::from_secs(120));
        check("1h", Duration::from_secs(3600));
        check("1.5h", Duration::from_secs(5400));
        check("0.1s", Duration::from_millis(100));
        check("0.000000001s", Duration::from_nanos(1));
        check("18446744073709551615s", Duration::from_secs(u64::MAX));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "s", "30", "30 s", "30S", "30sec", "-1s", "+1s", "1e3s", "1,5s", "ms"] {
            check(text, None);
        }
        for text in [".5s", "1.s", ".s", "1.2.3s", "0s", "0.0s", "0.0000000001s", "٣s"] {
            check(text, None);
        }
        for text in ["18446744073709551616s", "99999999999999999999999999999999999999h"] {
            check(text, None);
        }
        check(&format!("0.{}1s", "0".repeat(60)), None);
    }
}
