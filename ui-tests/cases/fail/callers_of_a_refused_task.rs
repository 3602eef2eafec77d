#[loky::task(nam = "add")]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[loky::task]
fn length(text: &str) -> usize {
    text.len()
}

fn main() -> loky::Result<()> {
    let executor = loky::ProcessPoolExecutor::new()?;
    let sum: u64 = executor.submit(add, (1, 2)).result()?;
    let sum: u64 = executor.submit(add::TASK, (sum, 2)).result()?;
    let sum: u64 = executor.spawn(add::call(sum, 2)).result()?;

    let first: usize = executor.submit(length::TASK, "text").result()?;
    let second: usize = executor.spawn(length::call("text")).result()?;
    assert_eq!(first + second + add(sum, 1) as usize, 1);
    Ok(())
}
