//! Faults of earlier versions, and hangs and leaks of Python loky. Each test fails if the fault is back.
//!
//! The docs name the fault of Python loky, whose causes do not exist here.

use std::fs;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use loky::{CrashPolicy, Execution, Future, ProcessPoolExecutor, Shutdown};
use loky_tests::held::busy;
use loky_tests::signal::kill;
use loky_tests::tasks::{double, hold};
use loky_tests::time::LONG;
use loky_tests::{Event, is_alive, isolated, until};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An executor of two workers, both busy, and one call behind them, which is cancelled.
fn with_a_cancelled_call(
    policy: CrashPolicy,
    go_on: &Event,
) -> (ProcessPoolExecutor, [Future<u32>; 2], Future<u64>) {
    let builder = ProcessPoolExecutor::builder().max_workers(2).on_worker_crash(policy);
    let executor = builder.build().unwrap();
    let began = Event::new();
    let running = [(); 2].map(|()| executor.submit(hold, (began.clone(), go_on.clone())));
    running.iter().for_each(|_| began.wait());
    let pending = executor.submit(double, 1);
    assert!(pending.cancel() && pending.is_cancelled());
    (executor, running, pending)
}

/// Python: the crash of a worker after a cancellation ends the manager thread; the later calls are pending for ever, the
/// surviving workers are never killed.
#[test]
fn crash_after_cancelled_call_is_healed() {
    isolated(|| {
        let go_on = Event::new();
        let (executor, running, pending) = with_a_cancelled_call(CrashPolicy::Heal, &go_on);
        let later = executor.submit(double, 21);
        let pid = executor.worker_pids()[0];
        kill(pid, libc::SIGKILL);
        assert_eq!(later.result().unwrap(), 42);
        go_on.set();
        let results = running.map(|call| call.result());
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(pending.error().unwrap().is_cancelled());
    });
}

#[test]
fn crash_after_cancelled_call_breaks_pool() {
    isolated(|| {
        let go_on = Event::new();
        let (executor, running, pending) = with_a_cancelled_call(CrashPolicy::BreakPool, &go_on);
        let later = executor.submit(double, 21);
        let pids = executor.worker_pids();
        kill(pids[0], libc::SIGKILL);
        assert!(later.error().unwrap().is_broken_process_pool());
        let mut kinds = running.map(|call| {
            let error = call.error().unwrap();
            (error.is_terminated_worker(), error.is_broken_process_pool())
        });
        kinds.sort_unstable();
        assert_eq!(kinds, [(false, true), (true, false)]);
        assert!(pending.error().unwrap().is_cancelled());
        until("no worker survives", LONG, || !pids.iter().any(|pid| is_alive(*pid)));
    });
}

/// Python: the shutdown returns at once, kills no worker, and leaves the other calls pending for ever.
#[test]
fn kill_after_cancelled_call_does_not_hang() {
    isolated(|| {
        let go_on = Event::new();
        let (executor, running, pending) = with_a_cancelled_call(CrashPolicy::Heal, &go_on);
        let later = executor.submit(double, 21);
        let pids = executor.worker_pids();
        let start = Instant::now();
        executor.shutdown(Shutdown::Kill);
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(!pids.iter().any(|pid| is_alive(*pid)));
        assert!(later.is_done() && running.iter().all(Future::is_done));
        for (error, execution) in [
            (later.error(), Execution::NotStarted),
            (running[0].error(), Execution::Started),
            (running[1].error(), Execution::Started),
        ] {
            let error = error.unwrap();
            assert!(error.is_shutdown_executor(), "{error:?}");
            assert_eq!(error.execution(), execution);
        }
        assert!(pending.error().unwrap().is_cancelled());
    });
}

/// Python: the second shutdown returns at once and kills no worker.
#[test]
fn kill_after_no_wait_shutdown_ends_pool() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let (held, _go_on) = busy(&executor);
        let behind = executor.submit(double, 1);
        let pids = executor.worker_pids();
        executor.shutdown(Shutdown::NoWait);
        assert!(!held.is_done());
        executor.shutdown(Shutdown::Kill);
        assert!(!pids.iter().any(|pid| is_alive(*pid)));
        let errors = [(held.error(), Execution::Started), (behind.error(), Execution::NotStarted)];
        for (error, execution) in errors {
            let error = error.unwrap();
            assert!(error.is_shutdown_executor() && error.execution() == execution, "{error:?}");
        }
    });
}

