//! Done callbacks over real calls: when, where and in which order they run, and what they may do.
//!
//! The unit tests of `loky::future` go through the states of a callback one by one.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use loky::{ErrorKind, Execution, Shutdown};
use loky_tests::held::Held;
use loky_tests::pools::{executor, until_childless};
use loky_tests::tasks::{fail, hold, pid, square};
use loky_tests::time::LONG;
use loky_tests::{Census, Event, isolated, until};

/// Waits until the executors of this process have left nothing behind, where no handle is left to wait with.
#[track_caller]
fn until_gone(before: &Census) {
    until("nothing is left", LONG, || Census::take() == *before);
}

#[test]
fn callback_runs_after_end_on_thread_of_pool() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let future = held.futures[0].clone();
        let (sender, receiver) = mpsc::channel();
        future.add_done_callback(move |future| {
            let result = future.result().ok();
            sender.send((thread::current().id(), future.is_done(), result)).unwrap();
        });
        assert!(receiver.try_recv().is_err(), "too early");
        held.release();
        let (thread, is_done, result) = receiver.recv_timeout(LONG).unwrap();
        assert_ne!(thread, thread::current().id());
        assert_eq!((is_done, result), (true, future.worker_pid()));
        // A callback that comes late runs at once, on this thread.
        let (sender, receiver) = mpsc::channel();
        future.add_done_callback(move |_| sender.send(thread::current().id()).unwrap());
        assert_eq!(receiver.try_recv(), Ok(thread::current().id()));
    });
}

#[test]
fn callbacks_run_in_order_before_executor_is_gone() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for number in 0..100 {
            let seen = Arc::clone(&seen);
            held.futures[0].add_done_callback(move |_| seen.lock().unwrap().push(number));
        }
        held.release();
        drop(executor);
        assert_eq!(*seen.lock().unwrap(), Vec::from_iter(0..100));
    });
}

#[test]
fn callback_added_at_any_time_runs_once() {
    isolated(|| {
        const CALLS: usize = 500;
        let executor = executor(2);
        let runs: Arc<[AtomicUsize]> = (0..CALLS).map(|_| AtomicUsize::new(0)).collect();
        for number in 0..CALLS {
            // Some are done by then, some not.
            let runs = Arc::clone(&runs);
            let future = executor.submit(pid, ());
            future.add_done_callback(move |_| {
                runs[number].fetch_add(1, Ordering::SeqCst);
            });
        }
        drop(executor);
        assert!(runs.iter().all(|runs| runs.load(Ordering::SeqCst) == 1), "{runs:?}");
    });
}

#[test]
fn callback_of_cancelled_call_runs_before_cancel_returns() {
    isolated(|| {
        let executor = executor(1);
        let held = Held::new(&executor, 1);
        let future = executor.submit(pid, ());
        let (sender, receiver) = mpsc::channel();
        future.add_done_callback(move |future| {
            sender.send((thread::current().id(), future.is_cancelled())).unwrap();
        });
        assert!(future.cancel() && future.cancel());
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [(thread::current().id(), true)]);
        held.release();
    });
}

#[test]
fn callback_of_failed_call_runs() {
    isolated(|| {
        let executor = executor(1);
        let (sender, receiver) = mpsc::channel();
        let tell = |future: &loky::Future<u64>| {
            let sender = sender.clone();
            future.add_done_callback(move |future| {
                sender.send(future.error().map(|error| error.kind())).unwrap();
            });
        };
        let next = || receiver.recv_timeout(LONG).unwrap().unwrap();
        tell(&executor.submit(fail, "boom".into()));
        assert_eq!(next(), ErrorKind::Panicked);
        tell(&executor.submit(exit_instead, 3));
        assert_eq!(next(), ErrorKind::TerminatedWorker);
        tell(&executor.submit(|x: u64| x, 3));
        assert_eq!(next(), ErrorKind::NotATask);
        let held = Held::new(&executor, 1);
        (0..20).for_each(|x| tell(&executor.submit(square, x)));
        executor.shutdown(Shutdown::Kill);
        let kinds: Vec<_> = receiver.try_iter().flatten().collect();
        assert_eq!(kinds, [ErrorKind::ShutdownExecutor; 20], "all of them before it returns");
        assert!(held.futures[0].is_done());
        tell(&executor.submit(square, 1));
        assert_eq!(receiver.try_recv().unwrap(), Some(ErrorKind::ShutdownExecutor));
    });
}

