//! Futures without a pool and without processes: the tests hold the promises. The tests named `test_…` are those of Python's
//! `concurrent.futures` (see docs/from-python.md). The others are about awaiting, fresh values and lost promises.

use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::listeners::notify_here;
use super::payload::Payload;
use super::*;
use crate::clock;
use crate::codec::{EncodedValue, output};
use crate::error::{Error, ErrorKind, Execution, Result};
use crate::id::CallId;

const TASK: &str = "krate::task";
const CALL: CallId = CallId::nth(7);
const PID: u32 = 4711;

/// Longer than any step here takes. A lost wake-up fails a test instead of hanging it.
const LONG: Duration = Duration::from_secs(60);

/// The pool of one call: it holds the promise.
#[derive(Default)]
struct Holder {
    promise: Mutex<Option<Promise>>,
    running_in: Mutex<Option<u32>>,
}

impl Holder {
    fn take(&self) -> Option<Promise> {
        self.promise.lock().unwrap().take()
    }

    fn begin(&self) {
        *self.running_in.lock().unwrap() = Some(PID);
    }

    fn resolve(&self, outcome: Outcome) {
        let pid = self.running_in.lock().unwrap().take();
        notify_here(self.take().expect("it is open").resolve(outcome, pid));
    }
}

impl Driver for Holder {
    fn wait(&self, call: CallId, waiter: &dyn Waiter, deadline: Option<Instant>) {
        assert_eq!((call, waiter.number()), (CALL, None));
        waiter.park(None, deadline);
    }

    fn request_background_read(&self, call: CallId) {
        assert_eq!(call, CALL);
    }

    fn cancel(&self, call: CallId, _: Option<u32>) -> Cancelled {
        assert_eq!(call, CALL);
        if self.running_in(call, None).is_some() {
            return Cancelled::No;
        }
        let Some(promise) = self.take() else { return Cancelled::Settled };
        let error = Error::new(ErrorKind::Cancelled, "cancelled").with_task(TASK);
        notify_here(promise.resolve(Err(error), None));
        Cancelled::Yes
    }

    fn running_in(&self, call: CallId, _: Option<u32>) -> Option<u32> {
        assert_eq!(call, CALL);
        *self.running_in.lock().unwrap()
    }
}

fn pending() -> (Future<u64>, Arc<Holder>) {
    let holder = Arc::new(Holder::default());
    let driver = DriverRef::new(Arc::downgrade(&holder) as _);
    let (promise, cell) = Promise::new(TASK, &driver, CALL);
    *holder.promise.lock().unwrap() = Some(promise);
    (Future::new(cell.into(), output()), holder)
}

fn running() -> (Future<u64>, Arc<Holder>) {
    let (future, holder) = pending();
    holder.begin();
    (future, holder)
}

fn value(value: u64) -> Outcome {
    let mut encoded = EncodedValue::default();
    output().encode(&value, &mut encoded, None).unwrap();
    Ok(encoded.into())
}

fn failure() -> Outcome {
    Err(Error::new(ErrorKind::Panicked, "boom").with_task(TASK))
}

fn done_with(outcome: Outcome) -> Future<u64> {
    let (future, holder) = running();
    holder.resolve(outcome);
    future
}

fn returned() -> Future<u64> {
    done_with(value(42))
}

fn raised() -> Future<u64> {
    done_with(failure())
}

fn cancelled() -> Future<u64> {
    let (future, _holder) = pending();
    assert!(future.cancel());
    future
}

/// The name of a state, a future in it, and the pool that keeps it there.
type State = (&'static str, Future<u64>, Option<Arc<Holder>>);

/// One future in each state.
fn states() -> [State; 5] {
    let (pending, pending_holder) = pending();
    let (running, running_holder) = running();
    [
        ("pending", pending, Some(pending_holder)),
        ("running", running, Some(running_holder)),
        ("cancelled", cancelled(), None),
        ("returned", returned(), None),
        ("raised", raised(), None),
    ]
}

/// The names of the states in which `predicate` holds.
fn holds(predicate: impl Fn(&Future<u64>) -> bool) -> Vec<&'static str> {
    states().iter().filter(|(_, future, _)| predicate(future)).map(|(name, ..)| *name).collect()
}

