//! The crash matrix: a fault of a call fails that call, with an error that names the cause, and neither hangs nor hurts another.
//!
//! Each row of [`cases!`] is one fault and one test. It runs under either [`CrashPolicy`], submitted by the test and submitted by
//! a done callback. Meanwhile a second call runs in another worker and a third one is queued; the test checks these, and the
//! executor afterwards. The rows are those of Python loky's `test_crashes` and `test_in_callback_submit_with_crash`; the numbers
//! are those of its 16 cases.

use std::panic::{panic_any, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use loky::{CrashPolicy, Error, ErrorKind, Execution, Future, ProcessPoolExecutor, Stdio, Task};
use loky_tests::deed::{Bomb, Deed, FAILURE, PANIC, perform};
use loky_tests::held::busy;
use loky_tests::signal::kill;
use loky_tests::tasks::{double, hold};
use loky_tests::time::LONG;
use loky_tests::{Event, is_alive, isolated, isolated_with_stderr, until};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use Deed::{Abort, Exit, Fail, Panic, Segfault};
use ErrorKind::{DecodeArgs, DecodeResult, EncodeArgs, EncodeResult, Panicked};
use Moment::{Decoded, Dropped, Encoded};
use Place::{InParent, InWorker};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Moment {
    Encoded,
    Decoded,
    Dropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    InParent,
    InWorker,
}

/// Set in the process of the test; never in a worker, which is not forked.
static IS_PARENT: AtomicBool = AtomicBool::new(false);

fn here() -> Place {
    if IS_PARENT.load(Ordering::Relaxed) { InParent } else { InWorker }
}

type Fuse = (Moment, Place, Deed);

/// A value that does something wrong when it is encoded, decoded or dropped in a certain process.
#[derive(Debug)]
struct Trap(Fuse);

impl Trap {
    fn reach(&self, moment: Moment) -> Result<(), String> {
        let Self((when, place, deed)) = *self;
        if (when, place) == (moment, here()) { deed.perform() } else { Ok(()) }
    }
}

impl Serialize for Trap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.reach(Encoded).map_err(S::Error::custom)?;
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Trap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let trap = Self(Fuse::deserialize(deserializer)?);
        trap.reach(Decoded).map_err(D::Error::custom)?;
        Ok(trap)
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        // A drop cannot fail.
        let _ = self.reach(Dropped);
    }
}

/// Python's `id`.
#[loky::task]
fn take(_trap: Trap) {}

/// Python's `return_instance`.
#[loky::task]
fn give(fuse: Fuse) -> Trap {
    Trap(fuse)
}

#[loky::task]
fn fail_with(fuse: Fuse) -> Result<(), Trap> {
    Err(Trap(fuse))
}

/// A call that was submitted and is bound to fail, whatever its type is.
struct Bad {
    task: &'static str,
    wait: Box<dyn FnOnce() -> Error + Send>,
}

impl Bad {
    fn new<Args, R: 'static>(task: Task<Args, R>, future: Future<R>) -> Self {
        Self { task: task.name(), wait: Box::new(move || future.error().expect("a failure")) }
    }
}

/// The error that is expected.
struct Expected {
    kind: ErrorKind,
    execution: Execution,
    /// Where a worker dies: the ways in which it may.
    exits: &'static [&'static str],
    /// Part of the message.
    text: &'static str,
}

const fn fails(kind: ErrorKind, text: &'static str) -> Expected {
    let execution = match kind {
        EncodeArgs | DecodeArgs => Execution::NotStarted,
        _ => Execution::Finished,
    };
    Expected { kind, execution, exits: &[], text }
}

const fn dies(exits: &'static [&'static str], text: &'static str) -> Expected {
    Expected { kind: ErrorKind::TerminatedWorker, execution: Execution::Started, exits, text }
}

impl Expected {
    #[track_caller]
    fn check(&self, error: &Error, task: &str, pids: &[u32]) {
        assert_eq!(error.kind(), self.kind, "{error:?}");
        assert_eq!(error.execution(), self.execution, "{error:?}");
        assert_eq!(error.task(), Some(task), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(&format!("`{task}`")), "{message}");
        assert!(message.contains(self.text), "{message}");
        assert!(!message.ends_with(['.', '\n']), "{message}");

        assert_eq!(error.worker_exit().is_some(), !self.exits.is_empty(), "{error:?}");
        if let Some(exit) = error.worker_exit() {
            let text = exit.to_string();
            assert!(self.exits.contains(&&*text) && message.contains(&text), "{message}");
            let number = exit.code().or_else(|| exit.signal().map(|signal| -signal)).unwrap();
            assert!(text.contains(&format!("({number})")), "{text}");
            assert_eq!(exit.task(), Some(task));
            assert!(pids.contains(&exit.pid()) && !is_alive(exit.pid()), "{error:?}");
        }
        assert_eq!(error.panic().is_some(), self.kind == Panicked, "{error:?}");
        if let Some(panic) = error.panic() {
            assert!(message.contains(panic.message()), "{message}");
            assert!(pids.contains(&panic.worker_pid()));
            assert!(panic.location().is_some_and(|at| at.contains("deed.rs")), "{panic:?}");
        }
    }
}

