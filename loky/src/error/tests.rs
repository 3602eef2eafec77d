use super::*;

fn exit(code: Option<i32>, signal: Option<i32>) -> WorkerExit {
    WorkerExit { pid: 7, code, signal, ..WorkerExit::default() }
}

#[test]
fn is_send_sync_clone_and_an_error() {
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
fn an_abort_and_a_stack_overflow_look_alike_and_it_says_so() {
    assert!(exit(None, Some(libc::SIGABRT)).cause().unwrap().contains("stack overflow"));
    assert!(exit(None, Some(libc::SIGSEGV)).cause().unwrap().contains("stack overflow"));
}

#[test]
fn remote_error_keeps_text_debug_and_chain() {
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
    let remote = RemoteError::from(Outer("x".parse::<u8>().unwrap_err()));
    assert_eq!(remote.to_string(), "no number");
    assert_eq!(remote.chain().collect::<Vec<_>>(), ["invalid digit found in string"]);
    assert!(remote.debug().starts_with("Outer("));

    let boxed: Box<dyn StdError + Send + Sync> = remote.clone().into();
    assert_eq!(boxed.source().unwrap().to_string(), "invalid digit found in string");
    assert_eq!(RemoteError::from_boxed(boxed), remote);
}

#[test]
fn clones_share_and_builders_do_not() {
    let plain = Error::new(ErrorKind::Io, "`x` is gone");
    let named = plain.clone().with_task("t").with_execution(Execution::Started);
    assert_eq!((plain.task(), plain.execution()), (None, Execution::NotStarted));
    assert_eq!((named.task(), named.execution()), (Some("t"), Execution::Started));
    assert!(named.is_io() && !named.is_timeout());
}
