//! Events of calls and workers, and the numbers beside them: `Builder::observer` and `ProcessPoolExecutor::stats`.

use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;

use loky::{Builder, CrashPolicy, Event, ProcessPoolExecutor, Shutdown};
use loky_tests::deed::{Deed, perform};
use loky_tests::forked::in_forked_child;
use loky_tests::held::Held;
use loky_tests::isolated;
use loky_tests::ledger::Log;
use loky_tests::limits::limit;
use loky_tests::signal::send_signal;
use loky_tests::step::{Step, burst, until_running};
use loky_tests::tasks::{double, pid, square};
use loky_tests::time::LONG;

fn builder(max_workers: usize) -> Builder {
    ProcessPoolExecutor::builder().max_workers(max_workers)
}

/// An executor whose workers are up.
fn ready(max_workers: usize) -> (ProcessPoolExecutor, Arc<Log>) {
    let (executor, log) = Log::of(builder(max_workers));
    executor.prewarm().unwrap();
    (executor, log)
}

#[test]
fn events_tell_life_of_call_and_worker() {
    isolated(|| {
        let (executor, log) = Log::of(builder(1));
        let future = executor.submit(square, 3);
        assert_eq!(future.result().unwrap(), 9);
        executor.shutdown(Shutdown::Wait);
        let mut words = [
            "submitted 1",
            "started 0",
            "given 1",
            "ready 0",
            "finished 1",
            "shut down",
            "retired 0: Shutdown",
            "left 0: EXIT(0)",
        ];
        let mut given = 2;
        if cfg!(loky_force_stream) {
            words.swap(2, 3); // Only a ready worker is given a call.
            given = 3;
        }
        assert_eq!(log.words_of_quick_starts(), words);
        log.check_end(&executor);
        let name = square::TASK.name();
        let events = log.events_of_quick_starts();
        assert!(matches!(&events[0], Event::CallSubmitted { task, .. } if *task == name));
        assert!(matches!(&events[given], Event::CallGiven { task, worker_pid, .. }
            if *task == name && Some(*worker_pid) == future.worker_pid()));
        assert!(matches!(&events[4], Event::CallFinished { task, worker_pid, .. }
            if *task == name && *worker_pid == future.worker_pid()));
    });
}

#[test]
fn crash_is_told() {
    isolated(|| {
        let (executor, log) = ready(1);
        let error = executor.submit(perform, Deed::Segfault).error().unwrap();
        executor.prewarm().unwrap();
        executor.submit(double, 1).result().unwrap();
        executor.shutdown(Shutdown::Wait);
        let words = [
            "started 0",
            "ready 0",
            "submitted 1",
            "given 1",
            "died 0: SIGSEGV(-11)",
            "finished 1: TerminatedWorker",
            "started 0",
            "ready 0",
            "submitted 2",
            "given 2",
            "finished 2",
            "shut down",
            "retired 0: Shutdown",
            "left 0: EXIT(0)",
        ];
        assert_eq!(log.words(), words);
        log.check_end(&executor);
        let Event::WorkerExited { exit, .. } = &log.events()[4] else { unreachable!("see above") };
        assert_eq!(Some(exit), error.worker_exit(), "the task is said too");
    });
}

#[test]
fn kill_of_worker_for_bad_message_is_told() {
    isolated(|| {
        let (executor, log) = ready(1);
        let error = executor.submit(perform, Deed::SpoilChannel).error().unwrap();
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
        let events = log.events();
        let exits = events.iter().filter_map(|event| match event {
            Event::WorkerExited { exit, was_told: false, .. } => Some(exit),
            _ => None,
        });
        let exits: Vec<_> = exits.collect();
        assert_eq!(exits, [error.worker_exit().unwrap()]);
        assert!(exits[0].cause().unwrap().contains("broke the protocol"), "{exits:?}");
    });
}

#[test]
fn break_of_pool_is_told() {
    isolated(|| {
        let builder = builder(1).on_worker_crash(CrashPolicy::BreakPool);
        let (executor, log) = Log::of(builder);
        let held = Held::new(&executor, 1);
        let queued = executor.submit(square, 1);
        send_signal(held.futures[0].worker_pid().unwrap(), libc::SIGKILL);
        assert!(queued.error().unwrap().is_broken_process_pool());
        executor.shutdown(Shutdown::Wait);
        let mut words = log.words();
        words.retain(|word| word != "taken back 2"); // It may have been given ahead of time.
        let end = words.iter().position(|word| word.starts_with("died")).unwrap();
        let expected = [
            "died 0: SIGKILL(-9)",
            "broken: BrokenProcessPool",
            "finished 1: TerminatedWorker",
            "finished 2: BrokenProcessPool",
        ];
        assert_eq!(words[end..end + 4], expected);
        log.check_end(&executor);
    });
}

