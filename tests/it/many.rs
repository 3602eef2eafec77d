//! Many of everything: pools one after another, and workers in one pool.

use std::fs;

use loky::{Error, ProcessPoolExecutor, Shutdown};
use loky_tests::held::Held;
use loky_tests::isolated;
use loky_tests::limits::limit;
use loky_tests::tasks::{pid, square};
use loky_tests::time::LONG;

/// How much this process has of what a pool might leave behind.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    mappings: usize,
    resident_kib: usize,
}

impl Holdings {
    fn count() -> Self {
        let entries = |folder: &str| fs::read_dir(folder).unwrap().count();
        let lines = |file: &str| fs::read_to_string(file).unwrap().lines().count();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self {
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            mappings: lines("/proc/self/maps"),
            resident_kib: resident.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }
}

#[loky::task]
fn prepare() {}

/// Uses a pool in one of several ways, and ends it in one of several ways.
fn use_a_pool(number: u64) {
    let builder = ProcessPoolExecutor::builder().max_workers(1 + (number % 2) as usize);
    let executor = match number % 4 {
        0 => builder.observer(|_| {}),
        1 => builder.idle_timeout(LONG),
        2 => builder.initializer(prepare, ()).max_tasks_per_worker(2),
        _ => builder,
    };
    let executor = executor.build().unwrap();
    let call = executor.submit(square, number);
    call.add_done_callback(|_| {});
    assert_eq!(call.result().unwrap(), number * number);
    match number % 3 {
        0 => executor.shutdown(Shutdown::Wait),
        1 => executor.shutdown(Shutdown::Kill),
        _ => {}
    }
}

#[test]
fn thousand_pools_in_row_leave_nothing() {
    isolated(|| {
        let pools = 1000;
        let mut early = None;
        for number in 0..pools {
            use_a_pool(number);
            if number == pools / 5 {
                early = Some(Holdings::count());
            }
        }
        let (early, late) = (early.unwrap(), Holdings::count());
        let both = format!("{early:?}, then {late:?}");
        assert!(late.descriptors <= early.descriptors, "{both}");
        // The thread of the last pool may be on its way out, and its stack kept for the next.
        assert!(late.threads <= early.threads + 1, "{both}");
        assert!(late.mappings <= early.mappings + 4, "{both}");
        // A pool that was kept would have some 100 KiB.
        assert!(late.resident_kib <= early.resident_kib + 2048, "{both}");
    });
}

/// Python's counterpart is about a limit of Windows, which is not here.
///
/// Python loky's `test_no_crash_max_workers_on_windows`.
#[test]
fn seventy_workers_run_calls_together() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(70).build().unwrap();
        let held = Held::new(&executor, 70);
        assert_eq!(executor.worker_pids().len(), 70);
        held.release();
        let mut pids: Vec<_> = held.futures.iter().map(|call| call.result().unwrap()).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), 70, "all at once");
        executor.resize(62).unwrap();
        assert_eq!(executor.map(square, 0..1000).filter(Result::is_ok).count(), 1000);
    });
}

#[track_caller]
fn names_the_limit(error: &Error) {
    assert!(error.is_spawn() && error.to_string().contains("RLIMIT_NOFILE"), "{error:?}");
}

#[test]
fn many_workers_with_few_descriptors_answer_calls() {
    isolated(|| {
        let before = limit(libc::RLIMIT_NOFILE, 200);
        let executor = ProcessPoolExecutor::builder().max_workers(300).build().unwrap();
        names_the_limit(&executor.prewarm().unwrap_err());
        // With those that could be started it works.
        assert!(!executor.is_broken());
        for x in 0..1000 {
            assert_eq!(executor.submit(square, x).result().unwrap(), x * x);
        }
        assert!(executor.worker_pids().len() > 20, "{:?}", executor.stats());
        limit(libc::RLIMIT_NOFILE, before.max(1024));
        executor.prewarm().unwrap();
        assert_eq!(executor.worker_pids().len(), 300);
        assert!(executor.worker_pids().contains(&executor.submit(pid, ()).result().unwrap()));
    });
}
