//! What an initializer returned would be thrown away.

#[loky::task]
fn load(size: u64) -> u64 {
    size
}

fn main() {
    let _ = loky::ProcessPoolExecutor::builder().initializer(load, 3);
}
