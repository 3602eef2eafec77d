//! A `main` that returns what it exits with.

use std::process::ExitCode;

loky::main! {
    fn main() -> ExitCode {
        #[loky::task]
        fn inside() {}
        assert!(inside::TASK.name().ends_with("::inside"));
        ExitCode::SUCCESS
    }
}
