#[loky::task]
fn sum(first: u64, rest: ...) -> u64 {
    let _ = rest;
    first
}

fn main() {
    let _: loky::Task<u64, u64> = sum::TASK;
}
