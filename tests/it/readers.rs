//! A thread that waits for a result may read the channel of the worker, and then reads for all threads. So no result waits for
//! another call, no silent worker keeps a thread from its result, and no thread waits at the channel of a dead worker.

use std::fs;
use std::iter::once;
use std::path::Path;
use std::pin::pin;
use std::process;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use loky::{Future, ProcessPoolExecutor, ReturnWhen, as_completed, wait};
use loky_tests::signal::{Stopped, kill};
use loky_tests::step::{Step, burst, passes, starts_of, step, until_running, warm, warm_up};
use loky_tests::time::{LONG, NOTICED};
use loky_tests::{Event, Random, Record, is_alive, isolated, process as look, until};

// ---- ways to get a result ----

/// Gets the outcome of the call, or gives up after a time in which it must have come.
type Way = fn(&Future<u64>) -> loky::Result<u64>;

const WAYS: [(&str, Way); 7] = [
    ("result", Future::result),
    ("result_timeout", |call| call.result_timeout(LONG)),
    ("a callback", by_callback),
    ("wait", by_wait),
    ("as_completed", by_as_completed),
    ("poll", by_poll),
    ("done", by_asking),
];

fn by_callback(call: &Future<u64>) -> loky::Result<u64> {
    let (sender, receiver) = mpsc::channel();
    call.add_done_callback(move |call| {
        // No thread listens if it comes too late.
        let _ = sender.send(call.result());
    });
    receiver.recv_timeout(LONG).expect("the callback is called")
}

fn by_wait(call: &Future<u64>) -> loky::Result<u64> {
    let waited = wait(std::slice::from_ref(call), ReturnWhen::AllCompleted, Some(LONG));
    waited.done.first().expect("it is done").result()
}

fn by_as_completed(call: &Future<u64>) -> loky::Result<u64> {
    let mut completed = as_completed([call.clone()]).timeout(LONG);
    completed.next().expect("there is one").expect("it comes in time").result()
}

/// Wakes the thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn by_poll(call: &Future<u64>) -> loky::Result<u64> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut call = pin!(call.clone());
    let start = Instant::now();
    loop {
        match call.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park_timeout(LONG),
        }
        assert!(start.elapsed() < LONG, "it was not woken");
    }
}

fn by_asking(call: &Future<u64>) -> loky::Result<u64> {
    until("it is done", LONG, || call.is_done());
    call.result()
}

// ---- a call that runs for long ----

/// A call that is done is followed by one that blocks. Its result arrives anyway.
#[track_caller]
fn check_delivery(what: &str, way: Way, n_passes: usize) {
    let executor = warm(1);
    for is_blocked_first in [false, true].repeat(3) {
        warm_up(&executor, 200);
        let (gate, record) = (Event::new(), Record::new());
        let steps = passes(n_passes).chain(once(Step::Wait(gate.clone())));
        let calls = burst(&executor, &record, steps);
        let (blocks, quick) = calls.split_last().expect("there is one that blocks");
        if is_blocked_first {
            // And not `running`, which might have the pool look.
            until("it blocks", LONG, || record.numbers().len() == calls.len());
        }
        // The last one is done just before the other begins.
        for (number, call) in quick.iter().enumerate().rev() {
            assert_eq!(way(call).unwrap(), number as u64, "{what}: call {number}");
        }
        assert!(!blocks.is_done(), "{what}");
        gate.set();
        assert_eq!(way(blocks).unwrap(), n_passes as u64, "{what}");
    }
}

#[test]
fn result_comes_while_next_call_runs() {
    isolated(|| {
        for (what, way) in WAYS {
            for n_passes in [1, 2, 40] {
                check_delivery(what, way, n_passes);
            }
        }
    });
}

/// The number that the kernel knows this thread by.
fn thread_number() -> i32 {
    #[expect(unsafe_code, reason = "std does not tell it")]
    // SAFETY: it takes nothing.
    unsafe {
        libc::gettid()
    }
}

/// Waits in a thread of its own, and returns when that sleeps: in all likelihood where it waits.
#[track_caller]
fn wait_in_thread<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    call: &Future<u64>,
) -> thread::ScopedJoinHandle<'scope, loky::Result<u64>> {
    let (sender, receiver) = mpsc::channel();
    let call = call.clone();
    let waiting = scope.spawn(move || {
        sender.send(thread_number()).expect("it is asked for");
        call.result()
    });
    let number = receiver.recv().expect("it begins");
    let path = format!("/proc/self/task/{number}/stat");
    let sleeps = || fs::read_to_string(&path).is_ok_and(|stat| stat.contains(") S "));
    until("it waits", LONG, || waiting.is_finished() || sleeps());
    waiting
}

