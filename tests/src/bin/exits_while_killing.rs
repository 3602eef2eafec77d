//! Kills its workers, in the middle of calls, and exits in the middle of that.

use std::time::Duration;

use loky::{ProcessPoolExecutor, Shutdown};
use loky_tests::{tasks, until};

loky::main! {
    fn main() {
        let executor = ProcessPoolExecutor::builder().max_workers(4).build().unwrap();
        let calls: Vec<_> =
            (0..4).map(|_| executor.submit(tasks::block_with_children, ())).collect();
        let is_running = || calls.iter().all(loky::Future::running);
        until("calls that run", Duration::from_secs(60), is_running);
        let killer = executor.clone();
        std::thread::spawn(move || killer.shutdown(Shutdown::Kill));
        while !executor.is_shutdown() {
            std::thread::yield_now();
        }
        std::process::exit(0);
    }
}
