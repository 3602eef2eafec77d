//! Calls `loky::init` by hand, and ends while calls run that never end: no thread waits for them.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use std::time::Duration;

use loky::Future;
use loky_tests::{tasks, until};

fn main() {
    loky::init();
    let executor = loky::reusable_executor().max_workers(2).get().unwrap();
    let calls = [(); 2].map(|()| executor.submit(tasks::block, ()));
    until("calls that run", Duration::from_secs(60), || calls.iter().all(Future::is_running));
    println!("the end of main");
}