/// An error value that serde will not have, in one direction or the other.
#[derive(Debug)]
struct Stubborn {
    in_worker: bool,
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.in_worker {
            return Err(serde::ser::Error::custom("not out of here"));
        }
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer)?;
        Err(serde::de::Error::custom("not in here"))
    }
}

#[loky::task]
fn fail_stubbornly(in_worker: bool) -> Result<(), Stubborn> {
    Err(Stubborn { in_worker })
}

/// Python: such an exception breaks the whole pool, with the exit code 1 of a worker or with `BrokenProcessPool`.
#[test]
fn error_that_fails_to_encode_is_reported() {
    isolated(|| {
        for policy in [CrashPolicy::Heal, CrashPolicy::BreakPool] {
            let builder = ProcessPoolExecutor::builder().max_workers(1).on_worker_crash(policy);
            let executor = builder.build().unwrap();
            executor.prewarm().unwrap();
            let pids = executor.worker_pids();
            let out = executor.submit(fail_stubbornly, true).error().unwrap();
            assert!(out.is_encode_result() && out.to_string().contains("not out of here"), "{out}");
            let back = executor.submit(fail_stubbornly, false).error().unwrap();
            assert!(back.is_decode_result() && back.to_string().contains("not in here"), "{back}");
            assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
            assert_eq!(executor.worker_pids(), pids);
        }
    });
}

/// Python: an idle worker that gets a SIGINT breaks the pool, with "a task has failed to un-serialize".
#[test]
fn sigint_to_idle_worker_is_healed() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(2).build().unwrap();
        executor.prewarm().unwrap();
        let pids = executor.worker_pids();
        assert!(kill(pids[0], libc::SIGINT));
        until("it is gone", LONG, || !is_alive(pids[0]));
        let results: Vec<_> = (0..20).map(|i| executor.submit(double, i)).collect();
        for (result, i) in results.iter().zip(0..) {
            assert_eq!(result.result().unwrap(), 2 * i);
        }
        executor.prewarm().unwrap();
        assert!(!executor.is_broken());
        assert!(!executor.worker_pids().contains(&pids[0]));
        assert!(
            executor.worker_pids().contains(&pids[1]),
            "the other one has nothing to do with it"
        );
    });
}

/// Python: a busy one raises `KeyboardInterrupt` in the task and carries on. Here it is a death like any other.
#[test]
fn sigint_to_busy_worker_fails_its_call() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let (held, _go_on) = busy(&executor);
        assert!(kill(executor.worker_pids()[0], libc::SIGINT));
        let error = held.error().unwrap();
        assert_eq!(error.worker_exit().unwrap().to_string(), "SIGINT(-2)");
        assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
    });
}

/// A SIGINT to the program's process group, as the terminal sends it for Ctrl-C, is no business of the workers.
#[test]
fn sigint_to_group_spares_workers() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let (held, go_on) = busy(&executor);
        let worker = executor.worker_pids()[0];
        let group = |pid| loky_tests::process(pid).unwrap().group;
        let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(group(bystander.id()), group(std::process::id()), "what Ctrl-C reaches");
        assert_ne!(group(worker), group(std::process::id()));
        bystander.kill().unwrap();
        bystander.wait().unwrap();
        go_on.set();
        assert_eq!(held.result().unwrap(), worker);
    });
}

/// A waker that keeps the thread that wakes it: the one that reads what workers say.
struct Stall {
    entered: mpsc::Sender<()>,
    /// Closed to let it go on.
    release: Mutex<mpsc::Receiver<()>>,
}

impl Wake for Stall {
    fn wake(self: Arc<Self>) {
        self.entered.send(()).expect("the test waits");
        let _ = self.release.lock().expect("nothing panics here").recv();
    }
}

