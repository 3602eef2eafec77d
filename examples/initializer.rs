#![allow(clippy::print_stdout, reason = "an example prints")]
//! An initializer: each worker loads a costly table once, and all its calls use it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The smallest prime factor of each number.
static FACTORS: OnceLock<Vec<u32>> = OnceLock::new();

#[loky::task]
fn load(limit: u32) -> Result<(), String> {
    if limit < 2 {
        return Err(format!("a table of {limit} numbers is of no use"));
    }
    let mut factors = vec![0; limit as usize];
    for n in 2..limit {
        if factors[n as usize] == 0 {
            let multiples = (n..limit).step_by(n as usize);
            multiples.for_each(|multiple| {
                let factor = &mut factors[multiple as usize];
                *factor = if *factor == 0 { n } else { *factor };
            });
        }
    }
    FACTORS.set(factors).map_err(|_| "the table is there already".to_owned())
}

#[loky::task]
fn factorize(mut n: u32) -> Vec<u32> {
    let table = FACTORS.get().expect("the initializer has run");
    let mut factors = Vec::new();
    while n > 1 {
        let factor = table[n as usize];
        factors.push(factor);
        n /= factor;
    }
    factors
}

#[loky::entry]
fn main() -> loky::Result<()> {
    let with_table = |limit: u32| {
        let builder = loky::ProcessPoolExecutor::builder().max_workers(2);
        builder.initializer(load, limit).init_timeout(Duration::from_secs(60)).build()
    };

    let executor = with_table(5_000_000)?;
    let start = Instant::now();
    executor.prewarm()?;
    println!("both workers have loaded the table after {:?}", start.elapsed());

    let start = Instant::now();
    let all: Vec<_> = executor.map(factorize, 4_000_000..4_010_000).collect::<Result<_, _>>()?;
    println!("10,000 numbers factorized in {:?}", start.elapsed());
    println!("4,000,002 = {:?}", all[2]);
    assert_eq!(all[2], [2, 3, 666_667]);

    // The error of the initializer becomes the outcome of the calls.
    let error = with_table(1)?.submit(factorize, 4).error().expect("no table, no result");
    println!("{error}");
    assert!(error.is_broken_process_pool());
    assert!(error.to_string().ends_with("failed: a table of 1 numbers is of no use"));
    Ok(())
}
