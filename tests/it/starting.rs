//! Workers that are still starting: each may have its first call already, and the outcome of the call does not depend on that.
//!
//! To keep a worker in its start, its loader loads a pipe before anything else. It waits for a writer, finds that the pipe is no
//! library, and goes on without it.

use std::thread;
use std::time::Duration;

use loky::{Builder, CrashPolicy, Event, Execution, ProcessPoolExecutor, Shutdown, Stdio};
use loky_tests::ledger::Log;
use loky_tests::signal::send_signal;
use loky_tests::tasks::{pid, square};
use loky_tests::time::LONG;
use loky_tests::{Event as Gate, isolated, until};

/// How much the loader reads of a library at first: the head of an ELF file.
const HEAD_BYTES: usize = 64;

/// As many workers, of which the one with index 0 is stuck until [`let_in`].
fn stuck(max_workers: usize) -> (Builder, Gate) {
    let gate = Gate::new();
    let mut preloads = vec![String::new(); max_workers];
    preloads[0] = gate.path().to_str().unwrap().to_owned();
    let builder = ProcessPoolExecutor::builder().max_workers(max_workers);
    // It complains of what is no library.
    (builder.worker_env("LD_PRELOAD", preloads).stderr(Stdio::Null), gate)
}

/// Lets one worker, or the one that comes in its place, go on with its start.
fn let_in(gate: &Gate) {
    gate.set_for(HEAD_BYTES);
}

/// The process of the worker that was given this call last.
#[track_caller]
fn who_has(log: &Log, number: u64) -> u32 {
    let given = |event: &Event| match event {
        Event::CallGiven { call, worker_pid, .. } => (*call == number).then_some(*worker_pid),
        _ => None,
    };
    log.events().iter().rev().find_map(given).expect("it was given")
}

#[test]
fn call_given_to_starting_worker_runs_when_it_is_ready() {
    isolated(|| {
        let (builder, gate) = stuck(1);
        let (executor, log) = Log::of(builder);
        let calls = [3, 4].map(|number| executor.submit(square, number));
        log.until(1, "given 1");
        let stats = executor.stats();
        assert_eq!((stats.given, stats.queued, stats.starting_workers), (1, 1, 1), "{stats:?}");
        assert!(calls.iter().all(|call| !call.is_running() && !call.is_done()));
        let_in(&gate);
        assert_eq!(calls.map(|call| call.result_timeout(LONG).unwrap()), [9, 16]);
        executor.shutdown(Shutdown::Wait);
        let words = ["submitted 1", "started 0", "given 1", "ready 0", "finished 1"];
        let mut told = log.words();
        told.retain(|word| words.contains(&word.as_str()));
        assert_eq!(told, words);
        log.check_end(&executor);
    });
}

