//! Many threads do everything that can be done with calls, at random, for ten seconds, or for a minute where `LOKY_TESTS_LONG`
//! is set: nothing is lost. Each call that was not cancelled runs once and returns what it should, whether anybody waits for it
//! or not; none that was cancelled runs; and memory does not grow with the number of calls.

use std::collections::VecDeque;
use std::fs;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use loky::{Future, ProcessPoolExecutor, ReturnWhen, Shutdown, as_completed, wait};
use loky_tests::step::{Step, step, warm};
use loky_tests::time::LONG;
use loky_tests::{Event, Random, Record, isolated};

const THREADS: usize = 64;

/// How many calls a thread remembers. More than a worker's queue holds.
const KEPT: usize = 100;

/// How much memory may come and go without there being a leak; a lost call is worth hundreds of bytes, and there are hundreds
/// of thousands.
const SLACK_BYTES: usize = 32 << 20;

/// What the test itself remembers of each call.
const BYTES_PER_CALL: usize = 8;

#[loky::task]
fn reverse(text: String) -> String {
    text.chars().rev().collect()
}

/// How much memory this process has.
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    let kib = line.split_ascii_whitespace().nth(1).expect("a number");
    kib.parse::<usize>().expect("a number") << 10
}

/// One of the threads, with the calls that it still cares for.
struct Churn {
    thread: usize,
    executor: ProcessPoolExecutor,
    record: Record,
    random: Random,
    gate: Event,
    n_calls: u64,
    kept: VecDeque<(u64, Future<u64>)>,
    cancelled: Vec<u64>,
    /// How many callbacks were added, and how many have run.
    n_callbacks: usize,
    called: Arc<AtomicUsize>,
}

impl Churn {
    fn new(thread: usize, executor: &ProcessPoolExecutor, record: &Record) -> Self {
        Self {
            thread,
            executor: executor.clone(),
            record: record.clone(),
            random: Random::new(thread as u64),
            gate: Event::new(),
            n_calls: 0,
            kept: VecDeque::new(),
            cancelled: Vec::new(),
            n_callbacks: 0,
            called: Arc::default(),
        }
    }

    fn until(&mut self, end: Instant) {
        while Instant::now() < end {
            match self.random.below(100) {
                0..50 => self.submit_some(),
                50..60 => self.wait_for_one(),
                60..66 => self.give_up_on_one(),
                66..82 => self.cancel_one(),
                82..88 => drop(self.take()),
                88..91 => self.wait_for_several(),
                91..93 => self.complete_several(),
                93..96 => self.poll_one(),
                96..99 => self.add_callback(),
                _ => self.reverse(),
            }
            while self.kept.len() > KEPT {
                self.wait_for_one();
            }
        }
    }

    fn submit(&mut self, it: Step) {
        let number = (self.thread as u64) << 32 | self.n_calls;
        self.n_calls += 1;
        let call = self.executor.submit(step, (number, Some(self.record.clone()), it));
        self.kept.push_back((number, call));
    }

    fn submit_some(&mut self) {
        match self.random.below(1000) {
            0..2 => {
                self.submit(Step::Wait(self.gate.clone()));
                (0..self.random.below(20)).for_each(|_| self.submit(Step::Pass));
                // If that was cancelled another one will find it set.
                self.gate.set();
            }
            // Long enough that what lies behind it is better taken elsewhere.
            2..4 => self.submit(Step::Spin(Duration::from_millis(4))),
            4..20 => self.submit(Step::Spin(Duration::from_micros(50))),
            20..30 => (0..70).for_each(|_| self.submit(Step::Pass)),
            _ => self.submit(Step::Pass),
        }
    }

    /// Any of those that it remembers.
    fn take(&mut self) -> Option<(u64, Future<u64>)> {
        if self.kept.is_empty() {
            return None;
        }
        let place = self.random.below(self.kept.len());
        self.kept.swap_remove_back(place)
    }

    #[track_caller]
    fn check(&self, number: u64, result: loky::Result<u64>) {
        match result {
            Ok(result) => assert_eq!(result, number),
            Err(error) => {
                assert!(error.is_cancelled(), "call {number:x}: {error:?}");
                assert!(self.cancelled.contains(&number), "call {number:x}");
            }
        }
    }

    fn wait_for_one(&mut self) {
        let Some((number, call)) = self.take() else { return };
        self.check(number, call.result());
    }

    fn give_up_on_one(&mut self) {
        let Some((number, call)) = self.take() else { return };
        let limit = Duration::from_micros(self.random.below(2000) as u64);
        match call.result_timeout(limit) {
            Err(error) if error.is_timeout() => self.kept.push_back((number, call)),
            result => self.check(number, result),
        }
    }

