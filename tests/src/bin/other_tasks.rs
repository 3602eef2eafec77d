//! A worker for others, which knows one task of `it` and no other.

#[loky::task(name = "loky-tests.shared")]
fn shared(x: u64) -> u64 {
    x + 1000
}

loky::main! {
    fn main() {
        panic!("a worker has no business here");
    }
}