#[test]
fn failed_start_of_worker_is_told() {
    isolated(|| {
        let (executor, log) = Log::of(builder(1).worker_exe("/nonexistent/worker"));
        assert!(executor.submit(square, 1).error().unwrap().is_spawn());
        executor.shutdown(Shutdown::Wait);
        let words = ["submitted 1", "not started 0: Spawn", "broken: Spawn", "finished 1: Spawn"];
        assert_eq!(log.words()[..4], words);
        log.check_end(&executor);
    });
}

/// The pool starts no worker whose events it could not tell.
#[test]
fn lack_of_memory_for_event_thread_fails_call() {
    isolated(|| {
        let (executor, log) = Log::of(builder(1));
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: libc::rlim_t = statm.split(' ').next().unwrap().parse().unwrap();
        // There is room for the pool's own thread, not for one with an ordinary stack.
        let before = limit(libc::RLIMIT_AS, (pages << 12) + (1 << 20));
        let error = executor.submit(square, 1).error();
        limit(libc::RLIMIT_AS, before);
        let error = error.expect("a failure");
        assert!(error.is_spawn() && error.to_string().contains("thread"), "{error}");
        assert_eq!(executor.submit(square, 2).result().unwrap(), 4);
        executor.shutdown(Shutdown::Wait);
        assert!(log.words()[0].starts_with("submitted"), "{:?}", log.words());
        log.check_end(&executor);
    });
}

