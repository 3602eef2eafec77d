use super::*;

fn exit(code: Option<i32>, signal: Option<i32>) -> WorkerExit {
    WorkerExit::new(7, code, signal)
}

/// An error with a source, as libraries define them.
#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no number")
    }
}

impl StdError for Outer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

fn outer() -> Outer {
    Outer("x".parse::<u8>().unwrap_err())
}

#[test]
fn error_is_send_sync_clone_and_an_error() {
    fn check<T: StdError + Send + Sync + Clone + 'static>() {}
    check::<Error>();
}

#[test]
fn worker_exit_reads_as_in_python() {
    assert_eq!(exit(None, Some(libc::SIGSEGV)).to_string(), "SIGSEGV(-11)");
    assert_eq!(exit(Some(42), None).to_string(), "EXIT(42)");
    assert_eq!(exit(None, Some(64)).to_string(), "SIGNAL(-64)");
    assert_eq!(exit(None, None).to_string(), "UNKNOWN");
}

#[test]
fn cause_of_abort_names_stack_overflow() {
    assert!(exit(None, Some(libc::SIGABRT)).cause().unwrap().contains("stack overflow"));
    assert!(exit(None, Some(libc::SIGSEGV)).cause().unwrap().contains("stack overflow"));
}

/// The addition to the message for a worker with this tail of its stderr.
#[track_caller]
fn check_last_line(tail: &str, expected: &str) {
    let exit = WorkerExit { stderr_tail: Some(tail.to_owned()), ..exit(Some(1), None) };
    assert_eq!(exit.describe(), format!("EXIT(1){expected}"), "{tail:?}");
}

#[test]
fn last_stderr_line_is_one_printable_line() {
    assert_eq!(exit(Some(1), None).describe(), "EXIT(1)");
    check_last_line("", "");
    check_last_line("\n \n", "");
    check_last_line("first\nsecond", "; last line on stderr: `second`");
    check_last_line("first\r\nsecond\r\n\n", "; last line on stderr: `second`");
    check_last_line("50 %\r100 %\r", "; last line on stderr: `100 %`");
    check_last_line("\x1b[1;31merror\x1b[0m: x\ty\0", "; last line on stderr: `error: x y`");
    check_last_line("plain\n\x1b[0m\n", "; last line on stderr: `plain`");
}

#[test]
fn long_stderr_line_is_cut_at_a_character() {
    let limit = crate::limits::LAST_LINE_CHARS;
    let whole = "ü".repeat(limit);
    check_last_line(&whole, &format!("; last line on stderr: `{whole}`"));
    check_last_line(&format!("{whole}ü"), &format!("; last line on stderr: `{whole}…`"));
}

#[test]
fn remote_error_keeps_text_debug_and_chain() {
    let remote = RemoteError::from(outer());
    assert_eq!(remote.to_string(), "no number");
    assert_eq!(remote.chain().collect::<Vec<_>>(), ["invalid digit found in string"]);
    assert!(remote.debug().starts_with("Outer("));
    assert_eq!(format!("{remote:?}"), "no number\n  caused by: invalid digit found in string");
    assert!(format!("{remote:#?}").starts_with("RemoteError {\n"));

    let boxed: Box<dyn StdError + Send + Sync> = remote.clone().into();
    assert_eq!(boxed.source().unwrap().to_string(), "invalid digit found in string");
    assert_eq!(RemoteError::from_boxed(boxed), remote);
}

#[test]
fn remote_converts_all_that_boxes() {
    let boxed: Result<u8, Box<dyn StdError + Send + Sync>> = Err(outer().into());
    assert_eq!(boxed.remote().unwrap_err(), RemoteError::from(outer()));
    assert_eq!(Err::<u8, _>(outer()).remote().unwrap_err(), RemoteError::from(outer()));
    assert_eq!(Err::<u8, _>("text").remote().unwrap_err().to_string(), "text");
    let remote = RemoteError::from(outer());
    assert_eq!(Err::<u8, _>(remote.clone()).remote().unwrap_err(), remote);
    assert_eq!(Ok::<_, String>(1).remote().unwrap(), 1);
}

#[test]
fn change_of_a_clone_leaves_the_original() {
    let plain = Error::new(ErrorKind::Io, "`x` is gone");
    let named = plain.clone().with_task("t").with_execution(Execution::Started);
    assert_eq!((plain.task(), plain.execution()), (None, Execution::NotStarted));
    assert_eq!((named.task(), named.execution()), (Some("t"), Execution::Started));
    assert!(named.is_io() && !named.is_timeout());
}

#[test]
fn debug_has_message_sources_and_frames() {
    let plain = Error::new(ErrorKind::Io, "cannot open `x`");
    assert_eq!(format!("{plain:?}"), "cannot open `x`");
    let caused = plain.clone().with_source(outer());
    let text =
        "cannot open `x`\n  caused by: no number\n  caused by: invalid digit found in string";
    assert_eq!(format!("{caused:?}"), text);

    let report = PanicReport {
        message: "on purpose".into(),
        location: Some("src/main.rs:3:5".into()),
        backtrace: Some(
            "  0: std::x\n  1: geo::area\n    at ./src/main.rs:3:5\n  2: main\n".into(),
        ),
        worker_pid: 7,
    };
    assert_eq!(report.to_string(), "panicked at src/main.rs:3:5: on purpose");
    let frames = "\n  at geo::area (src/main.rs:3:5)";
    assert_eq!(format!("{report:?}"), format!("{report}{frames}"));
    let panicked = Error::new(ErrorKind::Panicked, format!("task `t` {report}"));
    let panicked = panicked.with_panic(report.clone());
    assert_eq!(format!("{panicked:?}"), format!("task `t` {report}{frames}"));
    for field in ["kind: Panicked", "worker_pid: 7", "std::x"] {
        assert!(format!("{panicked:#?}").contains(field), "{panicked:#?}");
    }
}

#[test]
fn frames_of_deep_recursion_are_counted() {
    let limit = crate::limits::DEBUG_FRAMES;
    let frames = (0..limit + 3).map(|number| format!("{number}: geo::deep\n")).collect();
    let report = PanicReport {
        message: "deep".into(),
        location: None,
        backtrace: Some(frames),
        worker_pid: 7,
    };
    let text = format!("{report:?}");
    assert_eq!(text.lines().count(), 1 + limit + 1);
    assert!(text.ends_with("\n  and 3 more, see `PanicReport::backtrace`"), "{text}");
}

#[test]
fn message_never_repeats_source() {
    for kind in ErrorKind::ALL {
        let error = Error::io(*kind, "cannot open `x`", std::io::Error::from_raw_os_error(2));
        let source = error.source().expect("it has one").to_string();
        assert!(!error.to_string().contains(&source), "{error}");
        assert_eq!(format!("{error:?}").matches(&source).count(), 1, "{error:?}");
    }
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "the message repeats its source")]
fn message_that_repeats_source_is_a_bug() {
    let error = std::io::Error::from_raw_os_error(2);
    let _ = Error::io(ErrorKind::Io, &format!("cannot open: {error}"), error);
}
