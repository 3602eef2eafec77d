//! The entry of a program: with it, copies of the program become workers and never reach `main`. Without it, no worker starts.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio as StdStdio};
use std::time::{Duration, Instant};

use loky::{Error, Stdio};
use loky_tests::marked::Marked;
use loky_tests::pools::builder;
use loky_tests::scratch::Scratch;
use loky_tests::{Finished, isolated, program, program_path, run, tasks};

/// The message for a program without an entry.
const ADVICE: [&str; 3] = ["loky::main!", "loky::init()", "loky::enable_test_support!()"];

#[loky::task(name = "loky-tests.shared")]
fn shared(x: u64) -> u64 {
    x
}

#[loky::task]
fn only_here() {}

#[track_caller]
fn assert_advice(text: &str) {
    for advice in ADVICE {
        assert!(text.contains(advice), "no {advice:?} in: {text}");
    }
}

/// The program `host`, listening.
struct Host {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Host {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(StdStdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut host = Self { child, stdin, stdout };
        assert_eq!(host.read_line(), "main");
        host
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.stdin, "{command}").unwrap();
        self.read_line()
    }

    /// Ends it. What it printed beyond what was read, and its stderr.
    fn finish(self) -> (String, String) {
        let Self { mut child, stdin, mut stdout } = self;
        drop(stdin);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
        (rest, stderr)
    }
}

#[track_caller]
fn check_returns(how: &str, code: i32, stderr: &str) {
    let finished = run(program("returns").arg(how));
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.stdout, "");
    if stderr.is_empty() {
        assert_eq!(finished.stderr, "");
    }
    assert!(finished.stderr.contains(stderr), "{finished:?}");
}

#[test]
fn main_may_return_any_termination() {
    isolated(|| {
        check_returns("success", 0, "");
        check_returns("code", 7, "");
        check_returns("error", 1, "Error: \"an error of the program\"");
        check_returns("exit", 9, "");
        check_returns("panic", 101, "a panic of the program");
    });
}

#[test]
fn worker_does_not_reach_main() {
    isolated(|| {
        let mut host = Host::start(program("host"));
        assert_eq!(host.ask("add"), "3");
        assert_eq!(host.ask("add"), "3");
        // Workers inherit stdout: what they printed would be here.
        assert_eq!(host.finish(), (String::new(), String::new()));
    });
}

#[test]
fn program_without_entry_starts_no_worker() {
    isolated(|| {
        let finished = run(&mut program("no_entry"));
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let lines: Vec<_> = finished.stdout.lines().collect();
        let ["main", error, "children: 0"] = lines[..] else { panic!("{finished:?}") };
        assert!(error.starts_with("InvalidConfig: "), "{error}");
        assert_advice(error);
        assert_eq!(finished.stderr, "", "the error goes to the caller");
    });
}

/// `no_entry` as the worker of this process: the error, and what its `main` printed to stdout and stderr.
#[track_caller]
fn check_no_entry(child_stdin: Option<&str>, most_mains: usize) {
    let (scratch, marked) = (Scratch::new(), Marked::new("no-entry"));
    let (stdout, stderr) = (scratch.path().join("stdout"), scratch.path().join("stderr"));
    let start = Instant::now();
    let mut builder = builder(2)
        .worker_exe(program_path("no_entry"))
        .stdout(Stdio::File(stdout.clone()))
        .stderr(Stdio::File(stderr.clone()))
        .envs([marked.variable()]);
    if let Some(stdin) = child_stdin {
        builder = builder.env("LOKY_TESTS_CHILD_STDIN", stdin);
    }
    let executor = builder.build().unwrap();
    for _ in 0..2 {
        let error = executor.submit(shared, 1).result().unwrap_err();
        assert!(error.is_handshake(), "{error}");
        assert_advice(&error.to_string());
    }
    assert!(executor.is_broken());
    drop(executor);
    assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
    marked.assert_gone_within(Duration::from_secs(2));
    let stdout = fs::read_to_string(stdout).unwrap();
    let mains = stdout.lines().filter(|line| *line == "main").count();
    assert!((1..=most_mains).contains(&mains), "{mains} times in `main`: {stdout}");
    assert!(!stdout.contains("built"), "{stdout}");
    assert_advice(&fs::read_to_string(stderr).unwrap());
}

#[test]
fn worker_exe_without_entry_names_remedy() {
    isolated(|| check_no_entry(None, 2));
}

#[test]
fn worker_exe_without_entry_that_starts_itself_ends() {
    isolated(|| {
        check_no_entry(Some("inherit"), 4);
        check_no_entry(Some("null"), 4);
    });
}

/// Something that is no worker and ends well: the error says what it may lack.
#[track_caller]
fn check_no_worker(exe: &str, script: Option<&str>) {
    let scratch = Scratch::new();
    let exe = script.map_or_else(|| exe.into(), |script| scratch.script(script));
    let start = Instant::now();
    let executor = builder(2).worker_exe(exe).stdout(Stdio::Null).build().unwrap();
    let error = executor.submit(shared, 1).result().unwrap_err();
    assert!(error.is_handshake(), "{error}");
    assert_advice(&error.to_string());
    assert!(executor.prewarm().unwrap_err().is_handshake());
    assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
}

#[test]
fn worker_exe_that_exits_silently_is_handshake_error() {
    isolated(|| {
        check_no_worker("/bin/true", None);
        check_no_worker("", Some("head -c 1 >/dev/null"));
        check_no_worker("", Some("cat </dev/null"));
    });
}

