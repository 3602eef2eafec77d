//! Answers that are too long for the lane go over the stream, beside short ones in the lane. Each call gets its own answer, in
//! any order, whether the worker lives or dies.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use loky::{Future, ProcessPoolExecutor};
use loky_tests::deed::{Deed, perform};
use loky_tests::limits::limit_descriptors;
use loky_tests::signal::kill;
use loky_tests::step::{warm, warm_up};
use loky_tests::time::LONG;
use loky_tests::{Random, isolated, process as look, until};

/// Longer than a letter of the lane.
const OVER: usize = 66_000;

#[loky::task]
fn text(length: usize) -> String {
    "x".repeat(length)
}

#[track_caller]
fn check_text(call: &Future<String>, length: usize) {
    assert_eq!(call.result_timeout(LONG).unwrap().len(), length);
}

/// The queue is filled up for a long answer while a short one before it still lies in the lane.
#[test]
fn short_answers_among_long_ones_arrive() {
    isolated(|| {
        let executor = warm(1);
        let mut random = Random::new(7);
        for round in 0..300 {
            if round % 10 == 0 {
                warm_up(&executor, 1000);
            }
            let one_in = 1 + random.below(40);
            let lengths: Vec<_> =
                (0..400).map(|_| if random.below(one_in) == 0 { OVER } else { 5 }).collect();
            let calls: Vec<_> =
                lengths.iter().map(|length| executor.submit(text, *length)).collect();
            calls.iter().zip(lengths).for_each(|(call, length)| check_text(call, length));
        }
    });
}

/// More than what is taken out of a lane at once.
#[test]
fn answers_before_death_arrive() {
    const LENGTH: usize = 40_000;
    isolated(|| {
        for _ in 0..60 {
            let executor = warm(1);
            let calls = [(); 50].map(|()| executor.submit(text, LENGTH));
            let death = executor.submit(perform, Deed::Raise(libc::SIGKILL));
            assert!(death.result().unwrap_err().is_terminated_worker());
            calls.iter().for_each(|call| check_text(call, LENGTH));
        }
    });
}

/// The bytes of memory that this process has.
fn resident_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("/proc");
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number") * 4096
}

/// How long this process's threads have run.
fn run_time() -> Duration {
    let schedule = |thread: &fs::DirEntry| fs::read_to_string(thread.path().join("schedstat"));
    let threads = fs::read_dir("/proc/self/task").expect("/proc").filter_map(Result::ok);
    let nanos =
        threads.filter_map(|thread| schedule(&thread).ok()?.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(nanos.sum())
}

fn has_stopped(pid: u32) -> bool {
    look(pid).is_some_and(|it| it.state == 'T')
}

/// There is no descriptor left for a segment, so it comes piece by piece.
#[loky::task]
fn text_on_stream(length: usize) -> String {
    limit_descriptors(3);
    text(length)
}

/// They sleep, and do not tell each other again and again to look.
#[test]
fn thread_that_waits_for_long_answer_sleeps() {
    const LENGTH: usize = 200_000_000;
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let before = resident_bytes();
        let call = executor.submit(text_on_stream, LENGTH);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| check_text(&call, LENGTH));
            }
            until("it comes", LONG, || resident_bytes() > before + LENGTH / 8);
            let pid = executor.worker_pids()[0];
            assert!(kill(pid, libc::SIGSTOP));
            until("it is stopped", LONG, || has_stopped(pid));
            let (start, ran) = (Instant::now(), run_time());
            assert!(call.result_timeout(Duration::from_millis(500)).unwrap_err().is_timeout());
            let share = (run_time() - ran).as_secs_f64() / start.elapsed().as_secs_f64();
            kill(pid, libc::SIGCONT);
            assert!(share < 0.1, "{share} of the time");
        });
    });
}