#[test]
fn resize_up_and_down_is_told() {
    isolated(|| {
        let (executor, log) = Log::of(builder(1));
        executor.resize(2).unwrap();
        executor.prewarm().unwrap();
        executor.resize(2).unwrap();
        executor.resize(4).unwrap();
        executor.prewarm().unwrap();
        log.until(4, "ready");
        let up = log.words();
        assert_eq!(up[0], "resized 1 to 2", "what came before the first worker is told too");
        assert_eq!(up.iter().filter(|word| word.starts_with("resized")).count(), 2);
        let resized = up.iter().position(|word| word == "resized 2 to 4").unwrap();
        for word in ["started 2", "started 3", "ready 2", "ready 3"] {
            assert!(up[resized..].iter().any(|other| other == word), "{word}: {up:?}");
        }
        executor.resize(2).unwrap();
        log.until(2, "left");
        let words = log.words();
        assert_eq!(
            words[up.len()..up.len() + 3],
            ["resized 4 to 2", "retired 3: Resized", "retired 2: Resized"]
        );
        log.check();
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn resize_while_workers_start_is_told() {
    isolated(|| {
        let (executor, log) = ready(1);
        for n_workers in [5, 1, 3, 2, 4, 1] {
            executor.resize(n_workers).unwrap();
        }
        log.until(6, "resized");
        executor.submit(square, 1).result().unwrap();
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

/// Checks the ends of a running call, a queued call and the worker.
#[track_caller]
fn check_shutdown(how: Shutdown, expected: [&str; 3]) {
    let (executor, log) = ready(1);
    let held = Held::new(&executor, 1);
    let _queued = executor.submit(pid, ());
    executor.shutdown(Shutdown::NoWait);
    let waiting = thread::spawn({
        let executor = executor.clone();
        move || executor.shutdown(how)
    });
    log.until(1, "shut down");
    if matches!(how, Shutdown::CancelPending) {
        log.until(1, "finished");
    }
    if !matches!(how, Shutdown::Kill) {
        held.release();
    }
    waiting.join().unwrap();
    let words = log.words();
    for word in expected {
        assert!(words.iter().any(|other| other == word), "{how:?}, {word}: {words:?}");
    }
    log.check_end(&executor);
}

#[test]
fn shutdown_is_told_once() {
    isolated(|| {
        check_shutdown(Shutdown::Wait, ["finished 1", "finished 2", "left 0: EXIT(0)"]);
        check_shutdown(
            Shutdown::CancelPending,
            ["finished 1", "finished 2: Cancelled", "left 0: EXIT(0)"],
        );
        check_shutdown(
            Shutdown::Kill,
            ["finished 1: ShutdownExecutor", "finished 2: ShutdownExecutor", "left 0: SIGKILL(-9)"],
        );
    });
}

#[test]
fn drop_of_last_handle_is_told_as_shutdown() {
    isolated(|| {
        let (executor, log) = ready(2);
        let future = executor.submit(square, 2);
        drop(executor);
        assert!(future.is_done());
        let words = log.words();
        assert_eq!(words.iter().filter(|word| *word == "shut down").count(), 1);
        assert_eq!(words.iter().filter(|word| word.starts_with("left")).count(), 2);
        assert!(words.last().unwrap().starts_with("left"), "{words:?}");
        log.check();
    });
}

#[test]
fn observer_panic_hurts_nothing() {
    isolated(|| {
        static PANICS: AtomicUsize = AtomicUsize::new(0);
        let count = |_: &PanicHookInfo<'_>| {
            PANICS.fetch_add(1, Ordering::SeqCst);
        };
        panic::set_hook(Box::new(count));
        let executor = builder(1).observer(|event| panic!("{event:?}")).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        let future = executor.submit(square, 3);
        future.add_done_callback(move |future| sender.send(future.result().unwrap()).unwrap());
        assert_eq!(receiver.recv_timeout(LONG), Ok(9));
        executor.shutdown(Shutdown::Wait);
        drop(panic::take_hook());
        assert_eq!(PANICS.load(Ordering::SeqCst), 8, "one for each event");
    });
}

#[test]
fn observer_may_submit_and_wait() {
    isolated(|| {
        let handle = Arc::new(OnceLock::<ProcessPoolExecutor>::new());
        let (used, is_first) = (Arc::clone(&handle), AtomicBool::new(true));
        let (sender, receiver) = mpsc::channel();
        let observer = move |event: &Event| {
            let executor = used.get().expect("there are no events before it");
            if matches!(event, Event::CallFinished { .. }) && is_first.swap(false, Ordering::SeqCst)
            {
                let sixteen = executor.submit(square, 4).result().unwrap();
                let sum: u64 = executor.map(square, 0..10).map(Result::unwrap).sum();
                sender.send((sixteen, sum)).unwrap();
            }
            if matches!(event, Event::ShutDown { .. }) {
                executor.shutdown(Shutdown::Wait);
                assert!(executor.submit(square, 1).error().unwrap().is_shutdown_executor());
                sender.send((0, 0)).unwrap();
            }
        };
        let executor = builder(2).observer(observer).build().unwrap();
        handle.set(executor.clone()).unwrap();
        executor.submit(square, 3).result().unwrap();
        assert_eq!(receiver.recv_timeout(LONG), Ok((16, 285)));
        executor.shutdown(Shutdown::Wait);
        assert_eq!(receiver.try_recv(), Ok((0, 0)));
    });
}

/// An observer that holds its own executor, and a mark that goes with it.
#[track_caller]
fn check_is_let_go(is_used: bool, how: Shutdown) {
    let mark = Arc::new(());
    let handle = Arc::new(OnceLock::<ProcessPoolExecutor>::new());
    let held = (Arc::clone(&mark), Arc::clone(&handle));
    let observer =
        move |_: &Event| assert!(held.1.get().is_some() && Arc::strong_count(&held.0) > 1);
    let executor = builder(1).observer(observer).build().unwrap();
    handle.set(executor.clone()).unwrap();
    if is_used {
        executor.submit(square, 1).result().unwrap();
    }
    executor.shutdown(how);
    executor.shutdown(Shutdown::Wait);
    assert_eq!(Arc::strong_count(&mark), 1, "{is_used}, {how:?}");
}

#[test]
fn observer_is_dropped_at_end() {
    isolated(|| {
        for how in [Shutdown::Wait, Shutdown::NoWait, Shutdown::CancelPending, Shutdown::Kill] {
            check_is_let_go(true, how);
            check_is_let_go(false, how);
        }
    });
}

#[test]
fn slow_observer_holds_up_no_calls() {
    isolated(|| {
        let (gate, blocks) = mpsc::channel::<()>();
        let blocks = Mutex::new(blocks);
        let log = Arc::new(Log::default());
        let kept = Arc::clone(&log);
        let observer = move |event: &Event| {
            if matches!(event, Event::CallSubmitted { call: 1, .. }) {
                blocks.lock().unwrap().recv().unwrap();
            }
            kept.push(event);
        };
        let executor = builder(1).observer(observer).build().unwrap();
        let sum: u64 = executor.map(square, 0..100).map(Result::unwrap).sum();
        assert_eq!((sum, log.events().len()), (328_350, 0));
        executor.shutdown(Shutdown::NoWait);
        gate.send(()).unwrap();
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn forked_child_tells_nothing() {
    isolated(|| {
        let (executor, log) = ready(1);
        executor.submit(square, 1).result().unwrap();
        log.until(1, "finished");
        let words = log.words();
        in_forked_child(|| {
            assert!(executor.submit(square, 1).error().is_some() && executor.resize(2).is_err());
            executor.shutdown(Shutdown::Wait);
            assert_eq!(log.words(), words);
        });
        assert_eq!(log.words(), words);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn cancel_of_running_call_is_no_event() {
    isolated(|| {
        let (executor, log) = ready(1);
        let (gate, record) = (loky_tests::Event::new(), loky_tests::Record::new());
        let calls = burst(&executor, &record, [Step::Wait(gate.clone()), Step::Pass]);
        until_running(&calls[0]);
        assert!(!calls[0].cancel() && calls[1].cancel());
        gate.set();
        executor.shutdown(Shutdown::Wait);
        let finished = |word: &String| word.starts_with("finished");
        let finished: Vec<_> = log.words().into_iter().filter(finished).collect();
        assert_eq!(finished, ["finished 2: Cancelled", "finished 1"]);
        log.check_end(&executor);
    });
}
