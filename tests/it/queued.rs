//! The memory of queued calls. The program `queued` queues a million.

use loky_tests::{isolated, program, run};

/// The budget of each call, beside its arguments and its future.
const BYTES_PER_CALL: usize = 250;

/// The memory that may stay of a million calls: room for the next ones, and nothing that grows with their number.
const BYTES_LEFT: usize = 100_000;

#[test]
fn million_queued_calls_take_little_memory_and_return_it() {
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
