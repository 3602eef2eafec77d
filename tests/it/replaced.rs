//! A reusable executor that another one replaces: its handles go on serving with their settings. And which settings replace it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use loky::{
    CrashPolicy, ErrorKind, Event as Happening, Execution, ProcessPoolExecutor, ReusableBuilder,
    Reuse, Shutdown,
};
use loky_tests::deed::{Deed, perform};
use loky_tests::held::Held;
use loky_tests::limits::limit;
use loky_tests::pools::{assert_serves, reusable};
use loky_tests::tasks::{pid, square};
use loky_tests::time::LONG;
use loky_tests::{Census, children_of, is_alive, isolated, tasks, until};

const WORD: &str = "LOKY_TESTS_WORD";

/// With one setting that can be told in the workers.
fn worded(word: &str) -> ReusableBuilder {
    reusable(2).env(WORD, word)
}

/// Returns that setting as a worker of this executor has it.
#[track_caller]
fn word_of(executor: &ProcessPoolExecutor) -> Option<OsString> {
    executor.submit(tasks::variable, WORD.into()).result().unwrap()
}

/// Waits until this process is as empty as it was, and a pool that ends in the background is gone with all that it had.
#[track_caller]
fn until_as_before(before: &Census) {
    until("nothing is left", LONG, || Census::take() == *before);
}

fn end<const N: usize>(executors: [ProcessPoolExecutor; N]) {
    executors.iter().for_each(|executor| executor.shutdown(Shutdown::Wait));
}

#[test]
fn get_does_not_wait_for_calls_of_old_executor() {
    isolated(|| {
        let old = worded("old").get().unwrap();
        let held = Held::new(&old, 2);
        let behind = old.submit(tasks::variable, WORD.into());
        let new = worded("new").get().unwrap();
        assert_ne!(new.id(), old.id());
        assert_eq!(word_of(&new).unwrap(), "new");
        assert!(
            !old.is_shutdown() && !behind.is_done() && held.futures.iter().all(|it| !it.is_done())
        );
        let later = old.submit(tasks::variable, WORD.into());
        held.release();
        assert!(held.futures.iter().all(|future| future.result().is_ok()));
        for call in [behind, later] {
            assert_eq!(call.result().unwrap().unwrap(), "old");
        }
        // It is as good as ever, its size included.
        old.resize(3).unwrap();
        old.prewarm().unwrap();
        assert_eq!((old.worker_pids().len(), new.max_workers()), (3, 2));
        assert_eq!(word_of(&old).unwrap(), "old");
        // The old settings are those of no executor that could be had.
        let third = worded("old").get().unwrap();
        assert!(third.id() != old.id() && third.id() != new.id());
        assert_eq!(word_of(&new).unwrap(), "new");
        end([old, new, third]);
    });
}

#[test]
fn old_executor_without_handles_ends_after_its_calls() {
    isolated(|| {
        let before = Census::take();
        let old = worded("old").get().unwrap();
        let held = Held::new(&old, 2);
        let behind: Vec<_> = (0..10).map(|x| old.submit(square, x)).collect();
        let workers = old.worker_pids();
        drop(old);
        let new = worded("new").get().unwrap();
        assert_serves(&new);
        assert!(behind.iter().all(|future| !future.is_done()));
        assert!(workers.iter().all(|worker| is_alive(*worker)));
        held.release();
        for (x, future) in (0..).zip(&behind) {
            assert_eq!(future.result().unwrap(), square(x));
        }
        new.prewarm().unwrap(); // It serves as soon as one worker is up, and the other may not be started yet.
        let news: BTreeSet<_> = new.worker_pids().into_iter().collect();
        until("the old workers are gone", LONG, || {
            let children = children_of(process::id()).into_iter().map(|child| child.pid);
            children.collect::<BTreeSet<_>>() == news
        });
        assert_serves(&new);
        new.shutdown(Shutdown::Wait);
        assert!(held.futures.iter().all(|future| future.result().is_ok()), "futures outlive it");
        drop((new, held));
        until_as_before(&before);
    });
}

#[test]
fn drop_of_last_old_handle_waits_for_calls() {
    isolated(|| {
        let old = worded("old").get().unwrap();
        let clone = old.clone();
        let workers = [(); 2].map(|()| old.submit(pid, ()).result().unwrap());
        let new = worded("new").get().unwrap();
        drop(clone);
        assert_serves(&old);
        let calls: Vec<_> = (0..100).map(|x| old.submit(square, x)).collect();
        drop(old);
        assert!(calls.iter().all(loky::Future::is_done));
        assert!(!workers.into_iter().any(is_alive));
        assert_serves(&new);
        new.shutdown(Shutdown::Wait);
    });
}

