//! Faults around the calls: rubbish on a channel, stopped workers, a host without free descriptors, a host that reaps foreign
//! children.
//!
//! In each test calls get their outcome, other calls get theirs, the executor works again as soon as it can, and nothing is left.
//! Workers that never come up are in `deaths_at_start.rs`, processes of tasks in `descendants.rs`.

use std::fs::{self};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{ptr, thread};

use loky::{CrashPolicy, Execution, Future, ProcessPoolExecutor, Shutdown, Stdio};
use loky_tests::deed::{Deed, channel, perform};
use loky_tests::held::busy;
use loky_tests::limits::{Scarcity, limit_descriptors, names_the_limit};
use loky_tests::pools::{POLICIES, assert_serves, ready};
use loky_tests::scratch::temporary;
use loky_tests::signal::{kill, stop};
use loky_tests::tasks::double;
use loky_tests::time::LONG;
use loky_tests::{Event, is_alive, isolated, until};

// ---- channels ----

/// Says something on the channel that the library would not, and waits to be ended for it.
#[loky::task]
fn say(bytes: Vec<u8>) {
    channel().write_all(&bytes).expect("a channel");
    loop {
        thread::park();
    }
}

/// As [`say`], when the call is over.
#[loky::task]
fn say_later(bytes: Vec<u8>, go_on: Event) {
    thread::spawn(move || {
        go_on.wait();
        channel().write_all(&bytes).expect("a channel");
    });
}

/// The layout of `loky/src/wire`.
fn frame(kind: u8, call: u64, length: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = b"\xf5lky".to_vec();
    frame.extend([kind, 0, 0, 0]);
    frame.extend(call.to_le_bytes());
    frame.extend(length.to_le_bytes());
    frame.extend(body);
    frame
}

/// A worker that forges messages is ended, and no other call is touched. The other worker has call 1, the forger call 2.
#[test]
fn forged_message_ends_worker_and_fails_its_call_only() {
    let (hello, began, result, failed, outgrown, initializing) = (17, 19, 20, 21, 22, 24);
    isolated(|| {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            vec![0; 24],
            vec![0xff; 100_000],
            frame(result, 1, 1, &[0]),
            frame(failed, 1, 1, &[3]),
            frame(began, 1, 0, &[]),
            frame(began, 2, 0, &[]),
            frame(began, 77, 0, &[]),
            frame(began, 2, 1, &[0]),
            frame(result, 77, 1, &[0]),
            frame(result, u64::MAX, 1, &[0]),
            frame(hello, 0, 0, &[]),
            frame(hello, 0, 61, &[0xff; 61]),
            frame(failed, 2, 1, &[99]),
            frame(failed, 2, 9, &[1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
            frame(1, 2, 0, &[]),
            frame(200, 2, 0, &[]),
            frame(outgrown, 0, 0, &[]),
            frame(initializing, 0, 0, &[]),
            frame(result, u64::MAX, 1, &[0xf6]),
            frame(failed, u64::MAX, 1, &[3]),
            frame(result, 2, 1 << 60, &[]),
            frame(result, 2, u64::MAX, &[]),
        ] {
            let executor = ready(2);
            let (neighbour, go_on) = busy(&executor);
            let error = executor.submit(say, bytes.clone()).error().unwrap();
            assert!(error.is_terminated_worker(), "{bytes:?}: {error:?}");
            assert_eq!(error.execution(), Execution::Started, "{bytes:?}");
            let cause = error.worker_exit().unwrap().cause().unwrap();
            assert!(cause.contains("broke the protocol"), "{bytes:?}: {cause}");
            assert!(!neighbour.is_done(), "{bytes:?}");
            go_on.set();
            assert!(neighbour.result().is_ok(), "{bytes:?}");
            assert_serves(&executor);
        }
    });
}

#[test]
fn rubbish_from_idle_worker_ends_it() {
    isolated(|| {
        let executor = ready(1);
        let go_on = Event::new();
        executor.submit(say_later, (vec![b'x'; 100], go_on.clone())).result().unwrap();
        let pid = executor.worker_pids()[0];
        go_on.set();
        until("it is ended", LONG, || !is_alive(pid));
        assert_serves(&executor);
    });
}

// ---- workers ----

/// A stopped worker is slow, not dead.
#[test]
fn stopped_worker_is_slow_and_not_dead() {
    isolated(|| {
        POLICIES.into_iter().for_each(|policy| {
            let builder = ProcessPoolExecutor::builder().max_workers(1).on_worker_crash(policy);
            let executor = builder.build().unwrap();
            let (held, go_on) = busy(&executor);
            let behind = executor.submit(double, 21);
            let pid = held.worker_pid().unwrap();
            stop(pid);
            go_on.set();
            let error = held.result_timeout(Duration::from_millis(300)).unwrap_err();
            assert!(error.is_timeout() && error.execution() == Execution::Started, "{error:?}");
            assert!(held.is_running() && !behind.is_done() && !executor.is_broken());
            kill(pid, libc::SIGCONT);
            assert_eq!(held.result().unwrap(), pid);
            assert_eq!(behind.result().unwrap(), 42);

            let (held, _go_on) = busy(&executor);
            stop(pid);
            let start = Instant::now();
            executor.shutdown(Shutdown::Kill);
            assert!(start.elapsed() < Duration::from_secs(5));
            assert!(!is_alive(pid));
            assert!(held.error().unwrap().is_shutdown_executor());
        })
    });
}

#[loky::task]
fn repeat(text: String, times: usize) -> String {
    text.repeat(times)
}

#[test]
fn huge_argument_and_result_arrive() {
    isolated(|| {
        let executor = ready(2);
        let large = "0123456789abcdef".repeat(1 << 20);
        let call = executor.submit(repeat, (large.clone(), 4));
        assert_serves(&executor);
        let result = call.result().unwrap();
        assert_eq!(result.len(), 64 << 20);
        assert!(result.starts_with(&large) && result.ends_with(&large));
        let dead = executor.submit(perform, Deed::Exit(1));
        let alive = executor.submit(repeat, (large.clone(), 1));
        assert!(dead.error().unwrap().is_terminated_worker());
        assert_eq!(alive.result().unwrap(), large);
    });
}

#[loky::task]
fn start_threads(go_on: Event) {
    for _ in 0..4 {
        let go_on = go_on.clone();
        thread::spawn(move || go_on.wait());
    }
    thread::spawn(|| panic!("a panic of no call"));
}

/// They live as long as their worker, and do not keep it.
#[test]
fn threads_that_outlive_call_do_not_keep_worker() {
    isolated(|| {
        let builder = ProcessPoolExecutor::builder().max_workers(1).stderr(Stdio::Null);
        let executor = builder.build().unwrap();
        let never = Event::new();
        executor.submit(start_threads, never.clone()).result().unwrap();
        let pid = executor.worker_pids()[0];
        assert_serves(&executor);
        assert_eq!(executor.worker_pids(), [pid], "a panic of such a thread is its own");
        let start = Instant::now();
        executor.shutdown(Shutdown::Wait);
        assert!(start.elapsed() < Duration::from_secs(4), "it was not killed for staying");
    });
}

#[loky::task]
fn print(text: String) {
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).expect("a file");
}

