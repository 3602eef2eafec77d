//! Ten thousand calls while workers are killed all the time: each has exactly one outcome, and it is true.
//!
//! What is true is known from a record that the calls themselves keep: each writes its number before it does anything. The
//! killer is driven by the outcomes, so that the pool always gets somewhere, and by a generator with a fixed seed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use loky::{Execution, ProcessPoolExecutor};
use loky_tests::isolated;

use crate::crash_matrix::kill;

const CALLS: u64 = 10_000;

/// How many outcomes there are to each kill.
const OUTCOMES_PER_KILL: usize = 30;

/// Notes that it began, and answers. Every now and then the answer is longer than any socket's buffer.
#[loky::task]
fn note(number: u64, record: PathBuf) -> (u64, String) {
    let mut record = OpenOptions::new().append(true).open(record).expect("the record");
    record.write_all(&number.to_le_bytes()).expect("room for eight bytes");
    let length = if number.is_multiple_of(64) { 600_000 } else { 10 };
    (number, "x".repeat(length))
}

/// See xorshift64 in Marsaglia's paper of 2003.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// Kills a worker for every so many outcomes, until there are no more. Returns how many.
fn kill_on(outcomes: &mpsc::Receiver<()>, executor: &ProcessPoolExecutor) -> usize {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut kills = 0;
    for (i, ()) in outcomes.iter().enumerate() {
        let pids = executor.worker_pids();
        if i % OUTCOMES_PER_KILL == 0 && !pids.is_empty() {
            kills += usize::from(kill(pids[random.below(pids.len())], libc::SIGKILL));
        }
    }
    kills
}

#[test]
fn every_call_has_one_true_outcome() {
    isolated(|| {
        let record = std::env::temp_dir().join(format!("loky-tests-{}-storm", std::process::id()));
        File::create(&record).unwrap();
        let executor = ProcessPoolExecutor::builder().max_workers(4).build().unwrap();
        executor.prewarm().unwrap();
        let counts: Arc<Vec<_>> = Arc::new((0..CALLS).map(|_| AtomicU8::new(0)).collect());
        let (sender, outcomes) = mpsc::channel();
        let (calls, kills) = thread::scope(|scope| {
            let executor = &executor;
            let killer = scope.spawn(move || kill_on(&outcomes, executor));
            let calls: Vec<_> = (0..CALLS)
                .zip(0..)
                .map(|(number, index): (u64, usize)| {
                    let call = executor.submit(note, (number, record.clone()));
                    let (counts, sender) = (Arc::clone(&counts), sender.clone());
                    call.add_done_callback(move |_| {
                        counts[index].fetch_add(1, Ordering::Relaxed);
                        sender.send(()).expect("the killer listens");
                    });
                    call
                })
                .collect();
            drop(sender);
            (calls, killer.join().unwrap())
        });

        let mut starts = vec![0; calls.len()];
        for number in fs::read(&record).unwrap().chunks(8) {
            let number = u64::from_le_bytes(number.try_into().unwrap());
            starts[usize::try_from(number).unwrap()] += 1;
        }
        fs::remove_file(record).unwrap();

        let mut failures = 0;
        for (index, call) in calls.iter().enumerate() {
            assert_eq!(counts[index].load(Ordering::Relaxed), 1, "outcomes of call {index}");
            let number = index as u64;
            match call.result() {
                Ok((answer, text)) => {
                    assert_eq!((answer, starts[index]), (number, 1));
                    assert!(text.bytes().all(|byte| byte == b'x') && text.len() >= 10);
                }
                Err(error) => {
                    failures += 1;
                    assert!(error.is_terminated_worker(), "{error:?}");
                    assert_eq!(error.worker_exit().unwrap().to_string(), "SIGKILL(-9)");
                    // One that was killed under way may have come to its first line or not; one that is said not to have
                    // started, and was given up after several deaths, has not.
                    let is_started = error.execution() == Execution::Started;
                    assert!(starts[index] <= usize::from(is_started), "{error:?}");
                    assert!(is_started || error.to_string().contains("before it began"), "{error}");
                }
            }
        }
        assert!(kills > 100, "{kills}");
        assert!((1..=kills).contains(&failures), "{failures} calls failed by {kills} deaths");
        assert!(!executor.is_broken());
        executor.prewarm().unwrap();
        assert_eq!(executor.worker_pids().len(), 4);
    });
}