/// Python loky's `test_kill_workers_on_new_options`.
#[test]
fn kill_workers_kills_old_executor() {
    isolated(|| {
        let old = worded("old").get().unwrap();
        let held = Held::new(&old, 2);
        let behind = old.submit(square, 3);
        let workers = old.worker_pids();
        let new = worded("new").kill_workers(true).get().unwrap();
        assert_ne!(new.id(), old.id());
        assert!(!workers.into_iter().any(is_alive), "it has waited for that");
        for (error, execution) in [
            (held.futures[0].error(), Execution::Started),
            (held.futures[1].error(), Execution::Started),
            (behind.error(), Execution::NotStarted),
            (old.submit(square, 3).error(), Execution::NotStarted),
            (old.prewarm().err(), Execution::NotStarted),
        ] {
            let error = error.unwrap();
            assert_eq!((error.kind(), error.execution()), (ErrorKind::ShutdownExecutor, execution));
        }
        assert!(old.is_shutdown() && !old.is_broken());
        assert_eq!(word_of(&new).unwrap(), "new");
        // It is no setting: an equal executor is not killed.
        assert_eq!(worded("new").kill_workers(true).get().unwrap().id(), new.id());
        assert_serves(&new);
        new.shutdown(Shutdown::Wait);
    });
}

#[test]
fn reuse_no_makes_new_executor() {
    isolated(|| {
        let get = || reusable(1).reuse(Reuse::No).get().unwrap();
        let executors = [get(), get(), get()];
        let ids: BTreeSet<_> = executors.iter().map(ProcessPoolExecutor::id).collect();
        assert_eq!(ids.len(), 3);
        executors.iter().for_each(assert_serves);
        let current = reusable(1).get().unwrap();
        assert_eq!(current.id(), executors[2].id());
        end(executors);
        assert!(current.is_shutdown());
    });
}

#[test]
fn equal_settings_in_any_order_reuse_executor() {
    isolated(|| {
        let variables = [("LOKY_TESTS_A", "1"), ("LOKY_TESTS_B", "2")];
        let executor = reusable(1).envs(variables).max_tasks_per_worker(1000).get().unwrap();
        let [a, b] = variables;
        for builder in [
            reusable(1).max_tasks_per_worker(1000).env(b.0, b.1).env(a.0, a.1),
            reusable(1)
                .env(a.0, "3")
                .max_tasks_per_worker(9)
                .envs([b, a])
                .max_tasks_per_worker(1000),
            // All of these are the defaults.
            reusable(1)
                .envs(variables)
                .on_worker_crash(CrashPolicy::Heal)
                .stdout(loky::Stdio::Inherit)
                .memory_growth_limit(300_000_000)
                .max_tasks_per_worker(1000),
        ] {
            assert_eq!(builder.get().unwrap().id(), executor.id());
        }
        executor.shutdown(Shutdown::Wait);
    });
}

#[test]
fn changed_setting_makes_new_executor() {
    isolated(|| {
        let second = std::time::Duration::from_secs(1);
        let change: [fn(ReusableBuilder) -> ReusableBuilder; 13] = [
            |it| it.env(WORD, "x"),
            |it| it.env(WORD, "y"),
            |it| it.worker_env(WORD, ["x"]),
            |it| it.inner_threads(1),
            |it| it.max_tasks_per_worker(10),
            |it| it.memory_growth_limit(None),
            |it| it.on_worker_crash(CrashPolicy::BreakPool),
            |it| it.stdout(loky::Stdio::Null),
            |it| it.stderr(loky::Stdio::Capture),
            |it| it.current_dir("/"),
            |it| it.worker_exe("/proc/self/exe"),
            |it| it.initializer(remember, 1),
            |it| it.observer(|_| {}),
        ];
        let mut builders =
            vec![reusable(1), reusable(1).idle_timeout(second), reusable(1).init_timeout(second)];
        builders.extend(change.map(|change| change(reusable(1))));
        let mut ids = BTreeSet::new();
        for builder in &builders {
            let executor = builder.clone().get().unwrap();
            assert!(ids.insert(executor.id()), "{builder:?}");
            assert_eq!(builder.clone().get().unwrap().id(), executor.id(), "{builder:?}");
        }
        reusable(1).get().unwrap().shutdown(Shutdown::Wait);
    });
}

static STATE: AtomicU64 = AtomicU64::new(0);

#[loky::task]
fn remember(number: u64) {
    assert_eq!(STATE.swap(number, Ordering::Relaxed), 0, "it runs once in each worker");
}

#[loky::task]
fn remembered() -> (u32, u64) {
    (process::id(), STATE.load(Ordering::Relaxed))
}

