#[loky::task(name, companion =)]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn main() {
    let _ = add::call(1, 2);
}
