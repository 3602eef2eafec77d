//! Builds an executor, with the limit of memory growth that the second argument gives, if there is one. Then, for `leak`, leaks
//! memory in its worker until another worker replaces it.
#![expect(clippy::print_stdout, reason = "tests read it")]

/// Leaks 1 MB and returns the process id.
#[loky::task]
fn leak() -> u32 {
    Vec::leak(vec![1_u8; 1_000_000]);
    std::process::id()
}

#[loky::entry]
fn main() -> loky::Result<()> {
    let mut args = std::env::args().skip(1);
    let job = args.next().unwrap_or_default();
    let limit: Option<u64> = args.next().and_then(|limit| limit.parse().ok());
    let built = if job == "get" {
        loky::reusable_executor().max_workers(1).get()
    } else {
        let builder = loky::ProcessPoolExecutor::builder().max_workers(1);
        match limit {
            Some(limit) => builder.memory_growth_limit(limit).build(),
            None => builder.build(),
        }
    };
    let executor = match built {
        Ok(executor) => executor,
        Err(error) => {
            println!("{:?}: {error}", error.kind());
            return Ok(());
        }
    };
    if job != "leak" {
        println!("built");
        return Ok(());
    }
    // At least a second apart, since a worker looks once a second; and no more than 100 MB.
    let first = executor.submit(leak, ()).result()?;
    for _ in 0..100 {
        if executor.submit(leak, ()).result()? != first {
            println!("replaced");
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    println!("kept");
    Ok(())
}
