#[loky::task]
fn square(x: u64) -> u64 {
    x * x
}

fn main() {
    let executor = loky::ProcessPoolExecutor::new().unwrap();
    let _ = executor.map(square, 0..9).unordered().chunksize(3);
}