    fn cancel_one(&mut self) {
        let Some((number, call)) = self.take() else { return };
        if call.cancel() {
            assert!(call.is_cancelled() && call.is_done());
            self.cancelled.push(number);
        }
        if self.random.once_in(2) {
            self.check(number, call.result());
        }
    }

    fn take_several(&mut self) -> Vec<Future<u64>> {
        let n_calls = self.random.below(20);
        (0..n_calls).filter_map(|_| self.take()).map(|(_, call)| call).collect()
    }

    fn wait_for_several(&mut self) {
        let calls = self.take_several();
        let ways = [ReturnWhen::FirstCompleted, ReturnWhen::AllCompleted];
        let waited = wait(&calls, ways[self.random.below(2)], Some(LONG));
        assert!(!waited.done.is_empty() || calls.is_empty());
    }

    fn complete_several(&mut self) {
        let calls = self.take_several();
        let n_calls = calls.len();
        // It may leave early.
        let n_taken = self.random.below(n_calls + 1);
        let completed = as_completed(calls).timeout(LONG).take(n_taken);
        assert_eq!(
            completed.map(|call| call.expect("in time")).filter(Future::is_done).count(),
            n_taken
        );
    }

    fn poll_one(&mut self) {
        let Some((number, call)) = self.take() else { return };
        let mut polled = pin!(call.clone());
        match polled.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => self.check(number, result),
            Poll::Pending => self.kept.push_back((number, call)),
        }
    }

    fn add_callback(&mut self) {
        let Some((number, call)) = self.take() else { return };
        let called = Arc::clone(&self.called);
        self.n_callbacks += 1;
        call.add_done_callback(move |call| {
            let result = call.result();
            assert!(
                result.is_err_and(|error| error.is_cancelled()) || call.result().unwrap() == number
            );
            called.fetch_add(1, Ordering::Relaxed);
        });
        self.kept.push_back((number, call));
    }

    fn reverse(&mut self) {
        let text = "abcdefgh".repeat(self.random.below(10_000));
        let call = self.executor.submit(reverse, text.clone());
        assert!(call.result().unwrap() == reverse(text), "what came back differs");
    }

    /// Waits for what it still remembers.
    fn finish(&mut self) {
        while !self.kept.is_empty() {
            self.wait_for_one();
        }
    }
}

/// Insists that each call ran once, or never if it was cancelled.
#[track_caller]
fn check_record(threads: &[Churn], record: &Record) {
    let mut counts: Vec<Vec<u8>> =
        threads.iter().map(|it| vec![0; usize::try_from(it.n_calls).unwrap()]).collect();
    let mut count = |number: u64| {
        let [thread, call] = [number >> 32, number & 0xffff_ffff].map(|it| it as usize);
        counts[thread][call] += 1;
    };
    record.numbers().into_iter().for_each(&mut count);
    threads.iter().flat_map(|it| &it.cancelled).copied().for_each(&mut count);
    for (thread, counts) in counts.iter().enumerate() {
        for (call, count) in counts.iter().enumerate() {
            assert_eq!(*count, 1, "call {call} of thread {thread} ran or was cancelled");
        }
    }
}

#[test]
fn threads_that_do_everything_at_random_lose_nothing() {
    isolated(|| {
        let is_long = std::env::var_os("LOKY_TESTS_LONG").is_some();
        let time = Duration::from_secs(if is_long { 60 } else { 10 });
        let (executor, record) = (warm(4), Record::new());
        let start = Instant::now();
        let churn = |thread| {
            let mut it = Churn::new(thread, &executor, &record);
            it.until(start + time / 3);
            let before = resident_bytes();
            it.until(start + time);
            it.finish();
            (it, before)
        };
        let (threads, before): (Vec<_>, Vec<_>) = thread::scope(|scope| {
            let churn = &churn;
            let threads = Vec::from_iter((0..THREADS).map(|it| scope.spawn(move || churn(it))));
            threads.into_iter().map(|it| it.join().unwrap()).unzip()
        });
        executor.shutdown(Shutdown::Wait);
        let n_calls: u64 = threads.iter().map(|it| it.n_calls).sum();
        let limit = before[0] + SLACK_BYTES + usize::try_from(n_calls).unwrap() * BYTES_PER_CALL;
        assert!(resident_bytes() < limit, "{} of {limit} bytes", resident_bytes());
        for it in &threads {
            assert_eq!(it.called.load(Ordering::Relaxed), it.n_callbacks);
        }
        check_record(&threads, &record);
        assert!(threads.iter().any(|it| !it.cancelled.is_empty()), "none was ever cancelled");
    });
}