/// A fault of a call.
struct Case {
    submit: fn(&ProcessPoolExecutor) -> Bad,
    expected: Expected,
    /// Whether the program itself prints something: a panic in the parent, a panic that aborts.
    is_loud: bool,
}

impl Case {
    fn check(&self) {
        IS_PARENT.store(true, Ordering::Relaxed);
        for policy in [CrashPolicy::Heal, CrashPolicy::BreakPool] {
            self.check_with(policy, |executor| (self.submit)(executor));
            let submit = self.submit;
            self.check_with(policy, |executor| submit_in_callback(executor, submit));
        }
    }

    fn check_with(&self, policy: CrashPolicy, submit: impl Fn(&ProcessPoolExecutor) -> Bad) {
        let stderr = if self.is_loud { Stdio::Null } else { Stdio::Inherit };
        let builder = ProcessPoolExecutor::builder().max_workers(2).on_worker_crash(policy);
        let executor = builder.stderr(stderr).build().unwrap();
        executor.prewarm().unwrap();
        let pids = executor.worker_pids();
        let (neighbour, go_on) = busy(&executor);
        let bad = submit(&executor);
        let behind = executor.submit(double, 21);

        let error = (bad.wait)();
        self.expected.check(&error, bad.task, &pids);
        let is_dead = error.worker_exit().is_some();
        if is_dead && policy == CrashPolicy::BreakPool {
            is_broken(&executor, &error, &pids, &neighbour, &behind);
            return;
        }
        assert!(!neighbour.is_done(), "the neighbour goes on");
        go_on.set();
        assert!(pids.contains(&neighbour.result().unwrap()));
        assert_eq!(behind.result().unwrap(), 42);
        assert!(!executor.is_broken() && !executor.is_shutdown());
        executor.prewarm().unwrap();
        let dead = error.worker_exit().map(loky::WorkerExit::pid);
        for pid in pids {
            assert_eq!(executor.worker_pids().contains(&pid), dead != Some(pid), "{error:?}");
        }
        assert_eq!(executor.submit(double, 4).result().unwrap(), 8);
    }
}

/// Checks a pool of two workers after a death under [`CrashPolicy::BreakPool`].
#[track_caller]
fn is_broken(
    executor: &ProcessPoolExecutor,
    error: &Error,
    pids: &[u32],
    running: &Future<u32>,
    queued: &Future<u64>,
) {
    let afterwards = executor.submit(double, 1);
    assert!(afterwards.is_done() && executor.is_broken());
    let started = (running.error(), Execution::Started, hold::TASK.name());
    let not_started = Execution::NotStarted;
    for (other, execution, task) in [
        started,
        (queued.error(), not_started, double::TASK.name()),
        (afterwards.error(), not_started, double::TASK.name()),
        (executor.prewarm().err(), not_started, ""),
    ] {
        let other = other.expect("a failure");
        assert!(other.is_broken_process_pool(), "{other:?}");
        assert_eq!(other.execution(), execution, "{other:?}");
        assert_eq!(other.task().unwrap_or_default(), task, "{other:?}");
        let (ours, theirs) = (error.worker_exit().unwrap(), other.worker_exit().unwrap());
        assert_eq!((ours.pid(), ours.to_string()), (theirs.pid(), theirs.to_string()));
        assert!(other.to_string().contains(&ours.to_string()), "{other}");
        assert_eq!(ours.cause(), theirs.cause());
    }
    until("the workers are gone", LONG, || !pids.iter().any(|pid| is_alive(*pid)));
}

fn submit_in_callback(
    executor: &ProcessPoolExecutor,
    submit: fn(&ProcessPoolExecutor) -> Bad,
) -> Bad {
    let (sender, receiver) = mpsc::channel();
    let handle = executor.clone();
    // Not done before it has the callback, which would run here then.
    let (call, go_on) = busy(executor);
    call.add_done_callback(move |_| {
        let bad = submit(&handle);
        drop(handle);
        sender.send(bad).expect("the test waits");
    });
    go_on.set();
    receiver.recv().expect("the callback runs")
}