#[test]
fn other_program_with_equal_tasks_is_worker() {
    isolated(|| {
        let executor = builder(2).worker_exe(program_path("host")).build().unwrap();
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
        let executor = builder(2).worker_exe(program_path("other_tasks")).build().unwrap();
        assert_eq!(executor.submit(shared, 1).result().unwrap(), 1001, "its code runs, not ours");
        let [argv0] = &executor_arguments()[..] else { panic!("arguments") };
        assert_ne!(argv0, "");
    });
}

fn executor_arguments() -> Vec<std::ffi::OsString> {
    let executor = builder(1).worker_exe(program_path("host")).build().unwrap();
    executor.submit(tasks::arguments, ()).result().unwrap()
}

#[test]
fn worker_exe_without_task_is_error() {
    isolated(|| {
        let executor = builder(2).worker_exe(program_path("other_tasks")).build().unwrap();
        let check = |error: Error, name: &str| {
            assert!(error.is_unknown_task(), "{error}");
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
            assert!(error.to_string().contains("use that_crate as _;"), "{error}");
            assert_eq!(error.task(), Some(name));
            assert_eq!(error.execution(), loky::Execution::NotStarted);
        };
        check(executor.submit(only_here, ()).error().unwrap(), "it::entry::only_here");
        // That program never mentions the crate of this one.
        check(executor.submit(tasks::add, (1, 2)).error().unwrap(), "loky_tests::tasks::add");
        assert_eq!(executor.submit(shared, 1).result().unwrap(), 1001);
    });
}

#[test]
fn worker_exe_with_other_signature_is_error() {
    isolated(|| {
        let executor = builder(2).worker_exe(program_path("other_signature")).build().unwrap();
        let error = executor.submit(shared, 1).result().unwrap_err();
        assert!(error.is_handshake(), "{error}");
        let path = program_path("other_signature");
        let path = path.to_str().unwrap();
        for text in ["loky-tests.shared", "(u64) -> u64", "(u32, u32) -> u32", path] {
            assert!(error.to_string().contains(text), "no {text:?} in: {error}");
        }
        assert!(executor.is_broken());
    });
}

#[test]
fn strict_argument_parser_sees_no_workers() {
    isolated(|| {
        let mut command = program("strict_arguments");
        let Finished { code, stdout, stderr } =
            run(command.args(["--word", "hello"]).env("LOKY_TESTS_WORD", "world"));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        let lines: Vec<_> = stdout.lines().collect();
        let arguments = format!("[{:?}]", program_path("strict_arguments"));
        assert_eq!(lines, ["main hello world", arguments.as_str(), "Some(\"world\")"]);
        assert_eq!(run(program("strict_arguments").arg("--other")).code, Some(64));
    });
}

#[test]
fn program_replaced_or_deleted_while_running_still_starts_workers() {
    isolated(|| {
        let scratch = Scratch::new();
        let path = scratch.path().join("program");
        fs::copy(program_path("host"), &path).unwrap();
        let mut command = Command::new(&path);
        command.stdout(StdStdio::piped()).stderr(StdStdio::piped());
        let mut host = Host::start(command);
        assert_eq!(host.ask("add"), "3");

        let other = scratch.executable("other", "#!/bin/sh\nexit 1\n");
        fs::rename(other, &path).unwrap();
        assert_eq!(host.ask("add"), "3", "replaced");

        fs::remove_file(&path).unwrap();
        assert_eq!(host.ask("add"), "3", "deleted");
        assert_eq!(host.finish(), (String::new(), String::new()));
    });
}

#[test]
fn program_deleted_before_first_pool_starts_workers() {
    isolated(|| {
        let scratch = Scratch::new();
        let path = scratch.path().join("program");
        fs::copy(program_path("host"), &path).unwrap();
        let mut command = Command::new(&path);
        command.stdout(StdStdio::piped()).stderr(StdStdio::piped());
        let mut host = Host::start(command);
        fs::remove_file(&path).unwrap();
        assert_eq!(host.ask("add"), "3");
        assert_eq!(host.finish(), (String::new(), String::new()));
    });
}

#[test]
fn task_may_have_pool() {
    isolated(|| {
        let executor = builder(2).build().unwrap();
        let levels: Vec<_> = (0..4).map(|levels| executor.submit(tasks::nested, levels)).collect();
        let levels: Vec<_> = levels.iter().map(|level| level.result().unwrap()).collect();
        assert_eq!(levels, [0, 1, 2, 3]);
    });
}

#[test]
fn program_run_by_task_is_no_worker() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        let run = |name, args: &[&str]| {
            let args = args.iter().map(ToString::to_string).collect();
            executor.submit(tasks::run_program, (program_path(name), args)).result().unwrap()
        };
        assert_eq!(run("host", &[]), (Some(0), "main\n".to_owned()));
        assert_eq!(run("returns", &["code"]), (Some(7), String::new()));
        let (code, text) = run("no_entry", &[]);
        assert!(code == Some(1) && text.contains("InvalidConfig"), "{text}");
    });
}

#[test]
fn variable_of_workers_alone_makes_no_worker() {
    isolated(|| {
        // A process may inherit it, with another stdin than it names.
        for value in ["", "1", "1:1", "rubbish", "99999999999999999999:1"] {
            let finished = run(program("returns").arg("code").env("__LOKY_WORKER", value));
            assert_eq!(finished.code, Some(101), "{finished:?}");
            assert!(
                finished.stderr.contains("was started as a worker but is none"),
                "{finished:?}"
            );
        }
    });
}
