//! Its `main` ends in the way that its first argument says, with calls that are not over then. They go on when there is a file
//! `go` in the folder that is its second argument, and leave a file each.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loky::{Future, ProcessPoolExecutor, Reuse, Shutdown};
use loky_tests::{tasks, until};

/// Waits for `go`, and leaves a file of this name.
#[loky::task]
fn leave(folder: PathBuf, name: String) {
    wait_for_go(&folder);
    std::fs::write(folder.join(name), "").unwrap();
}

fn wait_for_go(folder: &Path) {
    until("it may go on", Duration::from_secs(100), || folder.join("go").exists());
}

/// Waits for `go`, and prints.
#[loky::task]
fn print(folder: PathBuf, text: String) {
    wait_for_go(&folder);
    println!("{text}");
}

/// Has the worker's own reusable executor leave a file, and does not wait for it.
#[loky::task]
fn leave_below(folder: PathBuf, name: String) {
    let _below = reusable(2).submit(leave, (folder, name));
}

fn reusable(max_workers: usize) -> ProcessPoolExecutor {
    loky::reusable_executor().max_workers(max_workers).get().unwrap()
}

fn own(max_workers: usize) -> ProcessPoolExecutor {
    ProcessPoolExecutor::builder().max_workers(max_workers).build().unwrap()
}

fn leave_several(executor: &ProcessPoolExecutor, folder: &Path, names: std::ops::Range<u32>) {
    for name in names {
        let _never_read = executor.submit(leave, (folder.to_owned(), name.to_string()));
    }
}

/// Two calls that never end, both running.
fn block() {
    let executor = reusable(2);
    let calls = [(); 2].map(|()| executor.submit(tasks::block, ()));
    let is_running = || calls.iter().all(Future::is_running);
    until("calls that run", Duration::from_secs(60), is_running);
}

/// How many calls of those threads were finished.
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// Uses the reusable executor for ever.
fn keep_asking() {
    loop {
        // Either may fail when the program ends.
        let executor = loky::reusable_executor().max_workers(2).get();
        if executor.is_ok_and(|executor| executor.submit(tasks::pid, ()).result().is_ok()) {
            ASKED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

thread_local! {
    static KEPT: Cell<Option<ProcessPoolExecutor>> = const { Cell::new(None) };
}

static EXECUTOR: OnceLock<ProcessPoolExecutor> = OnceLock::new();

loky::main! {
    fn main() -> Result<(), String> {
        let mut args = std::env::args().skip(1);
        let (way, folder) = (args.next().unwrap(), PathBuf::from(args.next().unwrap()));
        match way.as_str() {
            "return" | "error" => leave_several(&reusable(2), &folder, 0..8),
            "no wait" | "own no wait" => {
                // In a static, since the end of the last handle waits.
                let executor = EXECUTOR.get_or_init(|| if way == "no wait" { reusable(2) } else { own(2) });
                let _apple = executor.submit(print, (folder, "apple".to_owned()));
                executor.shutdown(Shutdown::NoWait);
            }
            "static" => leave_several(EXECUTOR.get_or_init(|| own(2)), &folder, 0..8),
            "replaced" => {
                leave_several(&reusable(2), &folder, 0..4);
                let other = loky::reusable_executor().max_workers(1).reuse(Reuse::No).get().unwrap();
                leave_several(&other, &folder, 4..8);
            }
            "below" => {
                let name = |name: u32| (folder.clone(), name.to_string());
                let calls = (0..8).map(|it| reusable(2).submit(leave_below, name(it)));
                calls.for_each(|call| call.result().unwrap());
            }
            "callback" => {
                let call = reusable(2).submit(leave, (folder.clone(), "0".to_owned()));
                leave_several(&reusable(2), &folder, 1..7);
                call.add_done_callback(move |_| {
                    // The end has begun by now, or is about to.
                    until("calls are refused", Duration::from_secs(60), || {
                        let late = reusable(2).submit(tasks::add, (1, 2));
                        late.error().is_some_and(|error| error.is_shutdown_executor())
                    });
                    leave(folder.clone(), "7".to_owned());
                });
            }
            "observed" => {
                // In the end only its own observer has a handle of it.
                let holder = Arc::new(OnceLock::new());
                let held = Arc::clone(&holder);
                let builder = ProcessPoolExecutor::builder().max_workers(2);
                let executor = builder.observer(move |_| _ = held.get()).build().unwrap();
                leave_several(&executor, &folder, 0..8);
                holder.set(executor).unwrap();
            }
            "kept" => {
                // In the end only its own thread has a handle of it, which goes when that thread does.
                let executor = own(2);
                leave_several(&executor, &folder, 0..7);
                let call = executor.submit(leave, (folder, "7".to_owned()));
                let last = executor.clone();
                call.add_done_callback(move |_| KEPT.set(Some(last)));
            }
            "tangled" => {
                // The end of one executor waits for a call of another, which never ends.
                let blocked = EXECUTOR.get_or_init(|| own(1)).submit(tasks::block, ());
                let waiter = blocked.clone();
                let is_waiting = Arc::new(AtomicUsize::new(0));
                let waits = Arc::clone(&is_waiting);
                let other = reusable(1).submit(tasks::add, (1, 2));
                other.add_done_callback(move |_| {
                    waits.store(1, Ordering::Relaxed);
                    drop(waiter.result());
                });
                let is_tangled = || blocked.is_running() && is_waiting.load(Ordering::Relaxed) == 1;
                until("they are tangled", Duration::from_secs(60), is_tangled);
                panic!("the program ends in a panic");
            }
            "threads" => {
                // They are not joined: they end with the program.
                (0..8).for_each(|_| drop(std::thread::spawn(keep_asking)));
                until("they work", Duration::from_secs(60), || ASKED.load(Ordering::Relaxed) > 2);
            }
            "panic" => {
                block();
                panic!("the program ends in a panic");
            }
            "exit" => {
                block();
                std::process::exit(5);
            }
            other => panic!("no way to end: {other:?}"),
        }
        println!("the end of main");
        if way == "error" { Err("an error of the program".to_owned()) } else { Ok(()) }
    }
}
