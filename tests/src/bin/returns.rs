//! Ends in the way that its argument says, after it has used workers.

use std::process::ExitCode;

use loky_tests::tasks;

loky::main! {
    fn main() -> Result<ExitCode, String> {
        let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
        match std::env::args().nth(1).as_deref() {
            Some("success") => Ok(ExitCode::SUCCESS),
            Some("code") => Ok(ExitCode::from(7)),
            Some("error") => Err("an error of the program".to_owned()),
            Some("exit") => std::process::exit(9),
            Some("panic") => panic!("a panic of the program"),
            other => panic!("no way to end: {other:?}"),
        }
    }
}
