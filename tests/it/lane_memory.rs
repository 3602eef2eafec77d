//! The memory of lanes: the pool returns the memory of long letters when their worker has been idle for a while.

use std::fs;

use loky::{Future, ProcessPoolExecutor};
use loky_tests::time::LONG;
use loky_tests::{isolated, until};

/// Sends a number of letters of the largest length, in either direction.
const LETTERS: usize = 32;
const LETTER_BYTES: usize = 65_000;

#[loky::task]
fn reversed(text: String) -> String {
    text.chars().rev().collect()
}

/// The bytes of lanes that this process has in memory.
fn lane_bytes() -> usize {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let lines = maps.lines().skip_while(|line| !line.contains("memfd:loky-lane"));
    let resident = lines.filter_map(|line| line.strip_prefix("Rss:")).next().unwrap();
    resident.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// The most that the lane has in memory while a burst is under way, and so nothing is given back.
fn burst(executor: &ProcessPoolExecutor) -> usize {
    let text = |number: usize| format!("{number:0>LETTER_BYTES$}");
    let calls: Vec<_> = (0..LETTERS).map(|n| executor.submit(reversed, text(n))).collect();
    let check = |(number, call): (usize, Future<String>)| {
        let taken = lane_bytes();
        let expected: String = text(number).chars().rev().collect();
        assert_eq!(call.result_timeout(LONG).unwrap(), expected);
        taken
    };
    calls.into_iter().enumerate().map(check).max().unwrap()
}

#[test]
fn memory_of_burst_is_returned_and_reusable() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        executor.prewarm().unwrap();
        let at_first = lane_bytes();
        for _ in 0..2 {
            let taken = burst(&executor);
            assert!(taken > at_first + LETTER_BYTES, "{at_first}, then {taken}");
            // The memory of short calls is kept.
            let kept = at_first + LETTER_BYTES / 2;
            until("the memory is given back", LONG, || lane_bytes() < kept);
        }
        burst(&executor);
    });
}
