#[loky::task("geo.add", companion = "Sum", = 3)]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn main() {
    let _ = Sum::call(1, 2);
}
