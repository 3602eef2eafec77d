//! `submit`, `spawn`, and what becomes of ordinary calls.

use loky::ProcessPoolExecutor;
use loky_tests::isolated;

#[loky::task]
fn pow(base: u64, exponent: u32) -> u64 {
    base.pow(exponent)
}

#[test]
fn test_submit() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(2).build().unwrap();
        assert_eq!(executor.submit(pow, (2, 8)).result().unwrap(), 256);
    });
}
