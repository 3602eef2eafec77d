//! The error of an initializer is to be shown.

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Silent;

#[loky::task]
fn load(size: u64) -> Result<(), Silent> {
    if size == 0 { Err(Silent) } else { Ok(()) }
}

fn main() {
    let _ = loky::ProcessPoolExecutor::builder().initializer(load, 3);
}
