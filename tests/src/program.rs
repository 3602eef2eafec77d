//! Runs the helper programs of `src/bin`.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The end of a program.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its output on stdout.
    pub stdout: String,
    /// Its output on stderr.
    pub stderr: String,
}

/// The path of a helper program, which lies beside the folder of the test binary.
///
/// # Panics
/// If there is none of this name.
#[must_use]
pub fn program_path(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this binary");
    let folder = test.ancestors().nth(2).expect("target/debug/deps/it");
    let path = folder.join(name);
    assert!(path.exists(), "no program {}", path.display());
    path
}

/// A helper program, ready to be run with its streams piped.
#[must_use]
pub fn program(name: &str) -> Command {
    let mut command = Command::new(program_path(name));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run(command: &mut Command) -> Finished {
    let Output { status, stdout, stderr } = command.output().expect("starting a program");
    Finished {
        code: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