#[test]
fn output_like_messages_goes_to_stdout() {
    isolated(|| {
        let path = temporary("stdout");
        let builder = ProcessPoolExecutor::builder().max_workers(1);
        let executor = builder.stdout(Stdio::File(path.clone())).build().unwrap();
        for _ in 0..3 {
            executor.submit(print, "\u{f5}lky and so on\n".to_owned()).result().unwrap();
        }
        assert_serves(&executor);
        assert_eq!(fs::read_to_string(&path).unwrap(), "\u{f5}lky and so on\n".repeat(3));
        fs::remove_file(path).unwrap();
    });
}

#[loky::task]
fn sum_in_threads(n: u64) -> u64 {
    let sum = |from| (from..n).step_by(4).sum::<u64>();
    thread::scope(|scope| {
        let parts = [0, 1, 2, 3].map(|from| scope.spawn(move || sum(from)));
        parts.map(|part| part.join().expect("a sum")).into_iter().sum()
    })
}

/// Threads of the parent, whatever they hold, have no part in the workers, which are not forked.
///
/// Python loky's `test_numpy_dot_parent_and_child_no_freeze`.
#[test]
fn threads_of_parent_do_not_freeze_workers() {
    isolated(|| {
        let is_over = AtomicBool::new(false);
        let until_over = || {
            while !is_over.load(Ordering::Relaxed) {
                drop(std::hint::black_box(vec![0_u8; 100_000]));
            }
        };
        thread::scope(|scope| {
            let _over = SetOnDrop(&is_over);
            (0..3).for_each(|_| drop(scope.spawn(until_over)));
            let executor = ready(2);
            let sums: Vec<_> =
                executor.map(sum_in_threads, [1000; 20]).collect::<Result<_, _>>().unwrap();
            assert_eq!(sums, [499_500; 20]);
        });
    });
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// ---- descriptors ----

/// For each number of free descriptors: a step that lacks one fails with the cause, and succeeds later.
#[test]
fn lack_of_descriptors_fails_with_limit_in_error() {
    isolated(|| {
        let outcomes: Vec<(bool, bool)> = (0..20)
            .map(|n_free| {
                let scarcity = Scarcity::with_free(n_free);
                let builder = ProcessPoolExecutor::builder().max_workers(2);
                let executor = match builder.build() {
                    Ok(executor) => executor,
                    Err(error) => {
                        assert!(error.is_io(), "{error:?}");
                        names_the_limit(&error);
                        return (false, false);
                    }
                };
                let calls = [1, 2, 3].map(|x| executor.submit(double, x).result());
                for result in &calls {
                    result.as_ref().err().into_iter().for_each(names_the_limit);
                }
                assert!(!executor.is_broken());
                drop(scarcity);
                assert_serves(&executor);
                executor.prewarm().unwrap();
                (true, calls.iter().all(Result::is_ok))
            })
            .collect();
        assert_eq!(outcomes[0], (false, false));
        assert!(outcomes.contains(&(true, false)), "{outcomes:?}");
        assert_eq!(outcomes[19], (true, true));
    });
}

#[test]
fn death_without_free_descriptors_is_noticed() {
    isolated(|| {
        let executor = ready(2);
        let (held, _go_on) = busy(&executor);
        let [other] = idle_workers(&executor, &held)[..] else { panic!("one is idle") };
        let scarcity = Scarcity::with_free(0);
        kill(held.worker_pid().unwrap(), libc::SIGKILL);
        let error = held.error().unwrap();
        assert_eq!(error.worker_exit().unwrap().to_string(), "SIGKILL(-9)");
        assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
        kill(other, libc::SIGKILL);
        // The dead have left their descriptors, so a new one may be had.
        for _ in 0..20 {
            executor.submit(double, 1).error().iter().for_each(names_the_limit);
        }
        drop(scarcity);
        assert_serves(&executor);
    });
}

fn idle_workers(executor: &ProcessPoolExecutor, busy: &Future<u32>) -> Vec<u32> {
    let mut pids = executor.worker_pids();
    pids.retain(|pid| busy.worker_pid() != Some(*pid));
    pids
}

/// As some sandboxes do it. poll(2) then refuses to look at any descriptor.
#[test]
fn descriptor_limit_of_zero_stops_no_calls() {
    isolated(|| {
        let executor = ready(2);
        let limit = limit_descriptors(0);
        let call = executor.submit(double, 21).result_timeout(LONG);
        limit_descriptors(limit);
        assert_eq!(call.unwrap(), 42);
        assert_serves(&executor);
    });
}

// ---- a host with other ideas about children ----

#[track_caller]
fn lives_with_unknown_deaths(executor: &ProcessPoolExecutor) {
    for deed in [Deed::Exit(0), Deed::Exit(3), Deed::Abort, Deed::Segfault] {
        let error = executor.submit(perform, deed).error().unwrap();
        assert!(error.is_terminated_worker(), "{error:?}");
        assert_eq!(error.execution(), Execution::Started);
        let exit = error.worker_exit().unwrap().to_string();
        let known = ["UNKNOWN", "EXIT(0)", "EXIT(3)", "SIGABRT(-6)", "SIGSEGV(-11)"];
        assert!(known.contains(&&*exit), "{error:?}");
        assert_serves(executor);
    }
    let (held, _go_on) = busy(executor);
    kill(held.worker_pid().unwrap(), libc::SIGKILL);
    assert!(held.error().unwrap().is_terminated_worker());
    assert_serves(executor);
    let (held, _go_on) = busy(executor);
    let pids = executor.worker_pids();
    executor.shutdown(Shutdown::Kill);
    assert!(held.error().unwrap().is_shutdown_executor());
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn host_that_ignores_sigchld_has_working_pools() {
    isolated(|| {
        #[expect(unsafe_code, reason = "std has no signals")]
        // SAFETY: the disposition is a constant, no function.
        unsafe {
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        }
        lives_with_unknown_deaths(&ready(2));
        let broken = ProcessPoolExecutor::builder().max_workers(2);
        let broken = broken.on_worker_crash(CrashPolicy::BreakPool).build().unwrap();
        assert!(broken.submit(perform, Deed::Exit(1)).error().unwrap().is_terminated_worker());
        assert!(broken.submit(double, 1).error().unwrap().is_broken_process_pool());
        assert_serves(&ready(2));
    });
}

/// False if there are no children.
fn wait_for_any_child() -> bool {
    #[expect(unsafe_code, reason = "std waits for one child at a time")]
    // SAFETY: the status is not asked for.
    let pid = unsafe { libc::waitpid(-1, ptr::null_mut(), 0) };
    pid > 0
}

#[test]
fn host_that_reaps_all_children_has_working_pools() {
    isolated(|| {
        let is_over = AtomicBool::new(false);
        let wait = || {
            while !is_over.load(Ordering::Relaxed) {
                if !wait_for_any_child() {
                    thread::yield_now();
                }
            }
        };
        thread::scope(|scope| {
            let _over = SetOnDrop(&is_over);
            scope.spawn(wait);
            for _ in 0..5 {
                lives_with_unknown_deaths(&ready(2));
            }
            assert_serves(&ready(2));
        });
    });
}
