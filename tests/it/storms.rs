//! Storms: many calls at random while workers are killed, leave and change their number. No call is lost, none runs twice.
//!
//! Each test is a configuration of [`Storm`]. `LOKY_TESTS_LONG` makes the churn of all actions a minute long.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use loky::{CrashPolicy, Event, ProcessPoolExecutor, Shutdown};
use loky_tests::ledger::{Log, agree};
use loky_tests::pools::{POLICIES, builder, builder_with_timeout, ready, until_asleep};
use loky_tests::signal::kill;
use loky_tests::step::warm;
use loky_tests::storm::{Action, Disturbance, Span, Storm, Totals};
use loky_tests::time::millis;
use loky_tests::{Random, isolated};

/// The storm that others differ from: one thread, which keeps all futures.
const CALM: Storm<'_> = Storm {
    seed: 1,
    threads: 1,
    span: Span::Acts(0),
    actions: &[],
    kept: usize::MAX,
    disturbance: Disturbance::None,
};

// ---- kills from outside ----

/// Insists that kills fail at most a call each, and that the pool of `workers` lives on.
#[track_caller]
fn check_kills(executor: &ProcessPoolExecutor, storm: &Storm<'_>, least_kills: usize) {
    let workers = executor.max_workers();
    let aftermath = storm.run(executor);
    assert!(!executor.is_broken());
    executor.prewarm().unwrap();
    assert_eq!(executor.worker_pids().len(), workers);
    let totals = aftermath.check_end(executor);
    let Totals { kills, died, never_began, .. } = totals;
    assert!(kills > least_kills, "{totals:?}");
    assert!(died + never_began <= kills, "{totals:?}");
    assert_eq!(totals.calls, totals.returned + died + never_began, "{totals:?}");
}

/// Quick calls, of which a few have a result that is longer than the buffer of a socket.
const NOTES: &[(usize, Action)] = &[(2047, Action::Quick), (1, Action::LongResult(600_000))];

#[test]
fn kill_storm_gives_each_call_one_true_outcome() {
    isolated(|| {
        let disturbance = Disturbance::KillPerOutcomes(1000);
        let storm = Storm { span: Span::Acts(100_000), actions: NOTES, disturbance, ..CALM };
        check_kills(&ready(4), &storm, 50);
    });
}

/// The pool gives many a call to several workers before one lives long enough to begin it.
#[test]
fn kill_storm_with_short_lives_gives_each_call_one_true_outcome() {
    isolated(|| {
        let disturbance = Disturbance::KillPerOutcomes(30);
        let storm = Storm { span: Span::Acts(10_000), actions: NOTES, disturbance, ..CALM };
        check_kills(&ready(4), &storm, 166);
    });
}

#[test]
fn kill_storm_gives_each_item_of_map_one_true_outcome() {
    isolated(|| {
        let storm = Storm {
            seed: 5,
            span: Span::Acts(1),
            actions: &[(1, Action::Map(60_000))],
            disturbance: Disturbance::KillPerOutcomes(600),
            ..CALM
        };
        check_kills(&warm(3), &storm, 20);
    });
}

// ---- all actions ----

/// The acts of 64 threads, by their weight in 100,000.
const ALL: &[(usize, Action)] = &[
    (48_500, Action::Quick),
    (500, Action::Burst(70)),
    (800, Action::Spin(Duration::from_micros(50))),
    // Long enough that the calls behind it had better run elsewhere.
    (100, Action::Spin(Duration::from_millis(4))),
    (100, Action::Block),
    (10_000, Action::Wait),
    (6_000, Action::GiveUp),
    (16_000, Action::Cancel(usize::MAX)),
    (6_000, Action::Drop),
    (3_000, Action::WaitForSeveral),
    (2_000, Action::CompleteSeveral),
    (3_000, Action::Poll),
    (3_000, Action::AddCallback),
    (1_000, Action::Echo(80_000)),
];