macro_rules! cases {
    ($($(#[$doc:meta])* $name:ident: $task:ident($args:expr) => $expected:expr $(, $loud:ident)?;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            const CASE: Case = Case {
                submit: |executor| Bad::new($task::TASK, executor.submit($task, $args)),
                expected: $expected,
                is_loud: !concat!($(stringify!($loud))?).is_empty(),
            };
            if CASE.is_loud {
                isolated_with_stderr(|| CASE.check());
            } else {
                isolated(|| CASE.check());
            }
        }
    )*};
}

const SEGFAULT: &[&str] = &["SIGSEGV(-11)"];
const OVERFLOW: &[&str] = &["SIGSEGV(-11)", "SIGABRT(-6)"];
const ABORT: &[&str] = &["SIGABRT(-6)"];
const KILLED: &[&str] = &["SIGKILL(-9)"];
const EXIT_0: &[&str] = &["EXIT(0)"];

cases! {
    /// 1: `id(ExitAtPickle())`.
    encoding_the_argument_panics: take(Trap((Encoded, InParent, Panic))) => fails(EncodeArgs, PANIC), loud;
    /// 2: `id(ErrorAtPickle())`.
    encoding_the_argument_fails: take(Trap((Encoded, InParent, Fail))) => fails(EncodeArgs, FAILURE);
    /// 3: `id(ExitAtUnpickle())`.
    decoding_the_argument_panics: take(Trap((Decoded, InWorker, Panic))) => fails(DecodeArgs, PANIC);
    /// 4: `id(CExitAtUnpickle())`.
    decoding_the_argument_exits: take(Trap((Decoded, InWorker, Exit(0)))) => dies(EXIT_0, "while it ran");
    /// 5: `id(ErrorAtUnpickle())`.
    decoding_the_argument_fails: take(Trap((Decoded, InWorker, Fail))) => fails(DecodeArgs, FAILURE);
    /// 6: `id(CrashAtUnpickle())`.
    decoding_the_argument_segfaults: take(Trap((Decoded, InWorker, Segfault))) => dies(SEGFAULT, "while it ran");
    /// 7: `crash()`.
    task_segfaults: perform(Segfault) => dies(SEGFAULT, "invalid memory access");
    task_aborts: perform(Abort) => dies(ABORT, "an abort");
    task_dies_of_sigill: perform(Deed::Raise(libc::SIGILL)) => dies(&["SIGILL(-4)"], "illegal instruction");
    task_dies_of_sigbus: perform(Deed::Raise(libc::SIGBUS)) => dies(&["SIGBUS(-7)"], "mapped file");
    task_dies_of_a_signal_without_a_name: perform(Deed::Raise(libc::SIGRTMIN() + 3)) => dies(&["SIGNAL(-37)"], "");
    task_overflows_its_stack: perform(Deed::OverflowStack) => dies(OVERFLOW, "stack overflow"), loud;
    task_exhausts_memory: perform(Deed::ExhaustMemory) => dies(ABORT, "an abort"), loud;
    /// 8: `exit()`, which can be caught in Python.
    task_panics: perform(Panic) => fails(Panicked, PANIC);
    task_panics_with_a_payload_that_is_no_text: perform(Deed::PanicWithNumber) => fails(Panicked, "no text");
    task_panics_with_a_payload_whose_drop_panics: perform(Deed::PanicWithBomb) => fails(Panicked, "no text"), loud;
    /// A build with `panic = "abort"` ends so, whatever panics.
    task_panics_where_nothing_unwinds: perform(Deed::PanicWhereNothingUnwinds) => dies(ABORT, "cannot unwind"), loud;
    task_panics_while_it_panics: perform(Deed::PanicTwice) => dies(ABORT, "cannot unwind"), loud;
    /// 9: `c_exit()`.
    task_exits: perform(Exit(0)) => dies(EXIT_0, "while it ran");
    task_exits_with_a_code: perform(Exit(42)) => dies(&["EXIT(42)"], "while it ran");
    task_exits_at_once: perform(Deed::ExitAtOnce(0)) => dies(EXIT_0, "while it ran");
    /// 10: `raise_error(RuntimeError)`.
    error_that_cannot_be_encoded: fail_with((Encoded, InWorker, Fail)) => fails(EncodeResult, FAILURE);
    error_whose_encoding_panics: fail_with((Encoded, InWorker, Panic)) => fails(EncodeResult, PANIC);
    error_that_cannot_be_decoded: fail_with((Decoded, InParent, Fail)) => fails(DecodeResult, FAILURE);
    error_whose_decoding_panics: fail_with((Decoded, InParent, Panic)) => fails(DecodeResult, PANIC), loud;
    error_whose_encoding_segfaults: fail_with((Encoded, InWorker, Segfault)) => dies(SEGFAULT, "while it ran");
    /// 11: `return_instance(CrashAtPickle)`.
    encoding_the_result_segfaults: give((Encoded, InWorker, Segfault)) => dies(SEGFAULT, "while it ran");
    /// 12: `return_instance(ExitAtPickle)`.
    encoding_the_result_panics: give((Encoded, InWorker, Panic)) => fails(EncodeResult, PANIC);
    /// 13: `return_instance(CExitAtPickle)`.
    encoding_the_result_exits: give((Encoded, InWorker, Exit(0))) => dies(EXIT_0, "while it ran");
    /// 14: `return_instance(ErrorAtPickle)`.
    encoding_the_result_fails: give((Encoded, InWorker, Fail)) => fails(EncodeResult, FAILURE);
    /// 15: `return_instance(ExitAtUnpickle)`.
    decoding_the_result_panics: give((Decoded, InParent, Panic)) => fails(DecodeResult, PANIC), loud;
    /// 16: `return_instance(ErrorAtUnpickle)`.
    decoding_the_result_fails: give((Decoded, InParent, Fail)) => fails(DecodeResult, FAILURE);

    // Not covered by Python's suite.
    encoding_the_argument_panics_with_a_payload_whose_drop_panics: take(Trap((Encoded, InParent, Deed::PanicWithBomb))) => fails(EncodeArgs, "no text"), loud;
    decoding_the_argument_panics_with_a_payload_whose_drop_panics: take(Trap((Decoded, InWorker, Deed::PanicWithBomb))) => fails(DecodeArgs, "no text"), loud;
    decoding_the_result_panics_with_a_payload_whose_drop_panics: give((Decoded, InParent, Deed::PanicWithBomb)) => fails(DecodeResult, "no text"), loud;
    drop_of_the_argument_panics: take(Trap((Dropped, InWorker, Panic))) => fails(Panicked, PANIC);
    drop_of_the_result_panics: give((Dropped, InWorker, Panic)) => fails(Panicked, PANIC);
    drop_of_the_argument_aborts: take(Trap((Dropped, InWorker, Abort))) => dies(ABORT, "while it ran");
    drop_of_the_argument_exits: take(Trap((Dropped, InWorker, Exit(0)))) => dies(EXIT_0, "while it ran");
    drop_of_the_result_segfaults: give((Dropped, InWorker, Segfault)) => dies(SEGFAULT, "while it ran");
    sigkill_from_outside: perform(Deed::BeKilled(libc::SIGKILL)) => dies(KILLED, "killed by another process");
    sigterm_from_outside: perform(Deed::BeKilled(libc::SIGTERM)) => dies(&["SIGTERM(-15)"], "while it ran");
    rubbish_on_the_channel: perform(Deed::SpoilChannel) => dies(KILLED, "broke the protocol");
    death_inside_a_message: perform(Deed::StopInsideMessage) => dies(&["EXIT(3)"], "in the middle of a message");
    channel_closed_by_a_live_worker: perform(Deed::CloseChannel) => dies(KILLED, "closed its channel");
}

