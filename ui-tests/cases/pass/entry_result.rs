//! A `main` that returns a `Result`, with attributes above and below.

#[loky::task]
fn double(x: u64) -> u64 {
    2 * x
}

/// The start of the program.
#[allow(non_snake_case)]
#[loky::entry]
#[expect(unused_variables, reason = "the point of it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let UNUSED = 1;
    let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
    assert_eq!(executor.submit(double, 4).result()?, 8);
    Ok(())
}
