//! What a call takes that waits for a worker. The program `queued` queues a million.

use loky_tests::{isolated, program, run};

/// What the budget allows for each call, beside its arguments and its future.
const BYTES_PER_CALL: usize = 250;

/// What may stay of a million: room for the next calls, and nothing that grows with how many there were.
const BYTES_LEFT: usize = 100_000;

#[test]
fn a_million_queued_calls_take_little_memory_and_give_it_back() {
    isolated(|| {
        let path = std::env::temp_dir().join(format!("loky-queued-{}", std::process::id()));
        let finished = run(program("queued").arg(&path));
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
        let numbers: Vec<usize> =
            finished.stdout.split(' ').map(|number| number.parse().unwrap()).collect();
        assert!(numbers[0] <= BYTES_PER_CALL, "{} bytes for each call", numbers[0]);
        assert!(numbers[1] <= BYTES_LEFT, "{} bytes are left of them", numbers[1]);
    });
}