#[loky::task]
fn exit_instead(code: i32) -> u64 {
    std::process::exit(code)
}

#[test]
fn callback_panic_is_reported_and_hurts_nothing() {
    isolated(|| {
        let executor = executor(1);
        let reports = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&reports);
        panic::set_hook(Box::new(move |info| {
            hook.lock().unwrap().push(info.payload_as_str().unwrap().to_owned());
        }));
        let (sender, receiver) = mpsc::channel();
        for round in 0..2 {
            let held = Held::new(&executor, 1);
            for number in 0..3 {
                let sender = sender.clone();
                held.futures[0].add_done_callback(move |_| {
                    sender.send((round, number, thread::current().id())).unwrap();
                    assert_ne!(number, 1, "round {round}");
                });
            }
            held.release();
        }
        // One more callback, on this thread.
        let future = executor.submit(pid, ());
        let worker = future.result().unwrap();
        future.add_done_callback(|_| panic!("here"));
        drop((executor, sender));
        drop(panic::take_hook());

        let seen: Vec<_> = receiver.iter().collect();
        let thread = seen[0].2;
        let expected = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];
        assert_eq!(seen, expected.map(|(round, number)| (round, number, thread)));
        let reports = reports.lock().unwrap();
        assert_eq!(reports.len(), 3, "{reports:?}");
        for part in ["round 0", "round 1", "here"] {
            assert!(reports.iter().any(|report| report.contains(part)), "{reports:?}");
        }
        assert_eq!(future.worker_pid(), Some(worker));
    });
}

#[test]
fn slow_callback_holds_up_no_calls() {
    isolated(|| {
        let executor = executor(1);
        let (gate, blocks) = mpsc::channel::<()>();
        let (sender, receiver) = mpsc::channel();
        let late = sender.clone();
        executor.submit(square, 1).add_done_callback(move |_| {
            sender.send("began").unwrap();
            blocks.recv().unwrap();
            sender.send("ended").unwrap();
        });
        assert_eq!(receiver.recv_timeout(LONG), Ok("began"));
        let held = Held::new(&executor, 1);
        held.futures[0].add_done_callback(move |_| late.send("next").unwrap());
        held.release();
        held.futures[0].result_timeout(LONG).unwrap();
        assert_eq!(executor.map(square, 0..50).filter(Result::is_ok).count(), 50);
        assert!(receiver.try_recv().is_err(), "one at a time");
        gate.send(()).unwrap();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["ended", "next"]);
    });
}

#[test]
fn callback_may_submit_and_wait() {
    isolated(|| {
        let executor = executor(1);
        let (sender, receiver) = mpsc::channel();
        let again = executor.clone();
        executor.submit(square, 3).add_done_callback(move |future| {
            let nine = future.result().unwrap();
            let other = again.submit(square, nine);
            let waited =
                loky::wait(std::slice::from_ref(&other), loky::ReturnWhen::AllCompleted, None);
            assert_eq!(waited.done.len(), 1);
            let sum: u64 = again.map(square, 0..10).map(Result::unwrap).sum();
            sender.send((other.result().unwrap(), sum)).unwrap();
        });
        assert_eq!(receiver.recv_timeout(LONG), Ok((81, 285)));
        executor.shutdown(Shutdown::Wait);
    });
}

#[test]
fn callback_may_drop_last_handle() {
    isolated(|| {
        let before = Census::take();
        let executor = executor(2);
        let held = Held::new(&executor, 1);
        let rest: Vec<_> = (0..20).map(|x| executor.submit(square, x)).collect();
        let (sender, receiver) = mpsc::channel();
        held.futures[0].add_done_callback(move |_| {
            drop(executor);
            sender.send(()).unwrap();
        });
        held.release();
        receiver.recv_timeout(LONG).unwrap();
        for (x, future) in (0..).zip(rest) {
            assert_eq!(future.result_timeout(LONG).unwrap(), square(x), "accepted is accepted");
        }
        drop(held);
        until_gone(&before);
    });
}

