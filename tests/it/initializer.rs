//! The initializer: it runs once in each new worker, before any call. What happens when it fails is in
//! `initializer_failures.rs`.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use loky::{Builder, Event, ProcessPoolExecutor, RemoteError, Shutdown, TaskResult};
use loky_tests::deed::Deed;
use loky_tests::held::Held;
use loky_tests::ledger::Log;
use loky_tests::pools::{until_asleep, until_childless};
use loky_tests::step::{Step, step};
use loky_tests::tasks::square;
use loky_tests::time::{LONG, millis, rest};
use loky_tests::{Event as Gate, Random, Record, isolated, until};

fn builder(max_workers: usize) -> Builder {
    ProcessPoolExecutor::builder().max_workers(max_workers)
}

/// The argument of the initializer of this worker.
static SET: Mutex<String> = Mutex::new(String::new());

thread_local! {
    static SET_HERE: Cell<usize> = const { Cell::new(0) };
}

/// Keeps what an initializer was given, in a static and in the thread.
fn keep(text: String) {
    SET_HERE.set(text.len());
    let mut set = SET.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(set.is_empty(), "nothing runs twice in a worker");
    *set = text;
}

/// The worker, and what its initializer has kept.
#[loky::task]
fn kept(began: Gate, gate: Gate) -> (u32, String, usize) {
    began.set();
    gate.wait();
    (std::process::id(), SET.lock().unwrap().clone(), SET_HERE.get())
}

#[loky::task]
fn set_none() {
    keep("none".to_owned());
}

#[loky::task]
fn set_one(number: u64) {
    keep(format!("{number}"));
}

#[loky::task]
fn set_several(number: u64, text: String, list: Vec<Option<bool>>) {
    keep(format!("{number} {text} {list:?}"));
}

#[loky::task]
fn set_text(text: String) -> Result<(), String> {
    keep(text);
    Ok(())
}

#[loky::task]
fn set_or_fail(text: String) -> TaskResult<()> {
    let number: u64 = text.parse()?;
    if number == 0 {
        return Err(RemoteError::msg("nothing to keep"));
    }
    keep(text);
    Ok(())
}

/// Insists that each of two workers has kept this.
#[track_caller]
fn check_kept(builder: Builder, expected: &str) {
    let (executor, log) = Log::of(builder);
    let (began, gate) = (Gate::new(), Gate::new());
    let calls = [(); 2].map(|()| executor.submit(kept, (began.clone(), gate.clone())));
    calls.iter().for_each(|_| began.wait());
    gate.set_for(2);
    let results = calls.map(|call| call.result().unwrap());
    assert_ne!(results[0].0, results[1].0);
    for (_, text, length) in results {
        assert!(text == expected && length == expected.len(), "{} bytes", text.len());
    }
    executor.shutdown(Shutdown::Wait);
    log.check_end(&executor);
}

#[test]
fn initializer_state_is_there_for_calls() {
    isolated(|| {
        check_kept(builder(2).initializer(set_none, ()), "none");
        check_kept(builder(2).initializer(set_one, 17), "17");
        let several = (17, "four".to_owned(), vec![Some(true), None]);
        check_kept(builder(2).initializer(set_several, several), "17 four [Some(true), None]");
        check_kept(builder(2).initializer(set_several::TASK, (0, String::new(), vec![])), "0  []");
        check_kept(builder(2).initializer(set_or_fail, "42".to_owned()), "42");
    });
}

#[test]
fn initializer_arguments_may_be_larger_than_buffers() {
    isolated(|| {
        let large = "0123456789".repeat(1_000_000);
        check_kept(builder(2).initializer(set_text, large.clone()), &large);
    });
}

/// Notes that it ran, and remembers that.
#[loky::task]
fn note(record: Record) {
    record.note(u64::from(std::process::id()));
    keep("noted".to_owned());
}

/// Does a step, in a worker whose initializer has run.
#[loky::task]
fn step_after_it(number: u64, it: Step) -> u64 {
    assert_eq!(*SET.lock().unwrap(), "noted");
    step(number, None, it)
}

/// Insists that it ran once in each worker that became ready, and in no other that lived on.
#[track_caller]
fn check_once(log: &Log, record: &Record) {
    let noted = record.numbers();
    let pids: BTreeSet<_> = noted.iter().copied().collect();
    assert_eq!(pids.len(), noted.len(), "twice in one worker");
    for event in log.events() {
        if let Event::WorkerReady { worker_pid, .. } = event {
            assert!(pids.contains(&u64::from(worker_pid)), "never in {worker_pid}");
        }
    }
}