/// The first waiting thread reads for the later ones, and hands that on to them when it leaves.
#[test]
fn waiting_threads_get_own_results_in_any_order() {
    isolated(|| {
        let executor = warm(1);
        let mut random = Random::new(3);
        for _ in 0..20 {
            warm_up(&executor, 200);
            let gates = [(); 6].map(|()| Event::new());
            let record = Record::new();
            let calls = burst(&executor, &record, gates.iter().cloned().map(Step::Wait));
            let mut order: Vec<_> = (0..calls.len()).collect();
            (1..order.len()).for_each(|place| order.swap(place, random.below(place + 1)));
            thread::scope(|scope| {
                let mut waiting: Vec<_> = calls.iter().map(|_| None).collect();
                for number in order {
                    waiting[number] = Some(wait_in_thread(scope, &calls[number]));
                }
                for ((number, gate), waiting) in (0..).zip(&gates).zip(waiting) {
                    gate.set();
                    assert_eq!(waiting.expect("all wait").join().unwrap().unwrap(), number);
                }
            });
        }
    });
}

/// A thread that gives up leaves a worker behind that others wait for.
#[test]
fn thread_that_gives_up_takes_no_result_from_others() {
    isolated(|| {
        let executor = warm(1);
        for (what, way) in WAYS {
            let (gate, record) = (Event::new(), Record::new());
            let steps = once(Step::Wait(gate.clone())).chain(passes(5));
            let calls = burst(&executor, &record, steps);
            for _ in 0..3 {
                for limit in [0, 1, 5].map(Duration::from_millis) {
                    assert!(calls[0].result_timeout(limit).unwrap_err().is_timeout(), "{what}");
                }
            }
            thread::scope(|scope| {
                let waiting = scope.spawn(|| way(&calls[5]));
                let limit = Duration::from_millis(5);
                assert!(calls[0].result_timeout(limit).unwrap_err().is_timeout(), "{what}");
                gate.set();
                assert_eq!(waiting.join().unwrap().unwrap(), 5, "{what}");
            });
            assert_eq!(starts_of(&calls, &record), [1; 6], "{what}");
        }
    });
}

// ---- a stopped worker ----

/// Uses the pool from two threads, one of which has one call under way at a time.
#[track_caller]
fn check_flow(executor: &ProcessPoolExecutor) {
    thread::scope(|scope| {
        scope.spawn(|| warm_up(executor, 1000));
        for number in 0..200 {
            let call = executor.submit(step, (number, None, Step::Pass));
            assert_eq!(call.result_timeout(LONG).unwrap(), number);
        }
    });
}

#[test]
fn thread_that_waits_for_stopped_worker_holds_up_no_other() {
    isolated(|| {
        let executor = warm(2);
        for _ in 0..5 {
            let (gate, record) = (Event::new(), Record::new());
            // The calls behind it may lie in the queue of its worker, and must not stay there.
            let steps = once(Step::Wait(gate.clone())).chain(passes(100));
            let calls = burst(&executor, &record, steps);
            until_running(&calls[0]);
            let stopped = Stopped::new(calls[0].worker_pid().unwrap());
            gate.set();
            thread::scope(|scope| {
                let waiting = wait_in_thread(scope, &calls[0]);
                for (number, call) in (1..).zip(&calls[1..]) {
                    assert_eq!(call.result_timeout(LONG).unwrap(), number);
                }
                check_flow(&executor);
                assert!(calls[0].is_running() && !waiting.is_finished());
                drop(stopped);
                assert_eq!(waiting.join().unwrap().unwrap(), 0);
            });
            assert_eq!(starts_of(&calls, &record), [1; 101]);
        }
    });
}

/// Wherever it is stopped it keeps at most the one call that it has begun.
#[test]
fn stopped_worker_keeps_one_call_at_most() {
    isolated(|| {
        let executor = warm(2);
        for round in 0..20 {
            warm_up(&executor, 200);
            let record = Record::new();
            let calls = burst(&executor, &record, passes(1000));
            let stopped = Stopped::new(executor.worker_pids()[round % 2]);
            let n_open = || calls.iter().filter(|call| !call.is_done()).count();
            until("all others are done", LONG, || n_open() <= 1);
            drop(stopped);
            assert_eq!(starts_of(&calls, &record), [1; 1000]);
        }
    });
}

// ---- a dead worker whose channel is kept open ----

fn stay() -> ! {
    loop {
        #[expect(unsafe_code, reason = "std cannot wait for ever in a forked child")]
        // SAFETY: it takes nothing.
        unsafe {
            libc::pause();
        }
    }
}

