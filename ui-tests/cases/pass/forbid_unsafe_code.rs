//! A crate that forbids `unsafe` can have tasks and an entry.

#![forbid(unsafe_code)]

#[loky::task]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

loky::main! {
    fn main() {
        assert!(add::TASK.name().ends_with("::add"));
    }
}
