//! Processes that tasks start, by fork and by exec: they delay no call, and end with their worker.

use std::os::unix::process::CommandExt;
use std::process::{self, Command};
use std::time::Instant;

use loky::{CrashPolicy, ProcessPoolExecutor, Shutdown};
use loky_tests::deed::{Deed, perform};
use loky_tests::limits::Scarcity;
use loky_tests::pools::{assert_serves, ready};
use loky_tests::signal::kill;
use loky_tests::time::{LONG, NOTICED};
use loky_tests::{children_of, is_alive, isolated, process as look, processes_in_session, until};

/// Forks a process that keeps everything open that the worker has, and does nothing.
#[loky::task]
fn fork_holder(in_own_session: bool) -> u32 {
    #[expect(unsafe_code, reason = "it is what is tested")]
    // SAFETY: the child does nothing but system calls.
    match unsafe { libc::fork() } {
        0 => sit(in_own_session),
        child => child.cast_unsigned(),
    }
}

fn sit(in_own_session: bool) -> ! {
    if in_own_session {
        #[expect(unsafe_code, reason = "std starts no sessions")]
        // SAFETY: it takes nothing.
        unsafe {
            libc::setsid();
        }
    }
    loop {
        #[expect(unsafe_code, reason = "std cannot wait for ever in a forked child")]
        // SAFETY: it takes nothing.
        unsafe {
            libc::pause();
        }
    }
}

/// A forked process. It holds what the test prints to, so it must go before the test can come to any end.
struct Holder {
    pid: u32,
    session: u32,
}

impl Holder {
    #[track_caller]
    fn fork(executor: &ProcessPoolExecutor, in_own_session: bool) -> Self {
        let pid = executor.submit(fork_holder, in_own_session).result().unwrap();
        let session = if in_own_session { pid } else { executor.worker_pids()[0] };
        let is_there = || look(pid).is_some_and(|it| it.session == session);
        until("it is where it belongs", LONG, is_there);
        Self { pid, session }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The pool may have killed it, and another process may have the pid.
        if look(self.pid).is_some_and(|it| it.session == self.session) {
            kill(self.pid, libc::SIGKILL);
        }
    }
}

/// A worker's forked child holds the other end of its channel open: the end of the channel does not come.
#[test]
fn death_of_worker_whose_child_keeps_channel_is_noticed() {
    isolated(|| {
        for in_own_session in [false, true] {
            let executor = ready(1);
            for (deed, text) in [(Deed::Exit(7), "EXIT(7)"), (Deed::Abort, "SIGABRT(-6)")] {
                let holder = Holder::fork(&executor, in_own_session);
                let start = Instant::now();
                let error = executor.submit(perform, deed).error().unwrap();
                assert!(start.elapsed() < NOTICED, "{:?}", start.elapsed());
                assert_eq!(error.worker_exit().unwrap().to_string(), text);
                // A process that has left the session cannot be found any more once its worker is gone.
                assert!(in_own_session || !is_alive(holder.pid), "before the call is resolved");
                assert_serves(&executor);
            }
            let _holder = Holder::fork(&executor, in_own_session);
            let pid = executor.worker_pids()[0];
            kill(pid, libc::SIGKILL);
            until("it is replaced", LONG, || {
                executor.worker_pids().first().is_some_and(|now| *now != pid)
            });
            assert_serves(&executor);
        }
    });
}

/// Starts some processes; returns the worker's pid.
#[loky::task]
fn start_processes() -> u32 {
    let quiet = |command: &mut Command| {
        let null = process::Stdio::null;
        drop(command.stdin(null()).stdout(null()).stderr(null()).spawn().expect("a process"));
    };
    quiet(Command::new("sleep").arg("60"));
    quiet(Command::new("sleep").arg("60").process_group(0));
    quiet(Command::new("sh").args(["-c", "sleep 60 & sleep 60"]).process_group(0));
    process::id()
}