/// Insists that all workers of this executor remember this number.
#[track_caller]
fn assert_all_remember(executor: &ProcessPoolExecutor, number: u64) {
    executor.prewarm().unwrap();
    let found: Vec<_> = (0..50).map(|_| executor.submit(remembered, ())).collect();
    let found: BTreeSet<_> = found.iter().map(|future| future.result().unwrap()).collect();
    assert!(!found.is_empty() && found.iter().all(|(_, found)| *found == number), "{found:?}");
}

/// Python loky's `test_reusable_initializer`.
#[test]
fn initializer_is_part_of_settings() {
    isolated(|| {
        let with = |number: u64| reusable(2).initializer(remember, number);
        let first = with(42).get().unwrap();
        assert_all_remember(&first, 42);
        // Equal settings: reused, and workers that come later have it too.
        let same = with(42).max_workers(4).get().unwrap();
        assert_eq!(same.id(), first.id());
        let held = Held::new(&same, 4);
        held.release();
        assert_all_remember(&same, 42);
        assert_eq!(with(42).get().unwrap().id(), first.id());

        let other = with(43).get().unwrap();
        assert_ne!(other.id(), first.id());
        assert_all_remember(&other, 43);
        assert_all_remember(&first, 42);

        let kept = reusable(2).reuse(Reuse::Yes).get().unwrap();
        assert_eq!(kept.id(), other.id());
        assert_all_remember(&kept, 43);

        let without = reusable(2).get().unwrap();
        assert_ne!(without.id(), other.id());
        assert_all_remember(&without, 0);
        end([first, other, without]);
    });
}

#[loky::task]
fn refuse(why: String) -> Result<(), String> {
    Err(why)
}

#[test]
fn executor_with_failed_initializer_is_replaced() {
    isolated(|| {
        let with = || reusable(1).initializer(refuse, "not today".to_owned());
        let [first, second] = [(); 2].map(|()| {
            let executor = with().get().unwrap();
            let error = executor.submit(square, 3).result().unwrap_err();
            assert!(error.is_broken_process_pool() && error.to_string().contains("not today"));
            executor
        });
        assert_ne!(first.id(), second.id());
        let fine = reusable(1).get().unwrap();
        assert_serves(&fine);
        end([first, second, fine]);
    });
}

#[test]
fn broken_executor_is_replaced() {
    isolated(|| {
        for reuse in [Reuse::Auto, Reuse::Yes] {
            let get = || {
                let builder = reusable(1).on_worker_crash(CrashPolicy::BreakPool);
                builder.reuse(reuse).get().unwrap()
            };
            let broken = get();
            assert!(broken.submit(perform, Deed::Abort).error().unwrap().is_terminated_worker());
            assert!(broken.is_broken());
            let new = get();
            assert_ne!(new.id(), broken.id());
            assert_serves(&new);
            let error = broken.submit(square, 3).error().unwrap();
            assert!(error.is_broken_process_pool(), "{error}");
            new.shutdown(Shutdown::Wait);
            broken.shutdown(Shutdown::Wait);
        }
    });
}

#[test]
fn shut_down_executor_is_replaced() {
    isolated(|| {
        for how in [Shutdown::Wait, Shutdown::NoWait, Shutdown::CancelPending, Shutdown::Kill] {
            for reuse in [Reuse::Auto, Reuse::Yes] {
                let get = || reusable(1).reuse(reuse).get().unwrap();
                let old = get();
                assert_eq!(old.submit(square, 3).result().unwrap(), 9);
                old.shutdown(how);
                let new = get();
                assert_ne!(new.id(), old.id());
                assert_serves(&new);
                // It is not the one that is there any more.
                old.shutdown(Shutdown::Wait);
                assert_eq!(get().id(), new.id());
                new.shutdown(Shutdown::Wait);
            }
        }
    });
}

#[test]
fn replacement_is_told_to_observer() {
    isolated(|| {
        let (sender, events) = mpsc::channel();
        let observed = reusable(1).observer(move |event| {
            if let Happening::Replaced { by, .. } = event {
                sender.send(*by).unwrap();
            }
        });
        let old = observed.clone().get().unwrap();
        assert_eq!(observed.get().unwrap().id(), old.id(), "clones of one builder are equal");
        assert_serves(&old);
        let new = reusable(1).get().unwrap();
        assert_eq!(events.recv_timeout(LONG).unwrap(), new.id());
        assert_serves(&old);
        old.shutdown(Shutdown::Wait);
        assert_eq!(events.iter().next(), None, "once; and the observer is gone");
        new.shutdown(Shutdown::Wait);
    });
}