/// Runs `body` in a thread, and returns when that thread sleeps: when `body` blocks.
fn blocked<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        sender.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
        body()
    });
    let stat = format!("/proc/self/task/{}/stat", receiver.recv().unwrap());
    let start = clock::now();
    loop {
        let line = std::fs::read_to_string(&stat).unwrap();
        let (_, behind_name) = line.rsplit_once(") ").unwrap();
        if behind_name.starts_with('S') {
            return thread;
        }
        assert!(start.elapsed() < LONG && !thread.is_finished(), "it does not block");
        thread::yield_now();
    }
}

/// Adds a callback to `future`, runs `finish`, and asserts that the callback ran once and saw `check` hold.
#[track_caller]
fn check_callback(
    future: &Future<u64>,
    finish: impl FnOnce(),
    check: impl Fn(&Future<u64>) -> bool + Send + 'static,
) {
    let (sender, receiver) = mpsc::channel();
    let is_done = future.is_done();
    future.add_done_callback(move |future| sender.send(check(&future)).unwrap());
    let early = receiver.try_recv().ok();
    assert_eq!(early.is_some(), is_done, "it runs at once where there is an outcome");
    finish();
    let seen: Vec<_> = early.into_iter().chain(receiver.iter()).collect();
    assert_eq!(seen, [true]);
}

#[test]
fn test_done_callback_with_result() {
    let (future, holder) = running();
    check_callback(
        &future,
        || holder.resolve(value(5)),
        |future| future.is_done() && matches!(future.result(), Ok(5)),
    );
}

#[test]
fn test_done_callback_with_exception() {
    let (future, holder) = running();
    let is_boom = |future: &Future<u64>| future.error().is_some_and(|error| error.is_panicked());
    check_callback(&future, || holder.resolve(failure()), is_boom);
}

#[test]
fn test_done_callback_with_cancel() {
    let (future, _holder) = pending();
    check_callback(
        &future,
        || assert!(future.cancel()),
        |future| future.is_cancelled() && future.is_done(),
    );
}

#[test]
fn test_done_callback_already_successful() {
    check_callback(&returned(), || (), |future| matches!(future.result(), Ok(42)));
}

#[test]
fn test_done_callback_already_failed() {
    check_callback(&raised(), || (), |future| future.error().is_some());
}

#[test]
fn test_done_callback_already_cancelled() {
    check_callback(&cancelled(), || (), Future::is_cancelled);
}

#[test]
fn test_done_callback_raises() {
    // Thrown past the panic hook, so that the test prints nothing.
    check_throwing(|| resume_unwind(Box::new("thrown")));
    returned().add_done_callback(|_| resume_unwind(Box::new("thrown")));
}

#[test]
fn callback_panic_whose_payload_panics_is_contained() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            resume_unwind(Box::new("thrown by a drop"));
        }
    }
    check_throwing(|| resume_unwind(Box::new(Payload)));
}

/// Asserts that a callback that calls `throw` harms neither the other callbacks nor the outcome.
#[track_caller]
fn check_throwing(throw: fn()) {
    let (sender, receiver) = mpsc::channel();
    let (future, holder) = running();
    for number in 0..4 {
        let sender = sender.clone();
        future.add_done_callback(move |_| {
            sender.send(number).unwrap();
            if number == 1 {
                throw();
            }
        });
    }
    drop(sender);
    holder.resolve(value(1));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(future.result().unwrap(), 1);
}

#[test]
fn test_repr() {
    let reprs: Vec<_> = states().iter().map(|(_, future, _)| format!("{future:?}")).collect();
    assert_eq!(
        reprs,
        [
            r#"Future { task: "krate::task", state: "pending" }"#,
            r#"Future { task: "krate::task", state: "running" }"#,
            r#"Future { task: "krate::task", state: "cancelled" }"#,
            r#"Future { task: "krate::task", state: "finished", returned: "u64" }"#,
            r#"Future { task: "krate::task", state: "finished", failed: Panicked }"#,
        ]
    );
}

