//! What an initializer returned would be thrown away, in a `Result` as well.

#[loky::task]
fn load(size: u64) -> Result<u32, String> {
    u32::try_from(size).map_err(|error| error.to_string())
}

fn main() {
    let _ = loky::ProcessPoolExecutor::builder().initializer(load, 3);
}
