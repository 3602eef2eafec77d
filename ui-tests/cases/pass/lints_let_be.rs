//! What the user allows or expects on a function holds for what is made of it.
#![deny(warnings)]

#[deprecated]
type Old = u8;

#[loky::task]
#[allow(deprecated)]
fn takes_old(a: Old) -> Old {
    a
}

#[loky::task]
#[expect(deprecated, non_snake_case)]
fn TakesOld(A: Old) -> Old {
    A
}

#[loky::task]
#[deprecated(note = "use another")]
fn old() {}

fn main() {
    assert_ne!(takes_old::TASK.name(), TakesOld::TASK.name());
}