#[test]
fn test_cancel() {
    assert_eq!(holds(Future::cancel), ["pending", "cancelled"]);
    let (future, _holder) = pending();
    assert!(future.cancel() && future.cancel(), "again and again");
    assert!(future.is_cancelled() && future.is_done() && !future.is_running());
    for future in [returned(), raised()] {
        assert!(!future.cancel() && !future.is_cancelled() && future.is_done());
    }
    let (future, _holder) = running();
    assert!(!future.cancel() && future.is_running() && !future.is_done());
}

#[test]
fn test_cancelled() {
    assert_eq!(holds(Future::is_cancelled), ["cancelled"]);
}

#[test]
fn test_done() {
    assert_eq!(holds(Future::is_done), ["cancelled", "returned", "raised"]);
}

#[test]
fn test_running() {
    assert_eq!(holds(Future::is_running), ["running"]);
}

/// The kind of error that `ask` returns in each state.
fn asked(ask: impl Fn(&Future<u64>) -> Option<Error>) -> Vec<Option<ErrorKind>> {
    states().iter().map(|(_, future, _)| ask(future).map(|error| error.kind())).collect()
}

#[test]
fn test_result_with_timeout() {
    let kinds = asked(|future| future.result_timeout(Duration::ZERO).err());
    let timeout = Some(ErrorKind::Timeout);
    assert_eq!(
        kinds,
        [timeout, timeout, Some(ErrorKind::Cancelled), None, Some(ErrorKind::Panicked)]
    );

    for future in [pending(), running()] {
        let error = future.0.result_timeout(Duration::from_nanos(1)).unwrap_err();
        assert_eq!((error.execution(), error.task()), (Execution::Started, Some(TASK)));
        assert!(!future.0.is_done(), "the call goes on");
    }
    assert_eq!(returned().result_timeout(Duration::MAX).unwrap(), 42);
}

/// Returns what a thread gets that blocks in `ask` until `finish` runs.
#[track_caller]
fn check_wakes(
    ask: impl FnOnce(&Future<u64>) -> Result<u64> + Send + 'static,
    finish: impl FnOnce(&Future<u64>, &Holder),
) -> Result<u64> {
    let (future, holder) = pending();
    let asking = future.clone();
    let thread = blocked(move || ask(&asking));
    finish(&future, &holder);
    thread.join().unwrap()
}

#[test]
fn test_result_with_success() {
    let resolve = |_: &Future<u64>, holder: &Holder| holder.resolve(value(42));
    assert_eq!(check_wakes(|future| future.result_timeout(LONG), resolve).unwrap(), 42);
    let begun = |_: &Future<u64>, holder: &Holder| {
        holder.begin();
        holder.resolve(value(43));
    };
    assert_eq!(check_wakes(Future::result, begun).unwrap(), 43);
}

#[test]
fn test_result_with_cancel() {
    let cancel = |future: &Future<u64>, _: &Holder| assert!(future.cancel());
    assert!(check_wakes(|future| future.result_timeout(LONG), cancel).unwrap_err().is_cancelled());
}

#[test]
fn test_exception_with_timeout() {
    // `error` has no timeout of its own: without blocking it returns the error of `result`.
    for (name, future, holder) in states() {
        if holder.is_none() {
            let kind = future.error().map(|error| error.kind());
            assert_eq!(kind, future.result().err().map(|error| error.kind()), "{name}");
        }
    }
    assert!(returned().error().is_none());
}

#[test]
fn test_exception_with_success() {
    let ask = |future: &Future<u64>| future.error().map_or(Ok(0), Err);
    let error = check_wakes(ask, |_, holder| holder.resolve(failure())).unwrap_err();
    assert!(error.is_panicked());
    assert_eq!(check_wakes(ask, |_, holder| holder.resolve(value(1))).unwrap(), 0);
}

