//! All keys, in the forms that they may have.

#[loky::task(name = "α b/c", timeout = "1.5h", retries = 0, companion = "Tau")]
fn all() {}

#[loky::task(timeout = "250ms", retries = 4_294_967_295)]
fn milliseconds() {}

#[rustfmt::skip]
#[loky::task(retries = 0x10_u32, timeout = "30s",)]
fn seconds() {}

#[loky::task(timeout = r"0.5m")]
fn minutes() {}

#[loky::task()]
fn none() {}

fn main() {
    assert_eq!(Tau::TASK.name(), "α b/c");
    assert_ne!(none::TASK.name(), minutes::TASK.name());
    assert_ne!(seconds::TASK.name(), milliseconds::TASK.name());
}