/// The processes that [`start_processes`] left, with those below them.
#[track_caller]
fn started(executor: &ProcessPoolExecutor) -> Vec<u32> {
    let worker = executor.submit(start_processes, ()).result().unwrap();
    let sleepers = || {
        let all = processes_in_session(worker);
        all.into_iter().filter(|it| it.name == "sleep").map(|it| it.pid).collect::<Vec<_>>()
    };
    until("all four sleep", LONG, || sleepers().len() == 4);
    sleepers()
}

#[track_caller]
fn check_started(what: &str, policy: CrashPolicy, end: fn(&ProcessPoolExecutor)) {
    let builder = ProcessPoolExecutor::builder().max_workers(1).on_worker_crash(policy);
    let executor = builder.build().unwrap();
    let started = started(&executor);
    assert_serves(&executor);
    assert!(started.iter().all(|pid| is_alive(*pid)), "{what}: they outlive their call");
    end(&executor);
    until(what, NOTICED, || !started.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn processes_of_task_go_with_its_worker() {
    isolated(|| {
        use CrashPolicy::{BreakPool, Heal};
        let exit: fn(&ProcessPoolExecutor) =
            |executor| drop(executor.submit(perform, Deed::Exit(0)).error());
        let killed: fn(&ProcessPoolExecutor) = |executor| {
            kill(executor.worker_pids()[0], libc::SIGKILL);
        };
        check_started("its own exit", Heal, exit);
        check_started("its own exit, of a pool that breaks", BreakPool, exit);
        check_started("killed while idle", Heal, killed);
        check_started("killed while idle, of a pool that breaks", BreakPool, killed);
        check_started("crash", Heal, |executor| {
            executor.submit(perform, Deed::Segfault).error().unwrap();
        });
        check_started("misbehaviour", Heal, |executor| {
            executor.submit(perform, Deed::SpoilChannel).error().unwrap();
        });
        for how in [Shutdown::Wait, Shutdown::CancelPending, Shutdown::Kill] {
            let executor = ready(1);
            let started = started(&executor);
            executor.shutdown(how);
            assert!(!started.iter().any(|pid| is_alive(*pid)), "{how:?}");
        }
        let executor = ready(1);
        let started = started(&executor);
        drop(executor);
        assert!(!started.iter().any(|pid| is_alive(*pid)), "drop");
    });
}

/// Starts a process that leaves the worker's session.
#[loky::task]
fn start_apart() -> u32 {
    let null = process::Stdio::null;
    let mut command = Command::new("setsid");
    command.args(["sleep", "60"]).stdin(null()).stdout(null()).stderr(null());
    command.spawn().expect("setsid(1)").id()
}

/// Also those in a session of their own, as long as the worker is there to tell whose they are.
#[test]
fn kill_reaches_processes_in_own_sessions() {
    isolated(|| {
        let executor = ready(2);
        let started = [(); 3].map(|()| executor.submit(start_apart, ()).result().unwrap());
        let sleeps = |pid: &u32| look(*pid).is_some_and(|it| it.name == "sleep");
        until("they have left", LONG, || started.iter().all(sleeps));
        assert!(started.iter().all(|pid| look(*pid).is_some_and(|it| it.session == *pid)));
        executor.shutdown(Shutdown::Kill);
        assert!(!started.iter().any(|pid| is_alive(*pid)));
        assert!(children_of(process::id()).is_empty());
    });
}

/// Finding them takes a descriptor or two.
#[test]
fn processes_go_with_worker_while_no_descriptors_are_left() {
    isolated(|| {
        let executor = ready(1);
        let started = started(&executor);
        let scarcity = Scarcity::with_free(0);
        let error = executor.submit(perform, Deed::Exit(5)).error().unwrap();
        drop(scarcity);
        assert_eq!(error.worker_exit().unwrap().to_string(), "EXIT(5)");
        until("they are gone", NOTICED, || !started.iter().any(|pid| is_alive(*pid)));
    });
}
