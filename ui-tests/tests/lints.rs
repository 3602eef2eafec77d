//! No lint may speak up about code that a user did not write: this compiles without a warning, in clippy as well.
//!
//! `forbid` stands for the lints that people do forbid; an expansion that allows one of them would be an error.

#![forbid(unsafe_code, missing_docs, unreachable_pub, dead_code, non_camel_case_types)]
#![forbid(missing_debug_implementations, missing_copy_implementations, unnameable_types)]
#![deny(unused, unused_qualifications, unused_results, elided_lifetimes_in_paths, deprecated)]
#![deny(
    clippy::pedantic,
    clippy::nursery,
    clippy::exhaustive_enums,
    clippy::missing_inline_in_public_items
)]

/// Adds.
#[loky::task]
#[must_use]
#[inline]
pub const fn add(left: u64, right: u64) -> u64 {
    left.saturating_add(right)
}

/// Replaced by `add`.
#[deprecated(note = "use `add`")]
#[loky::task(name = "old")]
#[inline]
pub const fn old() {}

// Private, and mentioned nowhere: its registration is use enough.
#[loky::task]
const fn never_mentioned(one: u8) -> u8 {
    one
}

#[loky::task]
#[expect(non_snake_case, reason = "the point of it")]
#[expect(clippy::too_many_arguments, clippy::type_complexity, reason = "the point of it")]
fn TooMuch(
    (one, _): (u8, u8),
    mut two: u8,
    _: u8,
    Three: u8,
    four: u8,
    five: u8,
    six: u8,
    seven: Vec<(u8, Option<Vec<(u8, u16)>>, Option<Box<(u8, u8)>>)>,
) -> Vec<(u8, Option<Vec<(u8, u16)>>, Option<Box<(u8, u8)>>)> {
    two += one + Three + four + five + six;
    assert_ne!(two, 0, "{two}");
    seven
}

/// For the visibilities.
pub mod inner {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Private;

    #[loky::task]
    const fn private(value: Private) -> Private {
        value
    }

    #[loky::task]
    pub(super) const fn r#type(r#fn: u8) -> u8 {
        r#fn
    }
}

#[test]
fn all_are_registered() {
    let mut names = Vec::new();
    for task in loky::registry() {
        names.push(task.name());
    }
    for name in ["add", "never_mentioned", "TooMuch", "inner::private", "inner::type"] {
        assert!(names.contains(&format!("lints::{name}").as_str()), "{name} in {names:?}");
    }
    assert!(names.contains(&"old"));
    assert_eq!(add::call(1, 2).task().name(), "lints::add");
    assert_eq!(inner::r#type::TASK.name(), "lints::inner::type");
}
