//! A program that is compared: it lives as long as the comparison, and is asked for one block at a time.

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

/// Whether this Python can be compared.
pub(crate) fn has_loky(python: &str) -> bool {
    // A folder of the name `loky` is a module as well, but one without a version.
    let mut command = Command::new(python);
    command.args(["-c", "import loky; loky.__version__"]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Program {
    /// This program, as one of those that it compares.
    pub(crate) fn in_rust(name: &str) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--serve", name]);
        Self::start(command, name.to_owned(), Some(version(name)?))
    }

    /// One of Python's pools.
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
        let output = BufReader::new(child.stdout.take().expect("it was asked for"));
        let mut program = Self { name, version: String::new(), child, input, output };
        let said = program.read_line()?;
        program.version = version.unwrap_or(said);
        Ok(program)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its name and version.
    pub(crate) fn describe(&self) -> peers::Program {
        peers::Program { name: self.name.clone(), version: self.version.clone() }
    }

    /// One block; `None` if the program has nothing of the kind.
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
            0 => Err(format!("`{}` ended", self.name).into()),
            _ => Ok(line.trim().to_owned()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.input = None; // It ends at the end of its input.
        let _ = self.child.wait();
    }
}

/// The version of a crate that this program is built with: as it is pinned, since others may bring another one along, or, for
/// loky, as it is.
fn version(name: &str) -> Result<String> {
    let pinned = (include_str!("../Cargo.toml"), format!("\n{name} = \"="));
    let locked = (include_str!("../Cargo.lock"), format!("name = \"{name}\"\nversion = \""));
    let version = [pinned, locked].into_iter().find_map(|(text, before)| {
        let (_, rest) = text.split_once(&before)?;
        rest.split('"').next()
    });
    Ok(version.ok_or_else(|| format!("no version of `{name}`"))?.to_owned())
}
