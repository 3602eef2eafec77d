//! A worker for others, which has a task of `it` with another signature.

#[loky::task(name = "loky-tests.shared")]
fn shared(x: u32, y: u32) -> u32 {
    x + y
}

loky::main! {
    fn main() {
        panic!("a worker has no business here");
    }
}
