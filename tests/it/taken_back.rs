//! Events of calls that were dispatched ahead of time and taken back. On the plain stream there are none.

use std::iter::once;
use std::sync::Arc;

use loky::{ProcessPoolExecutor, Shutdown};
use loky_tests::deed::Deed;
use loky_tests::isolated;
use loky_tests::ledger::Log;
use loky_tests::step::{Step, burst, passes, warm_up};

/// Returns an executor whose one worker is up.
fn ready() -> (ProcessPoolExecutor, Arc<Log>) {
    let (executor, log) = Log::of(ProcessPoolExecutor::builder().max_workers(1));
    executor.prewarm().unwrap();
    (executor, log)
}

/// Runs `round` until it has found calls that were dispatched ahead of time. On a busy machine short calls may take long, and
/// then there are none.
#[track_caller]
fn rounds(mut round: impl FnMut() -> bool) {
    let has_found = (0..100).any(|_| round());
    assert!(has_found || cfg!(loky_force_prefetch = "one"), "no call was dispatched ahead of time");
}

#[test]
fn call_behind_slow_one_is_taken_back() {
    isolated(|| {
        let (executor, log) = ready();
        rounds(|| {
            warm_up(&executor, 200);
            let first = executor.stats().submitted + 1;
            let (gate, record) = (loky_tests::Event::new(), loky_tests::Record::new());
            let calls = burst(&executor, &record, once(Step::Wait(gate.clone())).chain(passes(2)));
            let are_given = executor.stats().given == 3;
            if are_given {
                log.until(1, &format!("taken back {}", first + 1));
                log.until(1, &format!("taken back {}", first + 2));
                assert!(calls[2].cancel());
            }
            gate.set();
            assert!(calls[..2].iter().all(|call| call.result().is_ok()));
            if are_given {
                log.until(1, &format!("finished {}", first + 1));
                let lives = [0, 1, 2].map(|number| log.words_of(first + number));
                assert_eq!(lives[0], ["submitted", "given", "finished"]);
                let back = ["submitted", "given", "taken back", "given", "finished"];
                assert_eq!(lives[1], back);
                assert_eq!(lives[2], ["submitted", "given", "taken back", "finished: Cancelled"]);
            }
            are_given
        });
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn call_of_dead_worker_is_taken_back() {
    isolated(|| {
        let (executor, log) = ready();
        rounds(|| {
            warm_up(&executor, 200);
            let first = executor.stats().submitted + 1;
            let record = loky_tests::Record::new();
            let dies = once(Step::Do(Deed::ExitAtOnce(1)));
            let calls = burst(&executor, &record, dies.chain(passes(2)));
            assert!(calls[0].error().unwrap().is_terminated_worker());
            assert!(calls[1..].iter().all(|call| call.result().is_ok()));
            log.until(1, &format!("finished {}", first + 2));
            assert_eq!(log.words_of(first), ["submitted", "given", "finished: TerminatedWorker"]);
            let back = ["submitted", "given", "taken back", "given", "finished"];
            log.words_of(first + 1) == back
        });
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}
