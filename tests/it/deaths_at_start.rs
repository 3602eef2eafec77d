//! Workers that die before the handshake: the pool heals a few deaths, and breaks when no worker comes up.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use loky::{CrashPolicy, Error, Execution, ProcessPoolExecutor};
use loky_tests::deed::{Deed, perform};
use loky_tests::isolated;
use loky_tests::pools::{POLICIES, assert_serves};
use loky_tests::scratch::temporary;
use loky_tests::tasks::double;

#[track_caller]
fn never_comes_up(exe: &str, policy: CrashPolicy, is_expected: fn(&Error) -> bool, text: &str) {
    let builder = ProcessPoolExecutor::builder().max_workers(2).on_worker_crash(policy);
    let executor = builder.worker_exe(exe).build().unwrap();
    let calls = [(); 3].map(|()| executor.submit(double, 1));
    for error in calls.iter().map(|call| call.error().unwrap()) {
        assert!(is_expected(&error) && error.to_string().contains(text), "{error:?}");
        assert_eq!(error.execution(), Execution::NotStarted);
    }
    assert!(executor.is_broken());
    let after = executor.submit(double, 1);
    assert!(after.is_done() && is_expected(&after.error().unwrap()), "{after:?}");
}

#[test]
fn workers_that_never_come_up_break_pool() {
    isolated(|| {
        POLICIES.into_iter().for_each(|policy| {
            never_comes_up("/no/such/program", policy, Error::is_spawn, "`/no/such/program`");
            never_comes_up("/dev/null", policy, Error::is_spawn, "`/dev/null`");
            never_comes_up("/bin/false", policy, Error::is_broken_process_pool, "EXIT(1)");
            never_comes_up("/bin/true", policy, Error::is_handshake, "loky::main!");
        })
    });
}

/// A program that dies of SIGSEGV a number of times, and then becomes this one.
struct DiesAtFirst {
    folder: PathBuf,
}

impl DiesAtFirst {
    fn new(times: usize) -> Self {
        let folder = temporary("deaths");
        fs::create_dir(&folder).unwrap();
        let this = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\nfor death in '{}'/?; do rmdir $death 2>/dev/null && kill -SEGV $$; done\nexec '{}'\n",
            folder.display(),
            this.display()
        );
        fs::write(folder.join("worker"), script).unwrap();
        fs::set_permissions(folder.join("worker"), PermissionsExt::from_mode(0o700)).unwrap();
        let program = Self { folder };
        program.die_again(times);
        program
    }

    fn die_again(&self, times: usize) {
        (0..times).for_each(|i| fs::create_dir(self.folder.join(i.to_string())).unwrap());
    }

    fn executor(&self, max_workers: usize, policy: CrashPolicy) -> ProcessPoolExecutor {
        let builder = ProcessPoolExecutor::builder().max_workers(max_workers);
        builder.worker_exe(self.folder.join("worker")).on_worker_crash(policy).build().unwrap()
    }
}

impl Drop for DiesAtFirst {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn deaths_before_handshake_are_healed() {
    isolated(|| {
        for (max_workers, deaths) in [(1, 1), (1, 5), (2, 2), (3, 8)] {
            let program = DiesAtFirst::new(deaths);
            assert_serves(&program.executor(max_workers, CrashPolicy::Heal));
        }
    });
}

/// A pool gives up when its workers die without having done anything. These have.
#[test]
fn deaths_at_work_do_not_count_as_deaths_at_start() {
    isolated(|| {
        let program = DiesAtFirst::new(0);
        let executor = program.executor(1, CrashPolicy::Heal);
        for _ in 0..3 {
            for _ in 0..10 {
                let error = executor.submit(perform, Deed::ExitAtOnce(1)).error().unwrap();
                assert!(error.is_terminated_worker(), "{error:?}");
            }
            program.die_again(9);
            executor.submit(perform, Deed::ExitAtOnce(1)).error().unwrap();
            assert_serves(&executor);
        }
    });
}

#[test]
fn death_before_handshake_breaks_pool_of_break_policy() {
    isolated(|| {
        let program = DiesAtFirst::new(1);
        let executor = program.executor(1, CrashPolicy::BreakPool);
        let error = executor.submit(double, 1).error().unwrap();
        assert!(error.is_broken_process_pool(), "{error:?}");
        assert_eq!(error.execution(), Execution::NotStarted);
        assert_eq!(error.worker_exit().unwrap().to_string(), "SIGSEGV(-11)");
    });
}