/// A call whose task is running, and whose pool has not heard of that yet. It hears when the sender goes.
fn secretly_begun(
    executor: &ProcessPoolExecutor,
    go_on: &Event,
) -> (Future<u32>, mpsc::Sender<()>) {
    let (before, before_may_go_on) = busy(executor);
    let (entered, has_entered) = mpsc::channel();
    let (release, may_go_on) = mpsc::channel();
    let waker = Waker::from(Arc::new(Stall { entered, release: Mutex::new(may_go_on) }));
    let mut before = pin!(before); // A handle that is dropped takes its waker along.
    assert!(before.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let began = Event::new();
    let call = executor.submit(hold, (began.clone(), go_on.clone()));
    before_may_go_on.set();
    has_entered.recv().expect("the waker is woken");
    began.wait();
    (call, release)
}

/// Between the moment in which a task begins and the one in which its pool hears of it, no error may say that it has not.
#[test]
fn begun_call_is_never_reported_as_not_started() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let go_on = Event::new();
        let (call, release) = secretly_begun(&executor, &go_on);
        let queued = executor.submit(double, 1);
        thread::scope(|scope| {
            scope.spawn(|| executor.shutdown(Shutdown::Kill));
            let (error, queued) = (call.error().unwrap(), queued.error().unwrap());
            drop(release);
            assert!(
                error.is_shutdown_executor() && queued.is_shutdown_executor(),
                "{error:?} {queued:?}"
            );
            assert_eq!(queued.execution(), Execution::NotStarted);
            assert_eq!(error.execution(), Execution::Started);
        });
    });
}

#[test]
fn timeout_of_begun_call_is_never_reported_as_not_started() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let go_on = Event::new();
        let (call, release) = secretly_begun(&executor, &go_on);
        let error = call.result_timeout(Duration::ZERO).unwrap_err();
        drop(release);
        go_on.set();
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(error.execution(), Execution::Started);
        assert!(call.result().is_ok());
    });
}

/// The last handle is dropped by a callback that is still running when everything else of the pool has ended: that must
/// not wait for the end of the pool, which waits for the callback.
#[test]
fn last_handle_dropped_by_last_callback_ends_pool() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let (call, call_may_go_on) = busy(&executor);
        let pid = executor.worker_pids()[0];
        let handle = executor.clone();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (ended, has_ended) = mpsc::channel();
        call.add_done_callback(move |_| {
            let _ = may_go_on.recv();
            drop(handle);
            ended.send(()).expect("the test waits");
        });
        call_may_go_on.set();
        executor.shutdown(Shutdown::NoWait);
        drop(executor);
        until("the worker has left", LONG, || !is_alive(pid));
        until("the pool's thread waits for the callback", LONG, pool_thread_waits_for_a_thread);
        drop(go_on);
        has_ended.recv_timeout(LONG).expect("the callback comes to its end");
        until("the pool's threads have ended", LONG, || pool_threads().is_empty());
    });
}

/// Returns the states of the threads of pools in this process, from /proc.
fn pool_threads() -> Vec<PathBuf> {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let name = |thread: &PathBuf| fs::read_to_string(thread.join("comm")).unwrap_or_default();
    threads.filter(|thread| name(thread).starts_with("loky-")).collect()
}

/// Whether the thread that otherwise polls is in futex(2).
fn pool_thread_waits_for_a_thread() -> bool {
    let futex = libc::SYS_futex.to_string();
    pool_threads().iter().any(|thread| {
        let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
        let call = fs::read_to_string(thread.join("syscall")).unwrap_or_default();
        name.starts_with("loky-pool") && call.split(' ').next() == Some(&futex)
    })
}

/// Callbacks of a call that is cancelled run in the thread that cancels: there too the end of the pool is not waited for.
#[test]
fn shutdown_in_callback_of_cancelled_call_does_not_hang() {
    isolated(|| {
        for how in [Shutdown::Wait, Shutdown::CancelPending, Shutdown::Kill] {
            let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
            let (call, go_on) = busy(&executor);
            let pending = executor.submit(double, 1);
            let handle = executor.clone();
            pending.add_done_callback(move |_| handle.shutdown(how));
            assert!(pending.cancel() && executor.is_shutdown());
            go_on.set();
            assert_eq!(call.result().is_ok(), how != Shutdown::Kill);
        }
    });
}

/// A waker that owns the last handle.
struct Owner(Mutex<Option<ProcessPoolExecutor>>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().expect("nothing panics here").take());
    }
}

/// Wakers run in any thread that reads answers, also in one that waits for another call.
#[test]
fn last_handle_dropped_by_waker_ends_pool() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let (call, go_on) = busy(&executor);
        let behind = executor.submit(double, 1);
        let mut polled = pin!(call.clone());
        let waker = Waker::from(Arc::new(Owner(Mutex::new(Some(executor)))));
        assert!(polled.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        go_on.set();
        assert_eq!(behind.result().unwrap(), 2);
        until("the pool's threads have ended", LONG, || pool_threads().is_empty());
    });
}