#[test]
fn churn_of_all_actions_loses_no_call() {
    isolated(|| {
        let is_long = std::env::var_os("LOKY_TESTS_LONG").is_some();
        let span = Span::Time(Duration::from_secs(if is_long { 60 } else { 10 }));
        // A thread keeps more futures than the queue of a worker holds calls.
        let storm = Storm { threads: 64, span, actions: ALL, kept: 100, ..CALM };
        let executor = warm(4);
        let totals = storm.run(&executor).check_end(&executor);
        assert!(totals.cancelled > 0 && totals.died == 0, "{totals:?}");
    });
}

// ---- cancels ----

#[test]
fn cancels_of_several_threads_tell_the_truth() {
    isolated(|| {
        let executor = warm(2);
        let actions =
            &[(300, Action::Quick), (50, Action::Cancel(usize::MAX)), (1, Action::Settle)];
        let storm = Storm { threads: 3, span: Span::Acts(7000), actions, ..CALM };
        let totals = storm.run(&executor).check_end(&executor);
        assert_eq!(totals.calls, totals.returned + totals.cancelled, "{totals:?}");
        assert!(totals.cancelled > 0, "each cancel came too late: {totals:?}");
    });
}

/// The latest calls are cancelled, some of which have begun by then.
#[test]
fn cancels_at_full_speed_tell_the_truth() {
    isolated(|| {
        let mut n_cancelled = 0;
        for (seed, max_workers) in (0..20).zip([1, 2].into_iter().cycle()) {
            let executor = warm(max_workers);
            let actions = &[(1, Action::Burst(40)), (20, Action::Cancel(40))];
            let storm = Storm { seed, span: Span::Acts(525), actions, ..CALM };
            let totals = storm.run(&executor).check_end(&executor);
            assert_eq!(totals.calls, totals.returned + totals.cancelled, "{totals:?}");
            n_cancelled += totals.cancelled;
        }
        assert!(n_cancelled > 0, "each cancel came too late");
    });
}

// ---- workers that leave when they are idle ----

/// Bursts of calls, with rests in which workers leave.
const BURSTS: &[(usize, Action)] = &[
    (180, Action::Quick),
    (15, Action::Settle),
    (15, Action::Rest(Duration::from_millis(3))),
    // Threads do not rest all at once on a machine with other work.
    (1, Action::Sleep),
];

/// As [`BURSTS`], where workers come back without a call.
const BURSTS_WITHOUT_SLEEP: &[(usize, Action)] =
    &[(12, Action::Quick), (1, Action::Settle), (1, Action::Rest(Duration::from_millis(3)))];

/// Runs bursts of three threads to the end of the executor, whose events must be a possible history.
#[track_caller]
fn check_bursts(executor: &ProcessPoolExecutor, log: &Log, disturbance: Disturbance) -> Totals {
    let actions = match disturbance {
        Disturbance::Resize { .. } => BURSTS_WITHOUT_SLEEP,
        _ => BURSTS,
    };
    let storm = Storm { threads: 3, span: Span::Acts(1100), actions, disturbance, ..CALM };
    let aftermath = storm.run(executor);
    assert!(!executor.is_broken());
    let totals = aftermath.check_end(executor);
    log.check_end(executor);
    assert!(totals.calls > 2000 && totals.never_began == 0, "{totals:?}");
    totals
}

/// Python loky's `test_worker_timeout_mock`.
#[test]
fn idle_exits_of_workers_fail_no_call() {
    isolated(|| {
        for timeout in [millis(1), Duration::ZERO] {
            for policy in POLICIES {
                let builder = builder_with_timeout(2, timeout).on_worker_crash(policy);
                let (executor, log) = Log::of(builder);
                let totals = check_bursts(&executor, &log, Disturbance::None);
                until_asleep(&executor);
                assert_eq!(totals.calls, totals.returned, "{totals:?}");
                let stats = executor.stats();
                assert_eq!((stats.failed, stats.workers_died), (0, 0));
                assert!(stats.workers_retired > 2, "they do leave: {stats:?}");
            }
        }
    });
}

#[test]
fn idle_exits_while_number_of_workers_changes_fail_no_call() {
    isolated(|| {
        let (executor, log) = Log::of(builder_with_timeout(2, millis(1)));
        let totals =
            check_bursts(&executor, &log, Disturbance::Resize { most: 3, pause: millis(10) });
        assert_eq!(totals.calls, totals.returned, "{totals:?}");
        assert_eq!(executor.stats().workers_died, 0);
    });
}

