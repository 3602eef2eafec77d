//! An initializer that fails breaks its executor, and each error names the cause.

use std::fmt;
use std::panic::resume_unwind;
use std::process;
use std::thread;
use std::time::Duration;

use loky::{
    Builder, Error, Execution, Future, ProcessPoolExecutor, RemoteError, Shutdown, TaskResult,
};
use loky_tests::deed::Deed;
use loky_tests::held::Held;
use loky_tests::ledger::Log;
use loky_tests::pools::until_childless;
use loky_tests::tasks::{pid, square};
use loky_tests::time::{LONG, millis};
use loky_tests::{Event as Gate, isolated, until};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn builder(max_workers: usize) -> Builder {
    ProcessPoolExecutor::builder().max_workers(max_workers)
}

/// Insists that this is the pool's end, for that reason.
#[track_caller]
fn is_broken_by(error: &Error, texts: &[&str], execution: Execution) {
    assert!(error.is_broken_process_pool(), "{error:?}");
    assert_eq!(error.execution(), execution, "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with("the initializer `it::initializer_failures::"), "{message}");
    for text in texts {
        assert!(message.contains(text), "no `{text}`: {message}");
    }
    assert!(!message.ends_with(['.', '\n']), "{message}");
}

/// Insists that an executor with this initializer is broken by it, whichever call wants a worker first; and that another
/// executor has nothing to do with it. Returns the error, for more.
#[track_caller]
fn check_fails(make: impl Fn(Builder) -> Builder, texts: &[&str]) -> Error {
    let other = builder(1).build().unwrap();
    let other_pid = other.submit(pid, ()).result().unwrap();

    let (executor, log) = Log::of(make(builder(2)));
    let pending = [1, 2, 3].map(|x| executor.submit(square, x));
    let errors = pending.each_ref().map(|call| call.result_timeout(LONG).unwrap_err());
    assert!(executor.is_broken() && !executor.is_shutdown());
    let later = executor.submit(square, 4);
    assert!(later.is_done());
    for error in errors.iter().chain(&later.error()) {
        is_broken_by(error, texts, Execution::NotStarted);
        assert_eq!(error.task(), Some(square::TASK.name()));
        assert_eq!(error.to_string(), errors[0].to_string(), "all errors have one text");
    }
    let prewarm = executor.prewarm().unwrap_err();
    is_broken_by(&prewarm, texts, Execution::NotStarted);
    assert!(executor.resize(3).unwrap_err().is_broken_process_pool());
    until("its workers are gone", LONG, || executor.worker_pids().is_empty());
    executor.shutdown(Shutdown::Wait);
    log.check_end(&executor);
    let broken = log.words().iter().filter(|word| *word == "broken: BrokenProcessPool").count();
    assert_eq!(broken, 1, "{:?}", log.words());
    assert!(!log.words().iter().any(|word| word.starts_with("ready")), "{:?}", log.words());

    let executor = make(builder(2)).build().unwrap();
    let prewarm = executor.prewarm().unwrap_err();
    is_broken_by(&prewarm, texts, Execution::NotStarted);
    let later = executor.submit(square, 1).error().unwrap();
    is_broken_by(&later, texts, Execution::NotStarted);
    drop(executor);

    assert_eq!(other.submit(pid, ()).result().unwrap(), other_pid);
    drop(other);
    until_childless();
    prewarm
}

#[loky::task]
fn refuse(reason: String) -> Result<(), String> {
    Err(reason)
}

#[loky::task]
fn refuse_remotely(number: String) -> TaskResult<()> {
    number.parse::<u8>()?;
    Ok(())
}

#[test]
fn initializer_error_breaks_pool() {
    isolated(|| {
        let reason = "no model there: `für Elise`".to_owned();
        let error = check_fails(|it| it.initializer(refuse, reason.clone()), &["refuse`", &reason]);
        assert!(error.panic().is_none() && error.worker_exit().is_none());
        let make = |it: Builder| it.initializer(refuse_remotely, "300".to_owned());
        let error = check_fails(make, &["refuse_remotely` failed: number too large"]);
        assert!(error.panic().is_none() && error.worker_exit().is_none());
    });
}

/// An error with errors below it.
#[derive(Debug, Serialize, Deserialize)]
struct Chain(Option<Box<Self>>);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(below) => write!(f, "{below} below"),
            None => f.write_str("the bottom"),
        }
    }
}

#[loky::task]
fn refuse_deeply(levels: u32) -> Result<(), Chain> {
    Err((0..levels).fold(Chain(None), |chain, _| Chain(Some(Box::new(chain)))))
}

/// To decode and display it takes more of a stack than the pool's own thread has.
#[test]
fn initializer_error_chain_is_kept() {
    isolated(|| {
        let text = format!("the bottom{}", " below".repeat(100));
        check_fails(|it| it.initializer(refuse_deeply, 100), &[&text]);
    });
}

