#[loky::task(nam = "geo.add", companion = "Sum", r#type = 3, name("geo.add"))]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn main() {
    let _ = Sum::call(1, 2);
}
