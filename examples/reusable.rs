#![allow(clippy::print_stdout, reason = "an example prints")]
//! One executor for the whole process: all parts of a program share its warm workers, without passing it around.
//!
//! The entry is written as `loky::main!` here. The other examples use `#[loky::entry]`.

use std::time::{Duration, Instant};

#[loky::task]
fn is_prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// One part of a program.
fn count_primes(below: u64) -> loky::Result<usize> {
    let executor = loky::get_reusable_executor()?;
    let are_prime = executor.map(is_prime, 0..below).collect::<loky::Result<Vec<_>>>()?;
    Ok(are_prime.into_iter().filter(|is_prime| *is_prime).count())
}

/// Another part, which needs one worker for a short time.
fn is_one_prime(n: u64) -> loky::Result<bool> {
    let executor =
        loky::reusable_executor().max_workers(1).idle_timeout(Duration::from_millis(100)).get()?;
    executor.submit(is_prime, n).result()
}

loky::main! {
    fn main() -> loky::Result<()> {
        for run in ["cold", "warm"] {
            let start = Instant::now();
            let n_primes = count_primes(2000)?;
            println!("{run}: {n_primes} primes below 2000 in {:?}", start.elapsed());
            assert_eq!(n_primes, 303);
        }

        // Equal settings return one executor, with one set of workers.
        let executor = loky::get_reusable_executor()?;
        println!("executor {} has the workers {:?}", executor.id(), executor.worker_pids());
        assert_eq!(loky::get_reusable_executor()?.id(), executor.id());

        // Other settings replace the executor. Handles of the first one stay good.
        assert!(!is_one_prime(561)?);
        assert!(executor.submit(is_prime, 1_000_003).result()?);

        // The program does not wait for this call, but the end of `main` does.
        drop(loky::get_reusable_executor()?.submit(is_prime, 2_147_483_647));
        Ok(())
    }
}