#[test]
fn initializer_runs_once_in_each_worker() {
    isolated(|| {
        let record = Record::new();
        let (executor, log) = Log::of(builder(3).initializer(note, record.clone()));
        executor.prewarm().unwrap();
        assert_eq!(record.numbers().len(), 3);
        let calls: Vec<_> =
            (0..100).map(|it| executor.submit(step_after_it, (it, Step::Pass))).collect();
        assert!(calls.iter().all(|call| call.result().is_ok()));
        assert_eq!(record.numbers().len(), 3);
        executor.resize(4).unwrap();
        executor.prewarm().unwrap();
        assert_eq!(record.numbers().len(), 4);
        executor.shutdown(Shutdown::Wait);
        check_once(&log, &record);
        log.check_end(&executor);
    });
}

#[test]
fn initializer_runs_in_replacements_of_dead_workers() {
    isolated(|| {
        let record = Record::new();
        let (executor, log) = Log::of(builder(1).initializer(note, record.clone()));
        for round in 0..5 {
            let dies = (round, Step::Do(Deed::ExitAtOnce(3)));
            assert!(executor.submit(step_after_it, dies).error().unwrap().is_terminated_worker());
            executor.submit(step_after_it, (round, Step::Pass)).result().unwrap();
        }
        executor.shutdown(Shutdown::Wait);
        assert_eq!(record.numbers().len(), 6);
        check_once(&log, &record);
        log.check_end(&executor);
    });
}

#[test]
fn initializer_runs_in_returning_workers() {
    isolated(|| {
        let record = Record::new();
        let builder = builder(1).initializer(note, record.clone()).idle_timeout(millis(1));
        let (executor, log) = Log::of(builder);
        for round in 0..5 {
            executor.submit(step_after_it, (round, Step::Pass)).result().unwrap();
            until_asleep(&executor);
        }
        executor.shutdown(Shutdown::Wait);
        assert_eq!(record.numbers().len(), 5);
        check_once(&log, &record);
        log.check_end(&executor);
    });
}

/// It is no call of those that a worker may run.
#[test]
fn initializer_does_not_count_as_call() {
    isolated(|| {
        let record = Record::new();
        let builder = builder(1).initializer(note, record.clone()).max_tasks_per_worker(2);
        let (executor, log) = Log::of(builder);
        for round in 0..10 {
            executor.submit(step_after_it, (round, Step::Pass)).result().unwrap();
        }
        executor.shutdown(Shutdown::Kill);
        assert!([5, 6].contains(&record.numbers().len()), "{:?}", record.numbers());
        assert_eq!((executor.stats().submitted, executor.stats().succeeded), (10, 10));
        let ready = log.words().iter().filter(|word| word.starts_with("ready")).count();
        assert!([5, 6].contains(&ready), "{:?}", log.words());
        check_once(&log, &record);
        log.check_end(&executor);
    });
}

#[test]
fn initializer_runs_once_in_workers_replaced_under_load() {
    isolated(|| {
        let record = Record::new();
        let builder = builder(3).initializer(note, record.clone()).idle_timeout(millis(1));
        let (executor, log) = Log::of(builder.max_tasks_per_worker(7));
        thread::scope(|scope| {
            for seed in [1, 2, 3] {
                let executor = &executor;
                scope.spawn(move || load(executor, seed));
            }
        });
        until_asleep(&executor);
        executor.shutdown(Shutdown::Wait);
        check_once(&log, &record);
        let words = log.words();
        for why in ["Idle", "MaxTasks"] {
            assert!(words.iter().any(|word| word.contains(why)), "no worker left for {why}");
        }
        assert!(executor.stats().workers_died > 0);
        log.check_end(&executor);
    });
}

/// Bursts of calls, of which some end their workers.
fn load(executor: &ProcessPoolExecutor, seed: u64) {
    let mut random = Random::new(seed);
    for _ in 0..40 {
        let calls: Vec<_> = (0..random.below(20) as u64)
            .map(|number| {
                let dies = random.once_in(60);
                let it = if dies { Step::Do(Deed::ExitAtOnce(1)) } else { Step::Pass };
                (dies, number, executor.submit(step_after_it, (number, it)))
            })
            .collect();
        for (dies, number, call) in calls {
            match call.result_timeout(LONG) {
                Ok(same) => assert!(!dies && same == number),
                Err(error) => assert!(dies && error.is_terminated_worker(), "{error:?}"),
            }
        }
        rest(Duration::from_micros(random.below(4000) as u64));
    }
}

static OWN: OnceLock<ProcessPoolExecutor> = OnceLock::new();

/// Starts an executor that the calls of this worker use.
#[loky::task]
fn start_own() -> TaskResult<()> {
    let executor = builder(1).build()?;
    executor.prewarm()?;
    assert!(OWN.set(executor).is_ok(), "once");
    Ok(())
}

#[loky::task]
fn square_there(x: u64) -> TaskResult<u64> {
    Ok(OWN.get().expect("the initializer has run").submit(square, x).result()?)
}