/// Closes its worker's channel, and stays.
#[loky::task]
fn close_channel() {
    let channel = loky_tests::deed::channel();
    channel.shutdown(std::net::Shutdown::Write).expect("a channel");
    loop {
        thread::park();
    }
}

/// It is not said to have taken too long.
#[test]
fn initializer_that_closes_channel_breaks_pool() {
    isolated(|| {
        let limit = Duration::from_secs(1000);
        let make = |it: Builder| it.initializer(close_channel, ()).init_timeout(limit);
        let error =
            check_fails(make, &["close_channel` ended its worker process", "closed its channel"]);
        assert!(error.worker_exit().is_some());
    });
}

#[loky::task]
fn perform_first(deed: Deed) {
    deed.perform().expect("a deed that is no failure");
}

#[test]
fn initializer_panic_breaks_pool() {
    isolated(|| {
        let make = |it: Builder| it.initializer(perform_first, Deed::Panic);
        let error = check_fails(make, &["perform_first` panicked at", "a panic on purpose"]);
        let panic = error.panic().expect("a report");
        assert_eq!(panic.message(), "a panic on purpose");
        assert!(panic.location().is_some_and(|at| at.contains("deed.rs")), "{panic:?}");
        assert_ne!(panic.worker_pid(), process::id());
        assert!(error.worker_exit().is_none(), "{error:?}");
        let make = |it: Builder| it.initializer(perform_first, Deed::PanicWithNumber);
        check_fails(make, &["panicked", "no text"]);
    });
}

#[track_caller]
fn check_dies(deed: Deed, exit: &str) {
    let make = |it: Builder| it.initializer(perform_first, deed);
    let error = check_fails(make, &["perform_first` ended its worker process", exit]);
    let death = error.worker_exit().expect("a death");
    assert_eq!(
        (death.to_string().as_str(), death.task()),
        (exit, Some(perform_first::TASK.name()))
    );
    assert!(error.to_string().contains(&death.pid().to_string()), "{error}");
}

#[test]
fn initializer_exit_breaks_pool() {
    isolated(|| {
        check_dies(Deed::Exit(3), "EXIT(3)");
        check_dies(Deed::Exit(0), "EXIT(0)");
        check_dies(Deed::ExitAtOnce(0), "EXIT(0)");
    });
}

#[test]
fn initializer_crash_breaks_pool() {
    isolated(|| {
        check_dies(Deed::Segfault, "SIGSEGV(-11)");
        check_dies(Deed::Abort, "SIGABRT(-6)");
        check_dies(Deed::BeKilled(libc::SIGKILL), "SIGKILL(-9)");
    });
}

#[test]
fn initializer_that_spoils_channel_breaks_pool() {
    isolated(|| {
        check_dies(Deed::SpoilChannel, "SIGKILL(-9)");
        check_dies(Deed::CloseChannel, "SIGKILL(-9)");
    });
}

#[loky::task]
fn hang() {
    loop {
        thread::park();
    }
}

#[test]
fn initializer_timeout_breaks_pool() {
    isolated(|| {
        let make = |it: Builder| it.initializer(hang, ()).init_timeout(millis(200));
        check_fails(make, &["hang` did not finish within 200ms", "`init_timeout`"]);
    });
}

#[loky::task]
fn take_long_once(gate: Gate) {
    gate.wait();
}

#[test]
fn initializer_within_timeout_succeeds() {
    isolated(|| {
        let gate = Gate::new();
        let builder = builder(2).initializer(take_long_once, gate.clone());
        let executor = builder.init_timeout(Duration::MAX).build().unwrap();
        let call = executor.submit(square, 2);
        gate.set_for(2);
        assert_eq!(call.result().unwrap(), 4);
    });
}

/// A value that goes wrong somewhere on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
enum Fault {
    Encoding,
    Decoding,
    PanicInDecoding,
    PanicInDisplay,
}

#[derive(Debug)]
struct Faulty(Fault);

/// Panics, and the hook says nothing.
fn panic_silently() -> ! {
    resume_unwind(Box::new("a silent panic"))
}

impl Serialize for Faulty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == Fault::Encoding {
            return Err(serde::ser::Error::custom("it stays here"));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Faulty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Fault::deserialize(deserializer)? {
            Fault::Decoding => Err(serde::de::Error::custom("it does not come in here")),
            Fault::PanicInDecoding => panic_silently(),
            fault => Ok(Self(fault)),
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Fault::PanicInDisplay {
            panic_silently();
        }
        write!(f, "{:?}", self.0)
    }
}

#[loky::task]
fn take(_faulty: Faulty) {}

#[loky::task]
fn fail_with(fault: Fault) -> Result<(), Faulty> {
    Err(Faulty(fault))
}

