#[loky::task(nam = "geo.add", timeout = "1s", r#type = 3, name("geo.add"))]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn main() {
    let _ = add::call(1, 2);
}
