//! Has its workers do what its argument says, says `ready`, and ends in the way that the argument says, or never.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use std::time::Duration;

use loky_tests::{tasks, until};

loky::main! {
    fn main() {
        let mode = std::env::args().nth(1).unwrap();
        let workers = if mode == "start" { 16 } else { 2 };
        let executor = loky::ProcessPoolExecutor::builder().max_workers(workers).build().unwrap();
        if mode == "start" {
            println!("ready");
        }
        executor.prewarm().unwrap();
        let task = match mode.as_str() {
            "children" => tasks::block_with_children::TASK,
            "below" => tasks::block_below::TASK,
            _ => tasks::block::TASK,
        };
        let is_idle = matches!(mode.as_str(), "start" | "idle");
        let calls: Vec<_> = (0..2).filter(|_| !is_idle).map(|_| executor.submit(task, ())).collect();
        let is_running = || calls.iter().all(loky::Future::running);
        until("calls that run", Duration::from_secs(60), is_running);
        match mode.as_str() {
            "exit" => std::process::exit(5),
            "panic" => panic!("the program ends in a panic"),
            "start" => {}
            _ => println!("ready"),
        }
        loop {
            std::thread::park();
        }
    }
}