/// Has this worker stay when it is told to leave, until it is killed.
#[loky::task]
fn linger() {
    extern "C" fn stay() {
        loop {
            std::thread::park();
        }
    }
    #[expect(unsafe_code, reason = "std has no exit handlers")]
    // SAFETY: it is a function without arguments, which does not unwind.
    let added = unsafe { libc::atexit(stay) };
    assert_eq!(added, 0);
}

/// Kills workers when they are told to leave, and some that are not. (A pool gives up when no worker comes up, so none is killed
/// before it is ready.)
#[derive(Debug)]
struct Killer {
    random: Mutex<Random>,
    /// How rarely an event of a worker that is not told to leave kills it. `None`: never.
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

/// Builds an executor whose workers leave after a millisecond and are killed so.
fn with_killer(policy: CrashPolicy, once_in: Option<usize>) -> (ProcessPoolExecutor, Arc<Log>) {
    let log = Arc::new(Log::default());
    let kept = Arc::clone(&log);
    let killer = Killer { random: Mutex::new(Random::new(11)), once_in };
    let builder = builder_with_timeout(2, millis(1));
    let builder = builder.on_worker_crash(policy).initializer(linger, ());
    let builder = builder.observer(move |event| {
        killer.see(event);
        kept.push(event);
    });
    (builder.build().unwrap(), log)
}

#[test]
fn kill_of_leaving_worker_takes_no_call_along() {
    isolated(|| {
        for policy in POLICIES {
            let (executor, log) = with_killer(policy, None);
            let totals = check_bursts(&executor, &log, Disturbance::None);
            assert_eq!(totals.calls, totals.returned, "{totals:?}");
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
fn kill_at_any_time_takes_only_begun_calls_along() {
    isolated(|| {
        let (executor, log) = with_killer(CrashPolicy::Heal, Some(100));
        check_bursts(&executor, &log, Disturbance::None);
        let stats = executor.stats();
        assert!(stats.workers_died > 0, "{stats:?}");
    });
}

// ---- observers ----

#[test]
fn storm_of_deaths_cancels_and_resizes_has_possible_history() {
    isolated(|| {
        let (executor, log) = Log::of(builder(2));
        executor.prewarm().unwrap();
        let actions = &[
            (75, Action::Quick),
            (3, Action::Exit),
            (3, Action::Spin(Duration::from_millis(3))),
            (10, Action::Cancel(usize::MAX)),
            (1, Action::Resize(4)),
            (1, Action::Kill),
            (2, Action::Settle),
        ];
        let storm = Storm { seed: 5, span: Span::Acts(4000), actions, ..CALM };
        let totals = storm.run(&executor).check_end(&executor);
        log.check_end(&executor);
        assert!(totals.died > 0 && totals.cancelled > 0 && totals.kills > 0, "{totals:?}");
    });
}

/// An observer that asks in the middle of an event, and a thread that asks at any time.
#[test]
fn stats_agree_with_each_other_at_any_time() {
    isolated(|| {
        let log = Arc::new(Log::default());
        let handle = Arc::new(OnceLock::<ProcessPoolExecutor>::new());
        let (kept, asked) = (Arc::clone(&log), Arc::clone(&handle));
        let observer = move |event: &Event| {
            agree(&asked.get().expect("there are no events before it").stats());
            kept.push(event);
        };
        let executor = builder(2).observer(observer).build().unwrap();
        handle.set(executor.clone()).unwrap();
        let actions = &[(784, Action::Quick), (196, Action::QuickAndCancel), (20, Action::Panic)];
        let disturbance = Disturbance::AskStats;
        let storm = Storm { threads: 4, span: Span::Acts(2500), actions, disturbance, ..CALM };
        let totals = storm.run(&executor).check_end(&executor);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
        let stats = executor.stats();
        assert_eq!((stats.submitted, totals.calls), (10_000, 10_000));
        assert!(stats.succeeded > 1000 && stats.failed > 10 && stats.cancelled > 10, "{stats:?}");
    });
}