#[test]
fn result_can_be_asked_again_and_clones_share_it() {
    let (future, holder) = pending();
    let clone = future.clone();
    assert_eq!(future.worker_pid(), None);
    holder.begin();
    assert_eq!(clone.worker_pid(), Some(PID));
    holder.resolve(value(9));
    for future in [&future, &clone, &future] {
        assert_eq!(future.result().unwrap(), 9);
    }
    assert_eq!(clone.worker_pid(), Some(PID), "also afterwards");
}

#[test]
fn callbacks_may_add_callbacks_and_ask() {
    let (sender, receiver) = mpsc::channel();
    let (future, holder) = running();
    let late = sender.clone();
    future.add_done_callback(move |future| {
        future
            .clone()
            .add_done_callback(move |future| late.send(future.result().unwrap()).unwrap());
        sender.send(0).unwrap();
    });
    holder.resolve(value(8));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [8, 0], "there was an outcome: at once");
}

#[test]
fn callback_that_has_run_is_dropped() {
    let cancel = |future: &Future<u64>, _: &Holder| assert!(future.cancel());
    let resolve = |_: &Future<u64>, holder: &Holder| holder.resolve(value(1));
    for finish in [cancel, resolve] {
        let (future, holder) = pending();
        let held = Arc::new(());
        let captured = Arc::clone(&held);
        future.add_done_callback(move |_| drop(captured));
        assert_eq!(Arc::strong_count(&held), 2);
        finish(&future, &holder);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn lost_promise_is_an_outcome() {
    let (future, holder) = running();
    let (sender, receiver) = mpsc::channel();
    future.add_done_callback(move |future| sender.send(future.is_done()).unwrap());
    let asking = future.clone();
    let thread = blocked(move || asking.result_timeout(LONG));
    drop(holder.take());
    let error = thread.join().unwrap().unwrap_err();
    assert!(error.is_broken_process_pool(), "{error}");
    assert_eq!((error.task(), error.execution()), (Some(TASK), Execution::Started));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [true]);
}

#[test]
fn into_result_returns_result_or_error() {
    assert_eq!(returned().into_result().unwrap(), 42);
    assert!(raised().into_result().unwrap_err().is_panicked());
    assert!(cancelled().into_result().unwrap_err().is_cancelled());
}

#[test]
fn into_result_waits_for_outcome() {
    let (future, holder) = running();
    let thread = blocked(move || future.into_result());
    holder.resolve(value(7));
    assert_eq!(thread.join().unwrap().unwrap(), 7);
}

#[test]
fn into_result_keeps_nothing() {
    let (future, holder) = running();
    let bytes = Arc::new(value(1).unwrap().to_vec());
    holder.resolve(Ok(Payload::Shared(Arc::clone(&bytes))));
    let clone = future.clone();
    assert_eq!(future.into_result().unwrap(), 1);
    assert_eq!(Arc::strong_count(&bytes), 2, "the clone has it");
    assert_eq!(clone.into_result().unwrap(), 1);
    assert_eq!(Arc::strong_count(&bytes), 1);
}

/// A future that was polled leaves no waker behind.
#[test]
fn into_result_drops_waker() {
    let (mut future, holder) = running();
    let counter = Counter::new();
    assert!(poll(&mut future, &Waker::from(Arc::clone(&counter))).is_pending());
    holder.resolve(value(1));
    assert_eq!(future.into_result().unwrap(), 1);
    assert_eq!(Arc::strong_count(&counter), 1);
}

#[test]
fn call_that_is_not_accepted_is_done() {
    let future = Future::<u64>::failed(TASK, Error::new(ErrorKind::NotATask, "no task"));
    assert!(future.is_done() && !future.cancel() && !future.is_cancelled() && !future.is_running());
    assert!(future.result().unwrap_err().is_not_a_task());
    assert_eq!(future.worker_pid(), None);
    check_callback(&future, || (), |future| future.error().is_some());
}

#[test]
fn undecodable_result_is_error_of_its_future() {
    for rubbish in [vec![], vec![0x61, b'x'], vec![1, 1]] {
        let error = done_with(Ok(rubbish.into())).result().unwrap_err();
        assert!(error.is_decode_result(), "{error}");
        assert_eq!((error.task(), error.execution()), (Some(TASK), Execution::Finished));
    }
}

/// A waker that counts its wakes and unparks a thread.
struct Counter {
    thread: Thread,
    wakes: AtomicUsize,
}

impl Counter {
    fn new() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), wakes: AtomicUsize::new(0) })
    }

    fn wakes(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A minimal async runtime.
fn block_on<F: std::future::Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Counter::new());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(LONG);
    }
}

