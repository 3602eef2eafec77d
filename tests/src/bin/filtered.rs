//! Uses executors where a system-call filter forbids what its first argument names: `memfd` or `seals`. With the second
//! argument as the error number that the kernel answers with. Exits with code 0 if everything works over the stream.
#![expect(unsafe_code, reason = "std installs no filters of system calls")]

use std::time::Duration;

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
use loky::{ErrorKind, Execution, ProcessPoolExecutor};
use loky_tests::{Event, tasks, until};

/// `FMP` of the kernel: the offsets of `struct seccomp_data`. The low half of an argument comes first or second.
const NUMBER: u32 = 0;
const SECOND_ARGUMENT: u32 = 16 + 8 + if cfg!(target_endian = "big") { 4 } else { 0 };

/// How long anything may take here.
const LIMIT: Duration = Duration::from_secs(60);

#[loky::task]
fn reversed(mut values: Vec<u64>) -> Vec<u64> {
    values.reverse();
    values
}

fn load(offset: u32) -> libc::sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).unwrap(), jt: 0, jf: 0, k }
}

/// Goes on behind the next `skipped` instructions unless what was loaded is `value`.
fn unless(value: u32, skipped: u8) -> libc::sock_filter {
    libc::sock_filter { jf: skipped, ..statement(BPF_JMP | BPF_JEQ | BPF_K, value) }
}

/// Has a system call fail with `errno` from now on, in this thread and all that it starts, processes included.
fn forbid(what: &str, errno: i32) {
    let number = |number: libc::c_long| u32::try_from(number).unwrap();
    let deny = statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs());
    let allow = statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW);
    let mut filter = match what {
        "memfd" => vec![load(NUMBER), unless(number(libc::SYS_memfd_create), 1), deny, allow],
        "seals" => vec![
            load(NUMBER),
            unless(number(libc::SYS_fcntl), 3),
            load(SECOND_ARGUMENT),
            unless(libc::F_ADD_SEALS.unsigned_abs(), 1),
            deny,
            allow,
        ],
        other => panic!("no filter `{other}`"),
    };
    let program =
        libc::sock_fprog { len: u16::try_from(filter.len()).unwrap(), filter: filter.as_mut_ptr() };
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the kernel copies the program, which is alive until it has.
    let installed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(installed, 0, "{}", std::io::Error::last_os_error());
}

/// Whether a memfd can be had, with a seal on it.
fn has_sealed_memfd() -> bool {
    // SAFETY: a string that ends in a zero, and flags.
    let fd = unsafe { libc::memfd_create(c"probe".as_ptr(), libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return false;
    }
    // SAFETY: plain numbers.
    let is_sealed = unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_GROW) } == 0;
    // SAFETY: The descriptor is ours alone.
    unsafe { libc::close(fd) };
    is_sealed
}

fn check_calls(executor: &ProcessPoolExecutor) {
    assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
    let calls: Vec<_> = (0..300).map(|a| executor.submit(tasks::add, (a, 1))).collect();
    for (a, call) in (0..).zip(&calls) {
        assert_eq!(call.result().unwrap(), a + 1);
    }
    let sums = executor.map(tasks::add, (0..2000).map(|a| (a, a)));
    assert!(sums.map(Result::unwrap).eq((0..2000).map(|a| 2 * a)));
}

fn check_large_values(executor: &ProcessPoolExecutor) {
    for length in [8 << 10, 200 << 10, 2 << 20] {
        let values: Vec<u64> = (0..length).collect();
        let back = executor.submit(reversed, values.clone()).result().unwrap();
        assert!(back.iter().rev().eq(&values));
    }
}

fn check_crashes(executor: &ProcessPoolExecutor) {
    let gate = Event::new();
    let running = executor.submit(tasks::wait, gate.clone());
    until("a call that runs", LIMIT, || running.is_running());
    assert!(!running.cancel());
    let crashed = executor.submit(tasks::die, "bye".into()).error().unwrap();
    assert_eq!(crashed.kind(), ErrorKind::TerminatedWorker, "{crashed}");
    assert_eq!(crashed.execution(), Execution::Started, "{crashed}");
    let queued: Vec<_> = (0..10).map(|a| executor.submit(tasks::add, (a, 1))).collect();
    assert!(queued.iter().all(|call| call.result().is_ok()));
    gate.set();
    running.result().unwrap();
}

fn check_cancels(executor: &ProcessPoolExecutor) {
    let gate = Event::new();
    let running = [(); 2].map(|()| executor.submit(tasks::wait, gate.clone()));
    until("calls that run", LIMIT, || running.iter().all(loky::Future::is_running));
    let queued = executor.submit(tasks::add, (1, 1));
    assert!(queued.cancel());
    assert_eq!(queued.error().unwrap().execution(), Execution::NotStarted);
    gate.set_for(2);
    assert!(running.iter().all(|call| call.result().is_ok()));
}

loky::main! {
    fn main() {
        let mut args = std::env::args().skip(1);
        let what = args.next().expect("what is forbidden");
        let errno = args.next().and_then(|text| text.parse().ok()).expect("an error number");
        assert!(has_sealed_memfd());
        forbid(&what, errno);
        assert!(!has_sealed_memfd(), "the filter works");

        let builder = ProcessPoolExecutor::builder().max_workers(2);
        let executor = builder.stderr(loky::Stdio::Null).build().unwrap();
        check_calls(&executor);
        check_large_values(&executor);
        check_crashes(&executor);
        check_cancels(&executor);
        executor.shutdown(loky::Shutdown::Wait);
    }
}