/// Callbacks that panic hurt neither the pool nor each other.
///
/// Python loky's `test_callback_crash_on_submit`.
#[test]
fn callback_panic_hurts_neither_pool_nor_other_callbacks() {
    isolated_with_stderr(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let (held, go_on) = busy(&executor);
        let (sender, receiver) = mpsc::channel();
        let last = sender.clone();
        held.add_done_callback(|_| panic!("{PANIC}"));
        held.add_done_callback(move |_| sender.send(1).expect("the test waits"));
        held.add_done_callback(|_| panic_any(Bomb));
        held.add_done_callback(move |_| last.send(2).expect("the test waits"));
        go_on.set();
        assert!(held.result().is_ok());
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2]);
        let after = executor.submit(double, 21);
        let (sender, receiver) = mpsc::channel();
        after.add_done_callback(move |after| sender.send(after.result()).expect("the test waits"));
        assert_eq!(receiver.recv().unwrap().unwrap(), 42);
        after.add_done_callback(|_| panic!("{PANIC}"));
        after.add_done_callback(|_| panic_any(Bomb));
    });
}

#[loky::task]
fn kill_friend(began: Event, go_on: Event, friend: u32) -> bool {
    began.set();
    go_on.wait();
    kill(friend, libc::SIGKILL)
}