#[test]
fn callback_may_shut_down_in_each_way() {
    isolated(|| {
        use Execution::{NotStarted, Started};
        let killed = |execution| Some((ErrorKind::ShutdownExecutor, execution));
        for (how, running, queued) in [
            (Shutdown::Wait, None, None),
            (Shutdown::NoWait, None, None),
            (Shutdown::CancelPending, None, Some((ErrorKind::Cancelled, NotStarted))),
            (Shutdown::Kill, killed(Started), killed(NotStarted)),
        ] {
            let executor = executor(1);
            let first = Held::new(&executor, 1);
            let (began, gate) = (Event::new(), Event::new());
            let second = executor.submit(hold, (began.clone(), gate.clone()));
            let third = executor.submit(pid, ());
            let (sender, receiver) = mpsc::channel();
            let (handle, next) = (executor.clone(), second.clone());
            first.futures[0].add_done_callback(move |_| {
                until("the next one runs", LONG, || next.is_running());
                handle.shutdown(how);
                sender.send(handle.is_shutdown()).unwrap();
            });
            first.release();
            assert_eq!(receiver.recv_timeout(LONG), Ok(true), "{how:?}");
            gate.set();
            for (future, expected) in [(second, running), (third, queued)] {
                let end = future.error().map(|error| (error.kind(), error.execution()));
                assert_eq!(end, expected, "{how:?}");
            }
            executor.shutdown(Shutdown::Wait);
            drop(began);
        }
    });
}

/// A callback shuts down in the given way, or drops its handle, when all workers are gone already.
#[track_caller]
fn check_late_shutdown(how: Option<Shutdown>) {
    let before = Census::take();
    let executor = executor(1);
    let (gate, blocks) = mpsc::channel::<()>();
    let (sender, receiver) = mpsc::channel();
    let handle = executor.clone();
    executor.submit(square, 1).add_done_callback(move |_| {
        blocks.recv().unwrap();
        match how {
            Some(how) => handle.shutdown(how),
            None => drop(handle),
        }
        sender.send(()).unwrap();
    });
    executor.shutdown(Shutdown::NoWait);
    until_childless();
    match how {
        Some(_) => {
            let waiting = thread::spawn(move || executor.shutdown(Shutdown::Wait));
            gate.send(()).unwrap();
            receiver.recv_timeout(LONG).expect("the callback comes back");
            waiting.join().unwrap();
        }
        None => {
            // That of the callback is the last one.
            thread::spawn(move || executor.shutdown(Shutdown::NoWait)).join().unwrap();
            gate.send(()).unwrap();
            receiver.recv_timeout(LONG).expect("the callback comes back");
        }
    }
    until_gone(&before);
}

#[test]
fn callback_may_shut_down_during_shutdown() {
    isolated(|| {
        for _ in 0..10 {
            check_late_shutdown(Some(Shutdown::Wait));
            check_late_shutdown(Some(Shutdown::Kill));
        }
    });
}

#[test]
fn callback_may_drop_last_handle_during_shutdown() {
    isolated(|| {
        for _ in 0..10 {
            check_late_shutdown(None);
        }
    });
}

#[test]
fn callbacks_may_shut_down_each_others_executors() {
    isolated(|| {
        let executors = [executor(1), executor(1)];
        let (sender, receiver) = mpsc::channel();
        let mut gates = Vec::new();
        for (own, other) in [(0, 1), (1, 0)] {
            let held = Held::new(&executors[own], 1);
            let (sender, other) = (sender.clone(), executors[other].clone());
            held.futures[0].add_done_callback(move |_| {
                other.shutdown(Shutdown::NoWait);
                sender.send(()).unwrap();
            });
            gates.push(held);
        }
        gates.iter().for_each(Held::release);
        for _ in &executors {
            receiver.recv_timeout(LONG).unwrap();
        }
        for executor in executors {
            executor.shutdown(Shutdown::Wait);
        }
        until_childless();
    });
}
