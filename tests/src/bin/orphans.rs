//! Has its workers do what its argument says, says `ready`, and ends in the way that the argument says, or never. With a second
//! argument `timeout` its workers have an idle timeout.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use std::time::Duration;

use loky_tests::{tasks, until};

loky::main! {
    fn main() {
        let mode = std::env::args().nth(1).unwrap();
        let workers = if mode == "start" { 16 } else { 2 };
        let has_timeout = std::env::args().nth(2).is_some_and(|arg| arg == "timeout");
        let timeout = has_timeout.then_some(Duration::from_secs(1));
        let builder = loky::ProcessPoolExecutor::builder().max_workers(workers).idle_timeout(timeout);
        let executor = builder.build().unwrap();
        if mode == "start" {
            println!("ready");
        }
        executor.prewarm().unwrap();
        let submit = || match mode.as_str() {
            "children" => executor.submit(tasks::block_with_children, ()),
            "below" => executor.submit(tasks::block_below, (1, timeout)),
            "far below" => executor.submit(tasks::block_below, (2, timeout)),
            _ => executor.submit(tasks::block, ()),
        };
        if mode == "full speed" {
            full_speed(&executor);
        }
        let is_idle = matches!(mode.as_str(), "start" | "idle");
        let calls: Vec<_> = (0..2).filter(|_| !is_idle).map(|_| submit()).collect();
        let is_running = || calls.iter().all(loky::Future::is_running);
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

/// Makes calls for ever: one by one, so that both sides sleep and are woken all the time, and many at once.
fn full_speed(executor: &loky::ProcessPoolExecutor) -> ! {
    println!("ready");
    loop {
        for number in 0..100 {
            assert_eq!(executor.submit(tasks::add, (number, 1)).result().unwrap(), number + 1);
        }
        let calls: Vec<_> =
            (0..500).map(|number| executor.submit(tasks::add, (number, 1))).collect();
        assert!(calls.iter().all(|call| call.result().is_ok()));
    }
}