/// Workers kill each other, all at once.
#[track_caller]
fn check_races(n: usize) {
    for policy in [CrashPolicy::Heal, CrashPolicy::BreakPool] {
        let builder = ProcessPoolExecutor::builder().max_workers(n).on_worker_crash(policy);
        let executor = builder.build().unwrap();
        executor.prewarm().unwrap();
        let (began, go_on) = (Event::new(), Event::new());
        let friends = executor.worker_pids().into_iter().rev();
        let calls: Vec<_> = friends
            .map(|friend| executor.submit(kill_friend, (began.clone(), go_on.clone(), friend)))
            .collect();
        (0..n).for_each(|_| began.wait());
        go_on.set_for(n);
        let errors: Vec<_> = calls.iter().filter_map(Future::error).collect();
        // The first to be killed had not yet killed anybody. (A pool that is to break may see another's death first.)
        assert!(!errors.is_empty());
        for error in errors {
            let is_expected = match policy {
                CrashPolicy::BreakPool => {
                    error.is_terminated_worker() || error.is_broken_process_pool()
                }
                _ => error.is_terminated_worker(),
            };
            assert!(is_expected, "{error:?}");
            assert_eq!(error.worker_exit().unwrap().to_string(), "SIGKILL(-9)");
            // Perhaps it had killed its friend, and not said so yet.
            assert_ne!(error.execution(), Execution::NotStarted);
        }
        let after = executor.submit(double, 21);
        if policy == CrashPolicy::Heal {
            assert_eq!(after.result().unwrap(), 42);
        } else {
            assert!(after.error().unwrap().is_broken_process_pool() && executor.is_broken());
        }
    }
}

/// Python loky's `test_crash_races_1`.
#[test]
fn one_worker_that_kills_itself_fails_its_call() {
    isolated(|| check_races(1));
}

/// Python loky's `test_crash_races_2`.
#[test]
fn two_workers_that_kill_each_other_fail_their_calls() {
    isolated(|| check_races(2));
}

/// Python loky's `test_crash_races_5`.
#[test]
fn five_workers_that_kill_each_other_fail_their_calls() {
    isolated(|| check_races(5));
}

/// Python loky's `test_crash_races_13`.
#[test]
fn thirteen_workers_that_kill_each_other_fail_their_calls() {
    isolated(|| check_races(13));
}

/// Python loky's `test_queue_full_deadlock`.
#[test]
fn encode_failures_between_calls_do_not_hang() {
    isolated(|| {
        IS_PARENT.store(true, Ordering::Relaxed);
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let calls: Vec<_> = (0..100)
            .map(|i| {
                let bad = executor.submit(take, Trap((Encoded, InParent, Fail)));
                (bad, executor.submit(double, i))
            })
            .collect();
        for ((bad, good), i) in calls.into_iter().zip(0..) {
            assert!(bad.error().unwrap().is_encode_args());
            assert_eq!(good.result().unwrap(), 2 * i);
        }
    });
}

/// Where a task left its argument: it is dropped when the next one comes, long after the result of its call is out.
static LEFT: std::sync::Mutex<Option<Trap>> = std::sync::Mutex::new(None);

#[loky::task]
fn leave(trap: Option<Trap>) {
    *LEFT.lock().expect("no panics here") = trap;
}

#[track_caller]
fn check_left(deed: Deed, exit: &str) {
    let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
    executor.submit(leave, Some(Trap((Dropped, InWorker, deed)))).result().unwrap();
    let error = executor.submit(leave, None).error().unwrap();
    assert!(error.is_terminated_worker(), "{error:?}");
    assert_eq!(error.worker_exit().unwrap().to_string(), exit);
    executor.submit(leave, None).result().unwrap();
}

/// Python loky's `test_call_item_gc_crash_or_exit`.
#[test]
fn crash_in_late_drop_fails_running_call() {
    isolated(|| {
        IS_PARENT.store(true, Ordering::Relaxed);
        check_left(Segfault, "SIGSEGV(-11)");
        check_left(Exit(0), "EXIT(0)");
    });
}

/// An iterable that panics does so in its consumer, and nothing of the map stays behind.
///
/// Python loky's `test_imap_handle_iterable_exception`.
#[test]
fn iterable_panic_reaches_consumer_of_map() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(2).build().unwrap();
        for bad_item in [0, 3, 7, 50] {
            let items = (0..100).inspect(|i| {
                if *i == bad_item {
                    resume_unwind(Box::new("from the iterable"));
                }
            });
            let consume = || executor.map(double, items).collect::<Result<Vec<_>, _>>();
            let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(consume));
            assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"from the iterable"));
            assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
        }
    });
}
