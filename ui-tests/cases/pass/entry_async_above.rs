//! An `async fn main` whose runtime stands above the entry.

#[loky::task]
fn double(x: u64) -> u64 {
    2 * x
}

#[tokio::main(flavor = "current_thread")]
#[loky::entry]
async fn main() {
    let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
    assert_eq!(executor.submit(double, 4).await.unwrap(), 8);
}