/// Forks a process that keeps everything open that the worker has, notes this one's number and its, and ends the worker.
#[loky::task]
fn leave_a_child(record: Record) -> u64 {
    #[expect(unsafe_code, reason = "it is what is tested")]
    // SAFETY: the child does nothing but system calls.
    let child = unsafe { libc::fork() };
    if child == 0 {
        stay();
    }
    record.note(u64::from(process::id()));
    record.note(u64::from(child.cast_unsigned()));
    process::abort()
}

/// The process that a task left. It holds what the test prints to, so it must go before the test can come to any end.
struct Left(Record);

impl Left {
    fn pid(&self) -> Option<u32> {
        self.number(1)
    }

    fn number(&self, place: usize) -> Option<u32> {
        Some(u32::try_from(*self.0.numbers().get(place)?).expect("a pid"))
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        // The pool may have killed it, and another process may have the pid.
        let is_it = |pid: &u32| look(*pid).map(|it| it.session) == self.number(0);
        if let Some(pid) = self.pid().filter(is_it) {
            kill(pid, libc::SIGKILL);
        }
    }
}

#[track_caller]
fn check_left_child(what: &str, way: Way, n_passes: usize) {
    let executor = warm(1);
    let left = Left(Record::new());
    let before: Vec<_> =
        (0..n_passes as u64).map(|n| executor.submit(step, (n, None, Step::Pass))).collect();
    let dies = executor.submit(leave_a_child, left.0.clone());
    let behind: Vec<_> =
        (0..n_passes as u64).map(|n| executor.submit(step, (n, None, Step::Pass))).collect();
    thread::scope(|scope| {
        // So that the time does not count which it takes to get there.
        let start = scope.spawn(|| {
            until("it is left", LONG, || left.pid().is_some());
            Instant::now()
        });
        let error = way(&dies).unwrap_err();
        let end = Instant::now();
        let delay = end.saturating_duration_since(start.join().unwrap());
        assert!(error.is_terminated_worker(), "{what}: {error:?}");
        assert_eq!(error.worker_exit().unwrap().to_string(), "SIGABRT(-6)", "{what}");
        assert!(delay < NOTICED, "{what}: {delay:?}");
    });
    let pid = left.pid().expect("it was left");
    assert!(!is_alive(pid), "{what}: it goes before the call is resolved");
    for calls in [before, behind] {
        for (number, call) in (0..).zip(calls) {
            assert_eq!(call.result_timeout(LONG).unwrap(), number, "{what}");
        }
    }
}

#[test]
fn channel_kept_by_child_of_dead_worker_delays_nothing() {
    isolated(|| {
        for (what, way) in WAYS {
            for n_passes in [0, 20] {
                check_left_child(what, way, n_passes);
            }
        }
    });
}

/// Whether a thread, by its place in /proc, is asleep.
fn sleeps(place: &Path) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(place).join("stat")).expect("/proc");
    stat.rsplit(") ").next().is_some_and(|behind_name| behind_name.starts_with('S'))
}

/// A call that lies behind a blocking one goes from worker to worker while several threads wait for it, each of which may be
/// the one that polls; and then it is cancelled.
#[test]
fn end_of_moved_call_wakes_all_waiting_threads() {
    isolated(|| {
        let executor = warm(2);
        for _ in 0..40 {
            executor.resize(2).unwrap();
            executor.prewarm().unwrap();
            warm_up(&executor, 200);
            let (gate, record) = (Event::new(), Record::new());
            let blocking = [(); 2].map(|()| Step::Wait(gate.clone()));
            let calls = burst(&executor, &record, blocking.into_iter().chain(passes(2)));
            let (sender, ends) = mpsc::channel();
            let (here, places) = mpsc::channel();
            let waiters = [(); 3].map(|()| {
                let (call, sender, here) = (calls[3].clone(), sender.clone(), here.clone());
                thread::spawn(move || {
                    here.send(fs::read_link("/proc/thread-self").expect("/proc")).unwrap();
                    sender.send(call.result()).expect("the test listens");
                })
            });
            let places: Vec<_> = places.iter().take(waiters.len()).collect();
            for place in &places {
                until("it waits", LONG, || sleeps(place));
            }
            executor.resize(1).unwrap();
            for place in &places {
                until("it waits again", LONG, || sleeps(place));
            }
            until("it can be cancelled", LONG, || calls[3].cancel());
            for _ in &waiters {
                let end = ends.recv_timeout(LONG).expect("none sleeps on while the others block");
                assert!(end.unwrap_err().is_cancelled());
            }
            gate.set_for(2);
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
            assert!(calls[..3].iter().all(|call| call.result().is_ok()));
        }
    });
}