#[test]
fn initializer_arguments_that_fail_to_encode_fail_build() {
    isolated(|| {
        let error = builder(1).initializer(take, Faulty(Fault::Encoding)).build().unwrap_err();
        assert!(error.is_encode_args() && error.to_string().contains("it stays here"), "{error}");
        assert_eq!(error.task(), Some(take::TASK.name()));
    });
}

#[test]
fn initializer_arguments_that_fail_to_decode_break_pool() {
    isolated(|| {
        for (fault, text) in [
            (Fault::Decoding, "it does not come in here"),
            (Fault::PanicInDecoding, "a silent panic"),
        ] {
            check_fails(|it| it.initializer(take, Faulty(fault)), &["take` got arguments", text]);
        }
    });
}

#[test]
fn initializer_error_that_fails_to_encode_breaks_pool() {
    isolated(|| {
        for (fault, text) in [
            (Fault::Encoding, "it stays here"),
            (Fault::Decoding, "it does not come in here"),
            (Fault::PanicInDecoding, "a silent panic"),
            (Fault::PanicInDisplay, "a silent panic"),
        ] {
            check_fails(|it| it.initializer(fail_with, fault), &["fail_with`", text]);
        }
    });
}

#[test]
fn initializer_that_is_no_task_fails_build() {
    isolated(|| {
        let error = builder(1).initializer(|_: u64| {}, 1).build().unwrap_err();
        assert!(error.is_not_a_task(), "{error:?}");
        let made = || loky::reusable_executor().max_workers(1).initializer(|_: u64| {}, 1).get();
        assert!(made().unwrap_err().is_not_a_task());
    });
}

/// Fails in the second worker alone.
#[loky::task]
fn refuse_second() -> Result<(), RemoteError> {
    match loky::worker_index() {
        Some(1) => Err(RemoteError::msg("one is enough")),
        _ => Ok(()),
    }
}

#[test]
fn initializer_failure_in_second_worker_breaks_pool() {
    isolated(|| {
        let (executor, log) = Log::of(builder(1).initializer(refuse_second, ()));
        let held = Held::new(&executor, 1);
        let behind = executor.submit(square, 1);
        executor.resize(2).unwrap();
        let texts = ["refuse_second` failed: one is enough"];
        is_broken_by(&behind.error().unwrap(), &texts, Execution::NotStarted);
        is_broken_by(&held.futures[0].error().unwrap(), &texts, Execution::Started);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
        until_childless();
    });
}

/// Fails when it may.
#[loky::task]
fn fail_late(began: Gate, gate: Gate) -> Result<(), String> {
    began.set();
    gate.wait();
    Err("too late".to_owned())
}

/// A failure that comes after the shutdown has begun, while accepted calls still want a worker.
#[test]
fn initializer_failure_during_shutdown_fails_calls() {
    isolated(|| {
        for how in [Shutdown::NoWait, Shutdown::CancelPending] {
            let (began, gate) = (Gate::new(), Gate::new());
            let builder = builder(2).initializer(fail_late, (began.clone(), gate.clone()));
            let (executor, log) = Log::of(builder);
            let calls = [1, 2, 3].map(|x| executor.submit(square, x));
            (0..2).for_each(|_| began.wait());
            let waiting = thread::spawn({
                let executor = executor.clone();
                move || executor.shutdown(how)
            });
            until("it is shut down", LONG, || executor.is_shutdown());
            gate.set_for(2);
            waiting.join().unwrap();
            for call in calls.each_ref().map(Future::error) {
                let error = call.expect("a failure");
                let is_cancelled = error.is_cancelled() && how == Shutdown::CancelPending;
                assert!(is_cancelled || error.is_broken_process_pool(), "{how:?}: {error:?}");
            }
            executor.shutdown(Shutdown::Wait);
            log.check_end(&executor);
            until_childless();
        }
    });
}

/// The reusable executor is made anew when the last one was broken.
#[test]
fn initializer_failure_replaces_reusable_executor() {
    isolated(|| {
        let get = |reason: &str| {
            let builder = loky::reusable_executor().max_workers(1);
            builder.initializer(refuse, reason.to_owned()).get().unwrap()
        };
        let first = get("once");
        assert!(first.submit(square, 1).error().unwrap().to_string().contains("once"));
        let second = get("once");
        assert_ne!(second.id(), first.id());
        assert!(second.submit(square, 1).error().unwrap().to_string().contains("once"));
        let third = loky::reusable_executor().max_workers(1).get().unwrap();
        assert_eq!(third.submit(square, 3).result().unwrap(), 9);
        third.shutdown(Shutdown::Wait);
        second.shutdown(Shutdown::Wait);
        first.shutdown(Shutdown::Wait);
    });
}
