//! Has no entry, and tries to use workers anyway. With `LOKY_TESTS_CHILD_STDIN` it first runs itself as a child.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use std::process::{Command, Stdio};

const CHILD_STDIN: &str = "LOKY_TESTS_CHILD_STDIN";

#[loky::task]
fn one() -> u64 {
    1
}

fn main() {
    println!("main");
    if let Ok(stdin) = std::env::var(CHILD_STDIN) {
        let stdin = if stdin == "inherit" { Stdio::inherit() } else { Stdio::null() };
        let mut child = Command::new(std::env::current_exe().unwrap());
        let status = child.env_remove(CHILD_STDIN).stdin(stdin).status().unwrap();
        assert_eq!(status.code(), Some(1));
    }
    match loky::ProcessPoolExecutor::new() {
        Ok(executor) => println!("built: {:?}", executor.submit(one, ()).result()),
        Err(error) => println!("{:?}: {error}", error.kind()),
    }
    println!("children: {}", loky_tests::children_of(std::process::id()).len());
    std::process::exit(1);
}
