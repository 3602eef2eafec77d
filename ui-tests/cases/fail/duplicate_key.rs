#[loky::task(name = "a", companion = "Sum", name = "a", name = "b")]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn main() {
    let _ = Sum::call(1, 2);
}
