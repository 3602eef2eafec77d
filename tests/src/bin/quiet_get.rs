//! Asks for the reusable executor again and again, with nothing changed, where every system call but those that it ends with is
//! deadly. Its first argument says whether the executor has workers, its second which settings it has, or that it is to be `loud`.
#![expect(unsafe_code, reason = "a filter of system calls has no safe wrapper")]

use std::fs;
use std::thread;
use std::time::Duration;

use libc::{sock_filter, sock_fprog};
use loky::ProcessPoolExecutor;
use loky_tests::{tasks, until};

/// How often it asks. The first ones, which may take memory from the system, are free.
const TIMES: usize = 10_000;

#[loky::task]
fn learn(_number: u64) {}

fn plain() -> ProcessPoolExecutor {
    loky::get_reusable_executor().unwrap()
}

fn with_settings() -> ProcessPoolExecutor {
    let builder = loky::reusable_executor().max_workers(2).env("LOKY_TESTS_WORD", "quiet");
    builder.idle_timeout(Duration::from_secs(1000)).initializer(learn, 1).get().unwrap()
}

/// How often the other threads of this process have run.
fn runs_of_others() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    let others = threads.filter(|path| !path.ends_with(std::process::id().to_string()));
    let counts = others.filter_map(|path| {
        let status = fs::read_to_string(path.join("status")).ok()?;
        status.lines().find(|line| line.starts_with("voluntary")).map(str::to_owned)
    });
    counts.collect()
}

/// Waits until the pool's thread sleeps, which else might have the pool's lock in its hands at the wrong moment.
fn until_others_sleep() {
    until("the others sleep", Duration::from_secs(60), || {
        let before = runs_of_others();
        thread::park_timeout(Duration::from_millis(50));
        runs_of_others() == before
    });
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// From here on this thread may write and exit. Whatever else it asks of the system kills the process.
fn forbid() {
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let number = |call: libc::c_long| u32::try_from(call).unwrap();
    let mut program = [
        step(LOAD, 0, 0, 0), // The number of the call.
        step(JUMP_IF_EQUAL, 2, 0, number(libc::SYS_write)),
        step(JUMP_IF_EQUAL, 1, 0, number(libc::SYS_exit_group)),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: plain numbers.
    let is_bound = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(is_bound, 0);
    // SAFETY: the filter and what it points to live until the call returns.
    let is_set =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    assert_eq!(is_set, 0, "{}", std::io::Error::last_os_error());
}

/// Gets the executor again, which does not change.
fn ask(get: fn() -> ProcessPoolExecutor, id: u64) -> bool {
    (0..TIMES).all(|_| get().id() == id)
}

loky::main! {
    fn main() {
        let mut args = std::env::args().skip(1);
        let has_workers = args.next().as_deref() == Some("workers");
        let settings = args.next();
        let get = if settings.as_deref() == Some("settings") { with_settings } else { plain };
        let executor = get();
        if has_workers {
            executor.prewarm().unwrap();
            assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
        }
        assert!(ask(get, executor.id()));
        until_others_sleep();
        forbid();
        if settings.as_deref() == Some("loud") {
            // SAFETY: it takes nothing. This ends the process, if the filter is worth something.
            unsafe { libc::getppid() };
        }
        let is_same = ask(get, executor.id());
        let text = if is_same { "quiet" } else { "other" };
        // SAFETY: the text is there, and has this length.
        unsafe { libc::write(libc::STDOUT_FILENO, text.as_ptr().cast(), text.len()) };
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) }
    }
}