fn poll(future: &mut Future<u64>, waker: &Waker) -> Poll<Result<u64>> {
    std::future::Future::poll(Pin::new(future), &mut Context::from_waker(waker))
}

#[test]
fn await_of_done_future_returns_at_once() {
    assert_eq!(block_on(returned()).unwrap(), 42);
    assert!(block_on(raised()).unwrap_err().is_panicked());
    assert!(block_on(cancelled()).unwrap_err().is_cancelled());
    let again = returned();
    assert_eq!(block_on(async { again.clone().await.unwrap() + again.await.unwrap() }), 84);
}

#[test]
fn await_of_pending_futures_returns_their_results() {
    let (one, one_holder) = running();
    let (two, two_holder) = pending();
    let thread = blocked(move || block_on(async { (one.await, two.await) }));
    // In the order opposite to that of the awaits.
    two_holder.resolve(value(2));
    one_holder.resolve(value(1));
    let (one, two) = thread.join().unwrap();
    assert_eq!((one.unwrap(), two.unwrap()), (1, 2));
}

#[test]
fn each_waker_is_woken_once() {
    let (future, holder) = running();
    let counters = [Counter::new(), Counter::new()];
    let wakers = counters.clone().map(Waker::from);
    let mut futures = [future.clone(), future];
    for _ in 0..3 {
        for (future, waker) in futures.iter_mut().zip(&wakers) {
            assert!(poll(future, waker).is_pending());
        }
    }
    holder.begin();
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [0, 0], "nothing to see yet");
    holder.resolve(value(3));
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [1, 1]);
    for (future, waker) in futures.iter_mut().zip(&wakers) {
        assert!(matches!(poll(future, waker), Poll::Ready(Ok(3))));
    }
    drop(wakers);
    assert_eq!(counters.each_ref().map(Arc::strong_count), [1, 1], "no waker is kept");
}

#[test]
fn handle_keeps_one_waker_until_dropped() {
    let (future, holder) = running();
    let [old, new, gone] = [(); 3].map(|()| Counter::new());
    let (mut kept, mut dropped) = (future.clone(), future.clone());
    for counter in [&old, &new] {
        assert!(poll(&mut kept, &Waker::from(Arc::clone(counter))).is_pending());
    }
    assert!(poll(&mut dropped, &Waker::from(Arc::clone(&gone))).is_pending());
    assert_eq!([&old, &new, &gone].map(Arc::strong_count), [1, 2, 2], "that of the latest poll");
    // A clone of a polled handle does not share its waker.
    drop(kept.clone());
    drop(dropped);
    assert_eq!([&old, &new, &gone].map(Arc::strong_count), [1, 2, 1]);
    holder.resolve(value(1));
    assert_eq!([old, new, gone].map(|counter| counter.wakes()), [0, 1, 0]);
    assert_eq!(future.result().unwrap(), 1);
}

#[test]
fn cancel_and_lost_promise_wake_wakers() {
    let cancel = |future: &Future<u64>, _: &Holder| assert!(future.cancel());
    let lose = |_: &Future<u64>, holder: &Holder| drop(holder.take());
    for finish in [cancel, lose] {
        let (mut future, holder) = pending();
        let counter = Counter::new();
        let waker = Waker::from(Arc::clone(&counter));
        assert!(poll(&mut future, &waker).is_pending());
        finish(&future, &holder);
        assert_eq!(counter.wakes(), 1);
        assert!(matches!(poll(&mut future, &waker), Poll::Ready(Err(_))));
    }
}