#[test]
fn call_of_slowly_starting_worker_runs_elsewhere() {
    isolated(|| {
        let (builder, gate) = stuck(2);
        let (executor, log) = Log::of(builder);
        let calls = [(); 8].map(|()| executor.submit(pid, ()));
        let pids = calls.map(|call| call.result_timeout(LONG).unwrap());
        assert!(pids.iter().all(|pid| *pid == pids[0]), "only one was up: {pids:?}");
        log.until(8, "finished");
        assert_eq!(log.words_of(1), ["submitted", "given", "taken back", "given", "finished"]);
        // It skips what is not its any more.
        let_in(&gate);
        executor.prewarm().unwrap();
        let squares: Vec<_> = executor.map(square, 0..100).map(Result::unwrap).collect();
        assert_eq!(squares, (0..100).map(|number| number * number).collect::<Vec<_>>());
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

/// More often than a call may lie with workers that die when they are up.
#[test]
fn death_of_starting_worker_does_not_fail_its_call() {
    isolated(|| {
        let (builder, gate) = stuck(1);
        let (executor, log) = Log::of(builder);
        let call = executor.submit(square, 5);
        for deaths in 1..=12 {
            log.until(deaths, "given 1");
            send_signal(who_has(&log, 1), libc::SIGKILL);
        }
        log.until(13, "given 1");
        let_in(&gate);
        assert_eq!(call.result_timeout(LONG).unwrap(), 25);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
        assert_eq!(executor.stats().workers_died, 12);
    });
}

#[test]
fn death_of_starting_worker_breaks_pool_of_break_policy() {
    isolated(|| {
        let (builder, _gate) = stuck(1);
        let (executor, log) = Log::of(builder.on_worker_crash(CrashPolicy::BreakPool));
        let calls = [(); 2].map(|()| executor.submit(pid, ()));
        log.until(1, "given 1");
        send_signal(who_has(&log, 1), libc::SIGKILL);
        for call in calls {
            let error = call.result_timeout(LONG).unwrap_err();
            assert!(error.is_broken_process_pool(), "{error}");
            assert_eq!(error.execution(), Execution::NotStarted);
        }
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn cancel_of_call_at_starting_worker_takes_effect() {
    isolated(|| {
        let (builder, gate) = stuck(1);
        let (executor, log) = Log::of(builder);
        let calls = [3, 4].map(|number| executor.submit(square, number));
        log.until(1, "given 1");
        assert!(calls[0].cancel());
        let_in(&gate);
        assert!(calls[0].result().unwrap_err().is_cancelled());
        assert_eq!(calls[1].result_timeout(LONG).unwrap(), 16);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn shutdown_finds_call_at_starting_worker() {
    isolated(|| {
        for how in [Shutdown::Wait, Shutdown::CancelPending, Shutdown::Kill] {
            let (builder, gate) = stuck(1);
            let (executor, log) = Log::of(builder);
            let calls = [3, 4].map(|number| executor.submit(square, number));
            log.until(1, "given 1");
            thread::scope(|scope| {
                scope.spawn(|| executor.shutdown(how));
                log.until(1, "shut down");
                if how == Shutdown::Wait {
                    let_in(&gate);
                }
                for call in &calls {
                    match call.result_timeout(LONG) {
                        Ok(_) => assert_eq!(how, Shutdown::Wait),
                        Err(error) => {
                            let is_expected = match how {
                                Shutdown::CancelPending => error.is_cancelled(),
                                _ => error.is_shutdown_executor(),
                            };
                            assert!(is_expected, "{how:?}: {error}");
                            assert_eq!(error.execution(), Execution::NotStarted, "{how:?}");
                        }
                    }
                }
                let_in(&gate);
            });
            log.check_end(&executor);
        }
    });
}

#[test]
fn growing_pool_runs_call_of_starting_worker_elsewhere() {
    isolated(|| {
        let (builder, gate) = stuck(2);
        let (executor, log) = Log::of(builder.max_workers(1));
        let call = executor.submit(pid, ());
        log.until(1, "given 1");
        let first = who_has(&log, 1);
        executor.resize(2).unwrap();
        assert_ne!(call.result_timeout(LONG).unwrap(), first);
        let_in(&gate);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[test]
fn as_many_calls_as_workers_return_on_cold_pool() {
    isolated(|| {
        for max_workers in [1, 2, 8] {
            for _ in 0..10 {
                let (executor, log) =
                    Log::of(ProcessPoolExecutor::builder().max_workers(max_workers));
                let calls: Vec<_> =
                    (0..max_workers as u64).map(|n| executor.submit(square, n)).collect();
                for (call, number) in calls.iter().zip(0..) {
                    assert_eq!(call.result_timeout(LONG).unwrap(), number * number);
                }
                executor.shutdown(Shutdown::Wait);
                log.check_end(&executor);
            }
        }
    });
}

/// A long argument goes over the stream, behind the first message to the worker.
#[test]
fn long_arguments_at_starting_worker_arrive() {
    isolated(|| {
        let (builder, gate) = stuck(1);
        let (executor, log) = Log::of(builder);
        let calls = [100_000, 10, 3_000_000].map(|length| executor.submit(count, vec![7; length]));
        log.until(1, "given 1");
        let_in(&gate);
        let counts = calls.map(|call| call.result_timeout(LONG).unwrap());
        assert_eq!(counts, [100_000, 10, 3_000_000]);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[loky::task]
fn count(bytes: Vec<u8>) -> usize {
    bytes.len()
}

/// Waits, in the first of the workers.
#[loky::task]
fn wait_in_first(gate: Gate) {
    if loky::worker_index() == Some(0) {
        gate.wait();
    }
}

/// Insists that each call was given to a worker that was ready.
#[track_caller]
fn check_none_is_early(log: &Log) {
    let mut ready = Vec::new();
    for event in log.events() {
        match event {
            Event::WorkerReady { worker_pid, .. } => ready.push(worker_pid),
            Event::CallGiven { worker_pid, .. } => assert!(ready.contains(&worker_pid)),
            _ => {}
        }
    }
}

#[test]
fn worker_with_initializer_gets_no_call_before_it_is_ready() {
    isolated(|| {
        let gate = Gate::new();
        let builder = ProcessPoolExecutor::builder().max_workers(2);
        let (executor, log) = Log::of(builder.initializer(wait_in_first, gate.clone()));
        let calls = [(); 8].map(|()| executor.submit(pid, ()));
        let pids = calls.map(|call| call.result_timeout(LONG).unwrap());
        assert!(pids.iter().all(|pid| *pid == pids[0]), "the other one waits: {pids:?}");
        gate.set();
        until("both are ready", LONG, || executor.stats().starting_workers == 0);
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
        check_none_is_early(&log);
    });
}

/// It might not be a worker of this program.
#[test]
fn other_worker_exe_gets_no_call_before_handshake() {
    isolated(|| {
        let builder = ProcessPoolExecutor::builder().max_workers(2);
        let (executor, log) = Log::of(builder.worker_exe(std::env::current_exe().unwrap()));
        let calls = [(); 4].map(|()| executor.submit(pid, ()));
        calls.iter().for_each(|call| assert_ne!(call.result_timeout(LONG).unwrap(), 0));
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
        check_none_is_early(&log);
    });
}

/// A worker that is not up after a while has no claim to its call: others that are busy run it next.
#[test]
fn call_revoked_from_starting_worker_comes_before_queued_calls() {
    isolated(|| {
        let (builder, gate) = stuck(2);
        let (executor, log) = Log::of(builder);
        let calls = [(); 100].map(|()| executor.submit(rest, Duration::from_millis(5)));
        calls[0].result_timeout(LONG).unwrap();
        assert!(!calls[99].is_done(), "it waited for all others");
        let_in(&gate);
        calls.iter().for_each(|call| call.result_timeout(LONG).unwrap());
        executor.shutdown(Shutdown::Wait);
        log.check_end(&executor);
    });
}

#[loky::task]
fn rest(time: Duration) {
    loky_tests::time::rest(time);
}
