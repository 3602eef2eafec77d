//! A compared program: a process that lives as long as the comparison and measures one block at a time.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use loky_benches::Result;
use loky_benches::peers::{self, Measure};

#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    version: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Whether this Python has loky.
pub(crate) fn has_loky(python: &str) -> bool {
    // A folder `loky` is a module as well, but without a version.
    let mut command = Command::new(python);
    command.args(["-c", "import loky; loky.__version__"]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Program {
    /// Starts this program as one of the compared ones.
    pub(crate) fn in_rust(name: &str) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--serve", name]);
        Self::start(command, name.to_owned(), Some(version(name)?))
    }

    /// Starts one of Python's pools.
    pub(crate) fn in_python(python: &str, name: &str) -> Result<Self> {
        let mut command = Command::new(python);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/peer.py");
        command.arg("-B").arg(script).arg(name);
        let name = if name == "loky" { "loky for Python" } else { name };
        Self::start(command, name.to_owned(), None)
    }

    fn start(mut command: Command, name: String, version: Option<String>) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut program = Self { name, version: String::new(), child, input, output };
        let line = program.read_line()?;
        program.version = version.unwrap_or(line);
        Ok(program)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns name and version.
    pub(crate) fn describe(&self) -> peers::Program {
        peers::Program { name: self.name.clone(), version: self.version.clone() }
    }

    /// Measures one block; `None` if the program does not support the measure.
    pub(crate) fn ask(&mut self, measure: Measure) -> Result<Option<f64>> {
        let mut input = self.input.as_ref().expect("taken by the drop alone");
        writeln!(input, "{}", measure.name())?;
        match self.read_line()?.as_str() {
            "-" => Ok(None),
            value => Ok(Some(value.parse()?)),
        }
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err(format!("`{}` exited", self.name).into()),
            _ => Ok(line.trim().to_owned()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.input = None; // The program exits at the end of its input.
        let _ = self.child.wait();
    }
}

/// Returns the version of a crate of this program: the pinned one, because dependencies may bring another one along, or the
/// locked one of loky.
fn version(name: &str) -> Result<String> {
    let pinned = (include_str!("../Cargo.toml"), format!("\n{name} = \"="));
    let locked = (include_str!("../Cargo.lock"), format!("name = \"{name}\"\nversion = \""));
    let version = [pinned, locked].into_iter().find_map(|(text, before)| {
        let (_, rest) = text.split_once(&before)?;
        rest.split('"').next()
    });
    Ok(version.ok_or_else(|| format!("no version of `{name}`"))?.to_owned())
}