#[test]
fn waker_that_panics_leaves_others_alone() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("thrown"));
        }
    }
    let (future, holder) = running();
    let counter = Counter::new();
    let mut clones = [(); 3].map(|()| future.clone());
    let wakers = [Arc::new(Bad).into(), Arc::clone(&counter).into(), Arc::new(Bad).into()];
    for (clone, waker) in clones.iter_mut().zip(&wakers) {
        assert!(poll(clone, waker).is_pending());
    }
    let (sender, receiver) = mpsc::channel();
    future.add_done_callback(move |_| sender.send(()).unwrap());
    holder.resolve(value(1));
    assert_eq!((counter.wakes(), receiver.iter().count()), (1, 1));
    assert_eq!(future.result().unwrap(), 1);
}

#[test]
fn wait_groups_futures_in_order_given() {
    let (open, _holder) = running();
    let futures = [raised(), open.clone(), returned(), open, cancelled()];
    let waited = wait(&futures, ReturnWhen::AllCompleted, Some(Duration::ZERO));
    let kinds: Vec<_> = waited.done.iter().map(|future| future.error().map(|e| e.kind())).collect();
    assert_eq!(kinds, [Some(ErrorKind::Panicked), None, Some(ErrorKind::Cancelled)]);
    assert_eq!(waited.not_done.len(), 1, "clones come back once");

    let none: [Future<u64>; 0] = [];
    let waited = wait(&none, ReturnWhen::AllCompleted, None);
    assert!(waited.done.is_empty() && waited.not_done.is_empty());
}

#[test]
fn wait_ends_with_first_future_that_is_enough() {
    for (return_when, finish, done) in [
        (ReturnWhen::FirstCompleted, vec![value(1)], 1),
        (ReturnWhen::FirstException, vec![value(1), failure()], 2),
        (ReturnWhen::AllCompleted, vec![value(1), failure(), value(2)], 3),
    ] {
        let (futures, holders): (Vec<_>, Vec<_>) = (0..3).map(|_| running()).unzip();
        let waiting = futures.clone();
        let thread = blocked(move || wait(&waiting, return_when, Some(LONG)));
        for (outcome, holder) in finish.into_iter().zip(&holders) {
            assert!(!thread.is_finished(), "{return_when:?}");
            holder.resolve(outcome);
        }
        let waited = thread.join().unwrap();
        assert_eq!((waited.done.len(), waited.not_done.len()), (done, 3 - done), "{return_when:?}");
    }
}

#[test]
fn wait_for_exception_goes_on_after_cancel() {
    let (futures, holders): (Vec<_>, Vec<_>) = (0..2).map(|_| pending()).unzip();
    let waiting = futures.clone();
    let thread = blocked(move || wait(&waiting, ReturnWhen::FirstException, Some(LONG)));
    assert!(futures[0].cancel());
    holders[1].resolve(failure());
    assert_eq!(thread.join().unwrap().done.len(), 2, "it went on after the first");
}

#[test]
fn as_completed_yields_in_completion_order() {
    let (futures, holders): (Vec<_>, Vec<_>) = (0..4).map(|_| running()).unzip();
    holders[3].resolve(value(3));
    let mut completed = as_completed(futures.iter().chain(&futures).cloned());
    let mut next = || completed.next().map(|future| future.result().unwrap());
    assert_eq!(next(), Some(3), "what is done comes first");
    for number in [2, 0, 1] {
        holders[number].resolve(value(number as u64));
    }
    assert_eq!([next(), next(), next(), next()], [Some(2), Some(0), Some(1), None]);
}

#[test]
fn as_completed_timeout_counts_unfinished_futures() {
    let (open, holder) = running();
    let mut completed = as_completed([open.clone(), returned()]).timeout(Duration::ZERO);
    assert_eq!(completed.next().unwrap().unwrap().result().unwrap(), 42);
    let error = completed.next().unwrap().unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.to_string(), "1 (of 2) futures unfinished");
    holder.resolve(value(1));
    assert!(completed.next().is_none(), "one error, and the end");
    drop(open);
}
