//! Workers that leave all the time, for having nothing to do, while threads submit at random: nothing is lost, nothing fails,
//! and every history is a possible one. Then the same, with workers that are killed as they leave.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use loky::{CrashPolicy, Event, Execution, ProcessPoolExecutor, Shutdown};
use loky_tests::ledger::Log;
use loky_tests::pools::{builder_with_timeout, until_asleep};
use loky_tests::signal::kill;
use loky_tests::step::{Step, step};
use loky_tests::time::{LONG, millis, rest};
use loky_tests::{Random, Record, isolated};

/// Calls in bursts, with pauses in which workers leave. How many calls, and how many died with their workers.
#[track_caller]
fn call_at_random(executor: &ProcessPoolExecutor, record: &Record, seed: u64) -> (u64, u64) {
    let mut random = Random::new(seed);
    let (mut n_calls, mut n_dead) = (0, 0);
    for _ in 0..80 {
        rest(Duration::from_micros(random.below(3000) as u64));
        let calls: Vec<_> = (0..random.below(25))
            .map(|_| {
                n_calls += 1;
                let number = seed * 10_000 + n_calls;
                (number, executor.submit(step, (number, Some(record.clone()), Step::Pass)))
            })
            .collect();
        for (number, call) in calls {
            match call.result_timeout(LONG) {
                Ok(same) => assert_eq!(same, number),
                Err(error) => {
                    assert!(error.is_terminated_worker(), "{error:?}");
                    assert_eq!(error.execution(), Execution::Started, "{error:?}");
                    n_dead += 1;
                }
            }
        }
    }
    (n_calls, n_dead)
}

/// Three threads of these. How many calls died.
#[track_caller]
fn churn(executor: &ProcessPoolExecutor) -> u64 {
    let record = Record::new();
    let (record, executor) = (&record, executor);
    let totals = thread::scope(|scope| {
        let threads =
            [1, 2, 3].map(|seed| scope.spawn(move || call_at_random(executor, record, seed)));
        threads.map(|thread| thread.join().unwrap())
    });
    let n_calls: u64 = totals.iter().map(|(n_calls, _)| n_calls).sum();
    let n_dead = totals.iter().map(|(_, n_dead)| n_dead).sum();
    let noted = record.numbers();
    let once: BTreeSet<_> = noted.iter().copied().collect();
    assert_eq!(once.len(), noted.len(), "no call runs twice");
    // A call that was killed may have begun and not come to its note.
    assert!(noted.len() as u64 + n_dead >= n_calls && n_calls > 2000, "{n_calls}: {n_dead} died");
    n_dead
}

#[test]
fn test_worker_timeout_mock() {
    isolated(|| {
        for timeout in [millis(1), Duration::ZERO] {
            for policy in [CrashPolicy::Heal, CrashPolicy::BreakPool] {
                let (executor, log) =
                    Log::of(builder_with_timeout(2, timeout).on_worker_crash(policy));
                assert_eq!(churn(&executor), 0);
                until_asleep(&executor);
                executor.shutdown(Shutdown::Wait);
                log.check_end(&executor);
                let stats = executor.stats();
                assert_eq!((stats.failed, stats.workers_died), (0, 0));
                // Seldom on a machine with other work, where threads do not pause all at once.
                assert!(stats.workers_retired > 2, "they do leave: {stats:?}");
            }
        }
    });
}

#[test]
fn workers_leave_while_their_number_changes() {
    isolated(|| {
        let (executor, log) = Log::of(builder_with_timeout(2, millis(1)));
        thread::scope(|scope| {
            let churning = scope.spawn(|| churn(&executor));
            let mut random = Random::new(7);
            while !churning.is_finished() {
                executor.resize(1 + random.below(3)).unwrap();
                rest(Duration::from_micros(random.below(10_000) as u64));
            }
            assert_eq!(churning.join().unwrap(), 0);
        });
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
        assert_eq!(executor.stats().workers_died, 0);
    });
}

/// Has this worker stay when it is told to leave, until it is killed.
#[loky::task]
fn linger() {
    extern "C" fn stay() {
        loop {
            thread::park();
        }
    }
    #[expect(unsafe_code, reason = "std has no exit handlers")]
    // SAFETY: it is a function without arguments, which does not unwind.
    let added = unsafe { libc::atexit(stay) };
    assert_eq!(added, 0);
}

/// Kills workers when they are told to leave, and some when they have just come up. (Not before they have: a pool gives up
/// when none comes up.)
#[derive(Debug)]
struct Killer {
    random: Mutex<Random>,
    /// How rarely one is killed that is not told to leave; `None`: never.
    once_in: Option<usize>,
}

impl Killer {
    fn see(&self, event: &Event) {
        let mut random = self.random.lock().unwrap();
        match event {
            Event::WorkerRetired { worker_pid, .. } => {
                kill(*worker_pid, libc::SIGKILL);
            }
            Event::WorkerReady { worker_pid, .. } | Event::CallGiven { worker_pid, .. }
                if self.once_in.is_some_and(|times| random.once_in(times)) =>
            {
                kill(*worker_pid, libc::SIGKILL);
            }
            _ => {}
        }
    }
}

/// An executor whose workers are killed so, and leave after a millisecond.
fn with_a_killer(policy: CrashPolicy, once_in: Option<usize>) -> (ProcessPoolExecutor, Arc<Log>) {
    let log = Arc::new(Log::default());
    let kept = Arc::clone(&log);
    let killer = Killer { random: Mutex::new(Random::new(11)), once_in };
    let builder =
        builder_with_timeout(2, millis(1)).on_worker_crash(policy).initializer(linger, ());
    let builder = builder.observer(move |event| {
        killer.see(event);
        kept.push(event);
    });
    (builder.build().unwrap(), log)
}

#[test]
fn one_that_is_killed_as_it_leaves_takes_no_call_along() {
    isolated(|| {
        for policy in [CrashPolicy::Heal, CrashPolicy::BreakPool] {
            let (executor, log) = with_a_killer(policy, None);
            assert_eq!(churn(&executor), 0);
            assert!(!executor.is_broken());
            executor.shutdown(Shutdown::Wait);
            log.check_end(&executor);
            assert_eq!(executor.stats().workers_died, 0, "they were to go");
            // All linger but those that the shutdown finds before they have begun to.
            let words = log.words();
            let is_unhurt =
                |word: &&String| word.starts_with("left") && !word.ends_with("SIGKILL(-9)");
            assert!(words.iter().filter(is_unhurt).count() <= 2, "{words:?}");
            assert!(words.iter().any(|word| word.ends_with("SIGKILL(-9)")));
        }
    });
}

#[test]
fn those_that_are_killed_at_any_time_take_only_calls_that_they_had_begun() {
    isolated(|| {
        let (executor, log) = with_a_killer(CrashPolicy::Heal, Some(100));
        churn(&executor);
        assert!(!executor.is_broken());
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
        let stats = executor.stats();
        assert!(stats.workers_died > 0, "{stats:?}");
    });
}
