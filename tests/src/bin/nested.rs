//! Nests executors as deep as its argument says, and prints how deep it came, or the first error on the way. Further arguments:
//! `reusable`, for the executors to be those that each process shares; `kill`, for each to be ended so.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use loky::{Error, ProcessPoolExecutor, Shutdown};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Manner {
    is_reusable: bool,
    is_killed: bool,
}

fn told(error: Error) -> String {
    format!("{:?} at depth {}: {error}", error.kind(), loky::depth())
}

#[loky::task]
fn nest(levels: u32, manner: Manner) -> Result<u32, String> {
    if levels == 0 {
        return Ok(loky::depth());
    }
    let executor = match manner.is_reusable {
        true => loky::reusable_executor().max_workers(1).get(),
        false => ProcessPoolExecutor::builder().max_workers(1).build(),
    };
    let executor = executor.map_err(told)?;
    let result = executor.submit(nest, (levels - 1, manner)).result();
    if manner.is_killed {
        executor.shutdown(Shutdown::Kill);
    }
    result.map_err(told)?
}

loky::main! {
    fn main() {
        let args: Vec<_> = std::env::args().skip(1).collect();
        let has = |word| args.iter().any(|arg| arg == word);
        let manner = Manner { is_reusable: has("reusable"), is_killed: has("kill") };
        match nest(args[0].parse().expect("a number of levels"), manner) {
            Ok(depth) => println!("{depth}"),
            Err(error) => println!("{error}"),
        }
    }
}
