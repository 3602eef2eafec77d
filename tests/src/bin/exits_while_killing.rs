//! Kills its workers, in the middle of calls that start processes, and exits in the middle of that: at once, or after all
//! those processes are there, if it is told `settled`.

use std::time::Duration;

use loky::{Future, ProcessPoolExecutor, Shutdown};
use loky_tests::{children_of, tasks, until};

loky::main! {
    fn main() {
        let is_settled = std::env::args().nth(1).as_deref() == Some("settled");
        let executor = ProcessPoolExecutor::builder().max_workers(4).build().unwrap();
        let calls: Vec<_> =
            (0..4).map(|_| executor.submit(tasks::block_with_children, ())).collect();
        let has_children = |pid: u32| !is_settled || children_of(pid).len() == 3;
        until("calls that run", Duration::from_secs(60), || {
            calls.iter().all(Future::is_running) && executor.worker_pids().into_iter().all(has_children)
        });
        let killer = executor.clone();
        std::thread::spawn(move || killer.shutdown(Shutdown::Kill));
        while !executor.is_shutdown() {
            std::thread::yield_now();
        }
        std::process::exit(0);
    }
}
