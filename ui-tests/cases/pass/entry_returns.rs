//! A `main` with an exit code, and one that the configuration leaves out.

#[cfg(any())]
#[loky::entry]
fn main() -> ! {
    panic!("compiled out")
}

#[cfg(all())]
#[loky::entry]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