#[test]
fn observer_is_dropped_when_executor_ends() {
    isolated(|| {
        let before = Census::take();
        for is_used in [false, true] {
            for is_replaced in [false, true] {
                let (sender, events) = mpsc::channel();
                let observer = move |event: &Happening| sender.send(format!("{event:?}")).unwrap();
                let executor = reusable(1).observer(observer).get().unwrap();
                if is_used {
                    assert_serves(&executor);
                }
                if is_replaced {
                    drop(executor);
                    reusable(1).get().unwrap();
                } else {
                    executor.shutdown(Shutdown::Wait);
                }
                // Ends with its sender, and hangs otherwise.
                let events: Vec<_> = events.iter().collect();
                assert_eq!(events.iter().any(|it| it.starts_with("ShutDown")), is_used);
                let tells = events.iter().any(|it| it.starts_with("Replaced"));
                assert_eq!(tells, is_used && is_replaced);
            }
        }
        reusable(1).get().unwrap().shutdown(Shutdown::Wait);
        until_as_before(&before);
    });
}

/// On a thread of the old one, which cannot wait for its end.
#[test]
fn callback_may_replace_its_executor() {
    isolated(|| {
        for kill_workers in [false, true] {
            let old = worded("old").get().unwrap();
            let (sender, found) = mpsc::channel();
            let call = old.submit(square, 3);
            call.add_done_callback(move |call| {
                let new = worded("new").kill_workers(kill_workers).get().unwrap();
                sender.send((call.result().unwrap(), new.id(), word_of(&new))).unwrap();
            });
            let (nine, id, word) = found.recv_timeout(LONG).unwrap();
            assert_eq!((nine, word.unwrap()), (9, "new".into()));
            let new = worded("new").get().unwrap();
            assert_eq!(new.id(), id);
            assert_eq!(old.is_shutdown(), kill_workers);
            end([old, new]);
        }
    });
}

/// The end of the last handle, in a callback, waits for nothing either.
#[test]
fn callback_may_hold_last_handle_of_old_executor() {
    isolated(|| {
        let before = Census::take();
        let old = worded("old").get().unwrap();
        let held = Held::new(&old, 1);
        let new = worded("new").get().unwrap();
        let (sender, found) = mpsc::channel();
        held.futures[0].add_done_callback(move |_| {
            assert_serves(&old);
            drop(old);
            sender.send(()).unwrap();
        });
        held.release();
        found.recv_timeout(LONG).unwrap();
        assert_serves(&new);
        new.shutdown(Shutdown::Wait);
        drop((new, held));
        until_as_before(&before);
    });
}

#[test]
fn observer_may_ask_for_executor() {
    isolated(|| {
        let (sender, found) = mpsc::channel();
        let observer = move |event: &Happening| {
            if let Happening::Replaced { by, .. } = event {
                let current = reusable(1).reuse(Reuse::Yes).get().unwrap();
                sender.send((*by, current.id(), current.submit(square, 3).result().ok())).unwrap();
            }
        };
        let old = reusable(1).observer(observer).get().unwrap();
        assert_serves(&old);
        let new = reusable(1).get().unwrap();
        assert_eq!(found.recv_timeout(LONG).unwrap(), (new.id(), new.id(), Some(9)));
        end([old, new]);
    });
}

fn no_task(_x: u64) {}

#[test]
fn invalid_settings_are_errors_and_replace_nothing() {
    isolated(|| {
        let executor = reusable(1).get().unwrap();
        for (builder, kind, text) in [
            (reusable(1).initializer(no_task, 1), ErrorKind::NotATask, "no_task"),
            (reusable(1).env("A=B", ""), ErrorKind::InvalidConfig, "`env`"),
            (reusable(1).inner_threads(0), ErrorKind::InvalidConfig, "`inner_threads`"),
            (reusable(1).max_tasks_per_worker(0), ErrorKind::InvalidConfig, "max_tasks"),
        ] {
            for reuse in [Reuse::Auto, Reuse::Yes, Reuse::No] {
                let error = builder.clone().reuse(reuse).get().unwrap_err();
                assert_eq!(error.kind(), kind);
                assert!(error.to_string().contains(text), "{error}");
            }
        }
        assert_eq!(reusable(1).get().unwrap().id(), executor.id());
        assert_serves(&executor);
        executor.shutdown(Shutdown::Wait);
    });
}

/// Asks for the executor when it goes.
struct AsksAtItsEnd;

impl Drop for AsksAtItsEnd {
    fn drop(&mut self) {
        drop(reusable(1).get());
    }
}

/// No lock is held when the settings go that no executor could be made of, and what is the user's with them.
#[test]
fn drop_of_unused_settings_may_ask_for_executor() {
    isolated(|| {
        let before = limit(libc::RLIMIT_NOFILE, 3);
        let asks = AsksAtItsEnd;
        let error = reusable(1).observer(move |_| _ = &asks).get().unwrap_err();
        limit(libc::RLIMIT_NOFILE, before);
        assert!(error.is_io(), "{error:?}");
    });
}
