//! The keys of `#[loky::task]`, in the forms that they may have.

#[loky::task(name = "α b/c", companion = "Tau")]
fn all() {}

#[rustfmt::skip]
#[loky::task(name = r"raw",)]
fn raw() {}

#[loky::task(companion = "Other")]
fn renamed() {}

#[loky::task()]
fn none() {}

fn main() {
    assert_eq!(Tau::TASK.name(), "α b/c");
    assert_eq!(raw::TASK.name(), "raw");
    assert_ne!(none::TASK.name(), Other::TASK.name());
}