#[test]
fn initializer_may_start_own_executor() {
    isolated(|| {
        for how in [Shutdown::Wait, Shutdown::Kill] {
            let (executor, log) = Log::of(builder(2).initializer(start_own, ()));
            let calls: Vec<_> = (0..10).map(|x| executor.submit(square_there, x)).collect();
            for (call, x) in calls.iter().zip(0..) {
                assert_eq!(call.result().unwrap().unwrap(), x * x);
            }
            executor.shutdown(how);
            log.check_end(&executor);
            until_childless();
        }
    });
}

/// Says that it began, and blocks until it may go on.
#[loky::task]
fn block(began: Gate, gate: Gate) {
    began.set();
    gate.wait();
}

/// An executor whose two workers are in the middle of their initializers, which two permits of the gate let go on. With calls,
/// if there are to be any: else a thread waits for the workers.
fn in_initializers(n_calls: u64) -> (ProcessPoolExecutor, Vec<loky::Future<u64>>, Gate) {
    let (began, gate) = (Gate::new(), Gate::new());
    let executor = builder(2).initializer(block, (began.clone(), gate.clone())).build().unwrap();
    let calls = (0..n_calls).map(|x| executor.submit(square, x)).collect();
    if n_calls == 0 {
        thread::scope(|scope| {
            let prewarming = scope.spawn(|| executor.prewarm());
            (0..2).for_each(|_| began.wait());
            // It comes back when there is an end.
            executor.shutdown(Shutdown::NoWait);
            let error = prewarming.join().unwrap().unwrap_err();
            assert!(error.is_shutdown_executor(), "{error:?}");
        });
    } else {
        (0..2).for_each(|_| began.wait());
    }
    (executor, calls, gate)
}

#[test]
fn kill_during_initializer_ends_pool() {
    isolated(|| {
        for n_calls in [0, 3] {
            let (executor, calls, _gate) = in_initializers(n_calls);
            let start = Instant::now();
            executor.shutdown(Shutdown::Kill);
            assert!(start.elapsed() < Duration::from_secs(5));
            assert!(calls.iter().all(|call| call.error().unwrap().is_shutdown_executor()));
            assert!(!executor.is_broken());
            until_childless();
        }
    });
}

/// With calls: both workers are needed, and go on when they may. Without: they leave then.
#[track_caller]
fn check_let_go_on(n_calls: u64, end: impl FnOnce(ProcessPoolExecutor) + Send, is_cancelled: bool) {
    let (executor, calls, gate) = in_initializers(n_calls);
    let stays = executor.clone();
    thread::scope(|scope| {
        let ending = scope.spawn(|| end(executor));
        if n_calls > 0 && is_cancelled {
            until("the calls are cancelled", LONG, || calls.iter().all(|call| call.is_cancelled()));
        }
        gate.set_for(2);
        drop(stays);
        ending.join().unwrap();
    });
    for (call, x) in calls.iter().zip(0..) {
        match call.result_timeout(LONG) {
            Ok(square) => assert!(square == x * x && !is_cancelled),
            Err(error) => assert!(error.is_cancelled() && is_cancelled, "{error:?}"),
        }
    }
    until_childless();
}

#[test]
fn shutdown_during_initializer_runs_calls() {
    isolated(|| {
        for n_calls in [0, 3] {
            check_let_go_on(n_calls, |it| it.shutdown(Shutdown::Wait), false);
            check_let_go_on(n_calls, |it| it.shutdown(Shutdown::NoWait), false);
            check_let_go_on(n_calls, |it| it.shutdown(Shutdown::CancelPending), true);
            check_let_go_on(n_calls, drop, false);
        }
    });
}

/// No call needs its worker any more: so it has as long as any worker that is told to leave.
#[test]
fn shutdown_during_hanging_initializer_ends() {
    isolated(|| {
        let (executor, _, _gate) = in_initializers(0);
        let start = Instant::now();
        executor.shutdown(Shutdown::Wait);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert!(!executor.is_broken());
        until_childless();
    });
}

/// The present workers go on while a new one runs its initializer.
#[test]
fn initializer_of_new_worker_holds_up_no_other() {
    isolated(|| {
        let (began, gate) = (Gate::new(), Gate::new());
        let builder = builder(1).initializer(block, (began.clone(), gate.clone()));
        let (executor, log) = Log::of(builder);
        gate.set();
        executor.prewarm().unwrap();
        executor.resize(2).unwrap();
        (0..2).for_each(|_| began.wait());
        let sum: u64 = executor.map(square, 0..10).map(Result::unwrap).sum();
        assert_eq!((sum, executor.stats().starting_workers), (285, 1));
        gate.set();
        let held = Held::new(&executor, 2);
        held.release();
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}
