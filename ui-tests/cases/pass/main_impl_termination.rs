//! A `main` whose return type has no name.

use std::process::{ExitCode, Termination};

loky::main! {
    pub fn main() -> impl Termination {
        Ok::<_, String>(ExitCode::SUCCESS)
    }
}
