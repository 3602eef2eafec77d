//! Shared memory in calls: handles travel inside of arguments and results, to nested workers and back. No process can change it.
//! It goes with its last handle, whatever dies. A fault in it is an error of that call only.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{process, ptr, thread};

use loky::shared::{SharedBytes, SharedSlice, SharedSliceMut};
use loky::{Execution, ProcessPoolExecutor};
use loky_tests::deed::Deed;
use loky_tests::held::busy;
use loky_tests::limits::{limit_descriptors, names_the_limit};
use loky_tests::signal::{kill, stop};
use loky_tests::tasks::double;
use loky_tests::time::LONG;
use loky_tests::{isolated, until};
use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn executor(max_workers: usize) -> ProcessPoolExecutor {
    ProcessPoolExecutor::builder().max_workers(max_workers).build().unwrap()
}

fn shared(bytes: &[u8]) -> SharedBytes {
    SharedBytes::from_slice(bytes).unwrap()
}

/// Makes `n` different slices.
fn many(n: u32) -> Vec<SharedSlice<u32>> {
    (0..n).map(|i| SharedSlice::from_slice(&[i]).unwrap()).collect()
}

/// The descriptors of shared memory that this process has.
fn own_descriptors() -> Vec<RawFd> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc");
    let fds = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_shared = |fd: &RawFd| {
        let target = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        target.to_string_lossy().contains("memfd:loky-shared")
    };
    fds.filter(is_shared).collect()
}

/// How many mappings of shared memory this process has.
fn own_mappings() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
    maps.lines().filter(|line| line.contains("memfd:loky-shared")).count()
}

/// Descriptors and mappings of shared memory in the worker.
#[loky::task]
fn held() -> (usize, usize) {
    (own_descriptors().len(), own_mappings())
}

#[loky::task]
fn sum(bytes: SharedBytes) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[loky::task]
fn scale(numbers: SharedSlice<f64>, by: f64) -> SharedSlice<f64> {
    let mut scaled = SharedSliceMut::zeroed(numbers.len()).expect("memory");
    scaled.iter_mut().zip(&numbers).for_each(|(scaled, number)| *scaled = number * by);
    scaled.freeze().expect("this is the only handle")
}

#[test]
fn shared_arguments_and_results_arrive() {
    isolated(|| {
        let executor = executor(2);
        assert_eq!(executor.submit(sum, shared(&[])).result().unwrap(), 0);
        assert_eq!(executor.submit(sum, shared(&[1, 2, 3])).result().unwrap(), 6);
        let large = SharedBytes::from_vec(vec![1; 64 << 20]).unwrap();
        assert_eq!(executor.submit(sum, large).result().unwrap(), 64 << 20);

        let numbers = SharedSlice::from_slice(&[0.5, 1.0, f64::INFINITY]).unwrap();
        let call = executor.submit(scale, (numbers.clone(), 2.0));
        let [first, second] = [(); 2].map(|()| call.result().unwrap());
        assert_eq!(*first, [1.0, 2.0, f64::INFINITY]);
        drop((call, first));
        assert_eq!(*second, [1.0, 2.0, f64::INFINITY]);
        assert_eq!(*numbers, [0.5, 1.0, f64::INFINITY]);

        let parts = [vec![1_u8, 2], vec![], vec![5; 100_000]].map(|part| shared(&part));
        let sums: Vec<_> = executor.map(sum, parts).collect::<Result<_, _>>().unwrap();
        assert_eq!(sums, [3, 0, 500_000]);
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Points { name: String, points: SharedSlice<[f32; 2]> },
    Many(Vec<Self>),
}

type Mixed = (HashMap<String, SharedBytes>, Option<Option<SharedBytes>>, Shape);

#[loky::task]
fn echo(mixed: Mixed) -> Mixed {
    mixed
}

#[loky::task]
fn echo_all(all: Vec<SharedSlice<u32>>) -> Vec<SharedSlice<u32>> {
    all
}

#[test]
fn shared_slices_inside_other_values_arrive() {
    isolated(|| {
        let executor = executor(1);
        let points = SharedSlice::from_slice(&[[1.0, 2.0], [3.0, 4.0]]).unwrap();
        let points = Shape::Points { name: "p".to_owned(), points };
        let map = HashMap::from([("a".to_owned(), shared(b"a")), ("b".to_owned(), shared(b""))]);
        let mixed: Mixed =
            (map, Some(None), Shape::Many(vec![points.clone(), Shape::Empty, points]));
        assert_eq!(executor.submit(echo, mixed.clone()).result().unwrap(), mixed);

        for n in [0, 1, 2, 252, 253, 254, 300, 1000] {
            let all = many(n);
            let call = executor.submit(echo_all, all.clone());
            assert!(call.result().unwrap() == all, "{n}");
            assert!(call.result().unwrap() == all, "{n}, asked for again");
        }
        assert_eq!(executor.submit(held, ()).result().unwrap(), (0, 0));
    });
}

#[loky::task]
fn held_with(all: Vec<SharedBytes>) -> (usize, usize) {
    let held = (own_descriptors().len(), all.iter().map(|bytes| bytes.len()).sum());
    drop(all);
    held
}

#[test]
fn handle_used_twice_travels_once() {
    isolated(|| {
        let executor = executor(1);
        let (a, b) = (shared(b"aaa"), shared(b"b"));
        let all = vec![a.clone(), b, a.clone(), a.clone()];
        assert_eq!(executor.submit(held_with, all).result().unwrap(), (2, 10));
        let same = executor.submit(echo_twice, a).result().unwrap();
        assert_eq!(same.0, same.1);
        assert_eq!(own_descriptors().len(), 1, "that came back, once");
    });
}

#[loky::task]
fn echo_twice(bytes: SharedBytes) -> (SharedBytes, SharedBytes) {
    (bytes.clone(), bytes)
}

/// Has it passed down a number of levels of workers, and up again.
#[loky::task]
fn pass_down(bytes: SharedBytes, levels: u32) -> (SharedBytes, u32) {
    if levels == 0 {
        return (bytes, process::id());
    }
    let executor = executor(1);
    executor.submit(pass_down, (bytes, levels - 1)).result().expect("it comes back")
}

#[test]
fn shared_slice_passes_nested_worker_and_back() {
    isolated(|| {
        let executor = executor(1);
        let bytes = shared(&vec![7; 1 << 20]);
        let (back, pid) = executor.submit(pass_down, (bytes.clone(), 3)).result().unwrap();
        assert!(back == bytes && pid != executor.worker_pids()[0]);
        assert_eq!(executor.submit(held, ()).result().unwrap(), (0, 0));
    });
}

static KEPT: Mutex<Vec<SharedBytes>> = Mutex::new(Vec::new());

#[loky::task]
fn keep(bytes: SharedBytes) {
    KEPT.lock().unwrap().push(bytes);
}

#[loky::task]
fn kept() -> Vec<SharedBytes> {
    KEPT.lock().unwrap().clone()
}

#[test]
fn memory_lives_until_last_handle_goes() {
    isolated(|| {
        let executor = executor(1);
        executor.submit(keep, shared(b"kept")).result().unwrap();
        executor.submit(sum, shared(b"not kept")).result().unwrap();
        assert!(own_descriptors().is_empty() && own_mappings() == 0);
        assert_eq!(executor.submit(held, ()).result().unwrap(), (1, 1));
        let back = executor.submit(kept, ());
        assert_eq!(*back.result().unwrap()[0], *b"kept");
        assert_eq!((own_descriptors().len(), own_mappings()), (1, 0), "the future's");
        let back = back.result().unwrap();
        drop(executor);
        assert_eq!(*back[0], *b"kept");
    });
}

/// The slices come one after another, each with its own memory: in all many times what the machine has.
#[test]
fn ten_thousand_shared_calls_return_all_memory() {
    isolated(|| {
        let executor = executor(2);
        let start = Instant::now();
        let mut bytes = vec![0; 1 << 20];
        for i in 0..10_000_u32 {
            bytes[..4].copy_from_slice(&i.to_le_bytes());
            let call = executor.submit(first_and_length, shared(&bytes));
            assert_eq!(call.result().unwrap(), (i, 1 << 20));
            if i % 1000 == 0 {
                assert!(own_descriptors().is_empty() && own_mappings() == 0);
            }
            assert!(start.elapsed() < Duration::from_secs(100));
        }
        for held in [(); 4].map(|()| executor.submit(held, ())) {
            assert_eq!(held.result().unwrap(), (0, 0));
        }
    });
}

#[loky::task]
fn first_and_length(bytes: SharedBytes) -> (u32, usize) {
    (u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]), bytes.len())
}

/// Tries whatever might change it. What did not fail.
#[loky::task]
fn tamper(bytes: SharedBytes) -> Vec<String> {
    let fd = own_descriptors()[0];
    let mut done = Vec::new();
    for (what, rights, flags) in [
        ("mapped shared", libc::PROT_WRITE, libc::MAP_SHARED),
        ("mapped shared for both", libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED),
    ] {
        #[expect(unsafe_code, reason = "it is what is tested")]
        // SAFETY: a new mapping overlaps nothing.
        let map = unsafe { libc::mmap(ptr::null_mut(), bytes.len(), rights, flags, fd, 0) };
        if map != libc::MAP_FAILED {
            done.push(what.to_owned());
        }
    }
    let address = bytes.as_ptr().cast_mut().cast();
    #[expect(unsafe_code, clippy::multiple_unsafe_ops_per_block, reason = "what is tested")]
    // SAFETY: plain numbers.
    let results = unsafe {
        [
            ("written to", libc::pwrite(fd, [1_u8].as_ptr().cast(), 1, 0)),
            ("cut off", libc::ftruncate(fd, 0) as isize),
            ("made longer", libc::ftruncate(fd, 1 << 20) as isize),
            ("punched", libc::fallocate(fd, 3, 0, 1) as isize),
            ("sealed", libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_GROW) as isize),
            ("remapped", libc::madvise(address, bytes.len(), libc::MADV_REMOVE) as isize),
        ]
    };
    done.extend(results.iter().filter(|(_, it)| *it >= 0).map(|(what, _)| (*what).to_owned()));
    let again = OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{fd}"));
    if again.and_then(|mut file| std::io::Write::write_all(&mut file, &[1])).is_ok() {
        done.push("opened again, and written to".to_owned());
    }
    done
}

#[test]
fn frozen_memory_cannot_be_changed() {
    isolated(|| {
        let executor = executor(1);
        let mut filled = SharedSliceMut::<u8>::zeroed(10_000).unwrap();
        filled.fill(9);
        for bytes in [filled.freeze().unwrap(), shared(&[9; 10_000])] {
            let done = executor.submit(tamper, bytes.clone()).result().unwrap();
            assert!(done.is_empty(), "{done:?}");
            assert_eq!(*bytes, [9; 10_000]);
        }
    });
}

/// Says that it is shared memory, and of which number and length.
#[derive(Debug)]
struct Forged {
    attachment: u32,
    bytes: u64,
    of: String,
    /// The slice that it brings along in truth.
    real: Option<SharedBytes>,
}

impl Serialize for Forged {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut forged = serializer.serialize_struct("Forged", 4)?;
        forged.serialize_field("real", &self.real)?;
        forged.serialize_field("attachment", &self.attachment)?;
        forged.serialize_field("bytes", &self.bytes)?;
        forged.serialize_field("of", &self.of)?;
        forged.end()
    }
}

impl<'de> Deserialize<'de> for Forged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let real = Some(SharedBytes::deserialize(deserializer)?);
        Ok(Self { attachment: 0, bytes: 0, of: String::new(), real })
    }
}

#[loky::task]
fn take_forged(forged: Forged) -> u64 {
    forged.real.map_or(0, |bytes| bytes.len() as u64)
}

#[loky::task]
fn give_forged(attachment: u32, bytes: u64, of: String) -> Forged {
    Forged { attachment, bytes, of, real: Some(shared(b"four")) }
}

#[test]
fn forged_handle_fails_its_call_only() {
    isolated(|| {
        let executor = executor(1);
        let forged = |attachment, bytes, of: &str| Forged {
            attachment,
            bytes,
            of: of.to_owned(),
            real: Some(shared(b"four")),
        };
        assert_eq!(executor.submit(take_forged, forged(0, 4, "u8")).result().unwrap(), 4);
        let pid = executor.worker_pids();
        for (attachment, bytes, of, text) in [
            (1, 4, "u8", "number 1, where 1 came"),
            (u32::MAX, 4, "u8", "number 4294967295"),
            (0, 3, "u8", "wrong length"),
            (0, 5, "u8", "wrong length"),
            (0, u64::MAX, "u8", "wrong length"),
            (0, 4, "f32", "`f32`"),
        ] {
            let there = executor.submit(take_forged, forged(attachment, bytes, of));
            let error = there.error().unwrap();
            assert!(error.is_decode_args() && error.to_string().contains(text), "{error:?}");
            let back = executor.submit(give_forged, (attachment, bytes, of.to_owned()));
            let error = back.error().unwrap();
            assert!(error.is_decode_result() && error.to_string().contains(text), "{error:?}");
            assert_eq!(executor.submit(sum, shared(&[1, 2])).result().unwrap(), 3);
        }
        assert_eq!(executor.worker_pids(), pid);
    });
}

/// The descriptor that a worker returns instead of memory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Instead {
    MemoryWithSeals(i32),
    HugePages,
    Null,
}

impl Instead {
    fn descriptor(self) -> OwnedFd {
        let (flags, seals) = match self {
            Self::Null => return fs::File::open("/dev/null").expect("a null device").into(),
            Self::HugePages => (libc::MFD_ALLOW_SEALING | libc::MFD_HUGETLB, 0xf),
            Self::MemoryWithSeals(seals) => (libc::MFD_ALLOW_SEALING, seals),
        };
        #[expect(unsafe_code, clippy::multiple_unsafe_ops_per_block, reason = "std has none")]
        // SAFETY: plain numbers and a text that ends in zero; no other code has the descriptor.
        unsafe {
            let fd = OwnedFd::from_raw_fd(libc::memfd_create(c"hostile".as_ptr(), flags));
            assert_eq!(libc::ftruncate(fd.as_raw_fd(), 2 << 20), 0);
            assert_eq!(libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals), 0);
            fd
        }
    }
}

#[loky::task]
fn give_instead(instead: Instead) -> SharedBytes {
    let bytes = SharedBytes::from_vec(vec![0; 2 << 20]).expect("memory");
    let fd = instead.descriptor();
    #[expect(unsafe_code, reason = "a hostile worker does what it likes")]
    // SAFETY: both are open; the mapping does not depend on it.
    let replaced = unsafe { libc::dup2(fd.as_raw_fd(), own_descriptors()[0]) };
    assert!(replaced >= 0);
    bytes
}

/// The parent would be at their mercy with each read.
#[test]
fn unsealed_memory_from_worker_is_error() {
    isolated(|| {
        let executor = executor(1);
        let seals = libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_WRITE;
        for instead in [
            Instead::MemoryWithSeals(0),
            Instead::MemoryWithSeals(libc::F_SEAL_GROW | libc::F_SEAL_SHRINK),
            Instead::MemoryWithSeals(libc::F_SEAL_SHRINK | libc::F_SEAL_WRITE),
            Instead::MemoryWithSeals(libc::F_SEAL_GROW | libc::F_SEAL_WRITE),
            Instead::HugePages,
            Instead::Null,
        ] {
            let error = executor.submit(give_instead, instead).error().unwrap();
            assert!(error.is_decode_result(), "{instead:?}: {error:?}");
            assert!(error.to_string().contains("frozen memory"), "{instead:?}: {error}");
        }
        let good = executor.submit(give_instead, Instead::MemoryWithSeals(seals));
        assert_eq!(good.result().unwrap().len(), 2 << 20);
    });
}

/// Sends a message with this header and a number of descriptors, and waits to be ended for it.
#[loky::task]
fn send_descriptors(header: Vec<u8>, n_descriptors: usize) {
    let channel = loky_tests::deed::channel();
    let fds = vec![channel.as_raw_fd(); n_descriptors];
    let mut control = [0_u64; 200];
    #[expect(unsafe_code, clippy::multiple_unsafe_ops_per_block, reason = "std sends none")]
    // SAFETY: all that is pointed to outlives the call, and `control` has room for the descriptors.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        let mut bytes = libc::iovec { iov_base: header.as_ptr().cast_mut().cast(), iov_len: 24 };
        (message.msg_iov, message.msg_iovlen) = (&raw mut bytes, 1);
        if n_descriptors > 0 {
            let length = u32::try_from(size_of_val(&fds[..])).expect("few");
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(length) as usize;
            let head = libc::CMSG_FIRSTHDR(&raw const message);
            (*head).cmsg_len = libc::CMSG_LEN(length) as usize;
            ((*head).cmsg_level, (*head).cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
            ptr::copy_nonoverlapping(fds.as_ptr(), libc::CMSG_DATA(head).cast(), n_descriptors);
        }
        libc::sendmsg(channel.as_raw_fd(), &raw const message, 0)
    };
    assert_eq!(sent, 24);
    loop {
        thread::park();
    }
}

/// Unexpected descriptors are not kept.
#[test]
fn unexpected_descriptors_end_worker() {
    isolated(|| {
        let header = |kind: u8, announced: u16| {
            let mut header = b"\xf5lky".to_vec();
            header.extend([kind, 0]);
            header.extend(announced.to_le_bytes());
            header.extend([0; 16]);
            header
        };
        let (skipped, outgrown) = (19, 22);
        for (kind, announced, sent) in [
            (skipped, 0, 1),
            (skipped, 0, 253),
            (skipped, 1, 0),
            (outgrown, 2, 2),
            (outgrown, 1, 2),
        ] {
            let executor = executor(1);
            let call = executor.submit(send_descriptors, (header(kind, announced), sent));
            let error = call.error().unwrap();
            assert!(error.is_terminated_worker(), "{kind} {announced} {sent}: {error:?}");
            let cause = error.worker_exit().unwrap().cause().unwrap();
            assert!(cause.contains("broke the protocol"), "{cause}");
            assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
        }
    });
}

#[loky::task]
fn make_all(n: u32) -> Vec<SharedSlice<u32>> {
    many(n)
}

#[test]
fn descriptor_limit_of_process_fails_calls() {
    isolated(|| {
        let executor = executor(1);
        assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
        let before = limit_descriptors(100);
        for n in [100, 200, 400] {
            let error = executor.submit(make_all, n).error().unwrap();
            assert!(error.is_io() && error.to_string().contains("`RLIMIT_NOFILE`"), "{error:?}");
            assert_eq!(error.execution(), Execution::Finished);
            assert!(executor.submit(make_all, 10).result().unwrap() == many(10));
        }
        let all = many(10);
        // The thread that has handed a result out may have it a moment longer than its future.
        until("the results are gone", LONG, || own_descriptors().len() == all.len());
        let mut kept = Vec::new();
        let error = loop {
            match SharedBytes::from_slice(b"one more") {
                Ok(bytes) => kept.push(bytes),
                Err(error) => break error,
            }
        };
        names_the_limit(&error);
        let calls = executor.submit(echo_all, all.clone());
        let error = calls.error().unwrap();
        assert!(error.is_io() && error.execution() == Execution::Finished, "{error:?}");
        drop((kept, calls));
        assert!(executor.submit(echo_all, all.clone()).result().unwrap() == all);
        limit_descriptors(before);
        assert!(executor.submit(make_all, 400).result().unwrap() == many(400));
    });
}

#[loky::task]
fn limit_own_descriptors(soft: u64) -> u64 {
    limit_descriptors(soft)
}

#[test]
fn descriptor_limit_of_worker_fails_calls() {
    isolated(|| {
        let executor = executor(1);
        let before = executor.submit(limit_own_descriptors, 100).result().unwrap();
        let pids = executor.worker_pids();
        for n in [100, 200, 400] {
            let error = executor.submit(echo_all, many(n)).error().unwrap();
            names_the_limit(&error);
            assert!(executor.submit(echo_all, many(30)).result().unwrap() == many(30));
        }
        let error = executor.submit(make_all, 100).error().unwrap();
        assert!(error.is_panicked() && error.to_string().contains("`RLIMIT_NOFILE`"), "{error}");
        executor.submit(limit_own_descriptors, before).result().unwrap();
        assert!(executor.submit(echo_all, many(400)).result().unwrap() == many(400));
        assert_eq!(executor.worker_pids(), pids);
    });
}

/// Takes the right from this process to have as much under way as it likes, which root has.
fn be_subject_to_limits() {
    // Version 3 of both, of this process.
    let head = [0x2008_0522_u32, 0];
    let mut rights = [[0_u32; 3]; 2];
    #[expect(unsafe_code, clippy::multiple_unsafe_ops_per_block, reason = "std has none")]
    // SAFETY: head and rights are laid out as capset(2) has it.
    let results = unsafe {
        let got = libc::syscall(libc::SYS_capget, head.as_ptr(), rights.as_mut_ptr());
        let (admin, resource) = (1 << 21, 1 << 24);
        rights[0][0] &= !(admin | resource);
        [got, libc::syscall(libc::SYS_capset, head.as_ptr(), rights.as_ptr())]
    };
    assert_eq!(results, [0, 0]);
}

/// They wait until others were received.
#[test]
fn descriptor_limit_of_system_in_flight_is_respected() {
    isolated(|| {
        let executor = executor(3);
        executor.prewarm().unwrap();
        let all = many(200);
        be_subject_to_limits();
        let before = limit_descriptors(250);
        let pids = executor.worker_pids();
        pids.iter().for_each(|pid| stop(*pid));
        let calls = [(); 3].map(|()| executor.submit(count, all.clone()));
        pids.iter().for_each(|pid| assert!(kill(*pid, libc::SIGCONT)));
        for call in calls {
            assert_eq!(call.result_timeout(LONG).unwrap(), 200);
        }
        assert_eq!(executor.worker_pids(), pids);
        limit_descriptors(before);
    });
}

#[loky::task]
fn count(all: Vec<SharedSlice<u32>>) -> usize {
    all.len()
}

#[loky::task]
fn perform_with(bytes: Vec<SharedSlice<u32>>, deed: Deed) -> SharedSlice<u32> {
    deed.perform().expect("an end");
    bytes[0].clone()
}

#[test]
fn crash_with_shared_arguments_fails_its_call_only() {
    isolated(|| {
        let executor = executor(2);
        let all = many(300);
        for deed in [Deed::Segfault, Deed::Abort, Deed::Exit(3), Deed::StopInsideMessage] {
            let other = executor.submit(echo_all, all.clone());
            let error = executor.submit(perform_with, (all.clone(), deed)).error().unwrap();
            assert!(error.is_terminated_worker(), "{error:?}");
            assert!(other.result().unwrap() == all);
        }
        drop(executor);
        assert!(all.iter().zip(0..).all(|(it, i)| **it == [i]));
    });
}

/// It is sent again, and so are its descriptors.
#[test]
fn shared_call_that_never_began_runs_elsewhere() {
    isolated(|| {
        let executor = executor(1);
        assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
        let pid = executor.worker_pids()[0];
        stop(pid);
        let all = many(300);
        let call = executor.submit(echo_all, all.clone());
        kill(pid, libc::SIGKILL);
        assert!(call.result().unwrap() == all);
        assert_ne!(executor.worker_pids(), [pid]);
    });
}

#[test]
fn cancel_returns_memory_at_once() {
    isolated(|| {
        let executor = executor(1);
        let (held, go_on) = busy(&executor);
        let call = executor.submit(sum, shared(&[1; 100]));
        assert_eq!(own_descriptors().len(), 1, "kept for the call");
        assert!(call.cancel());
        assert!(own_descriptors().is_empty());
        go_on.set();
        held.result().unwrap();
    });
}

/// While it is encoded, it asks a worker for something with shared memory of its own.
#[derive(Debug)]
struct Asks {
    before: SharedBytes,
    after: SharedBytes,
}

impl Serialize for Asks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Asks", 2)?;
        fields.serialize_field("before", &self.before)?;
        let executor = loky::get_reusable_executor().map_err(S::Error::custom)?;
        let all = executor.submit(echo_all, many(3)).result().map_err(S::Error::custom)?;
        assert!(all == many(3));
        fields.serialize_field("after", &self.after)?;
        fields.end()
    }
}

#[derive(Deserialize)]
struct Answered {
    before: SharedBytes,
    after: SharedBytes,
}

impl<'de> Deserialize<'de> for Asks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Answered { before, after } = Answered::deserialize(deserializer)?;
        let executor = loky::get_reusable_executor().map_err(serde::de::Error::custom)?;
        let all = executor.submit(make_all, 2).result().map_err(serde::de::Error::custom)?;
        assert!(all == many(2));
        Ok(Self { before, after })
    }
}

#[loky::task]
fn join(asks: Asks) -> Vec<u8> {
    [&*asks.before, &*asks.after].concat()
}

#[test]
fn nested_encoding_keeps_attachments_apart() {
    isolated(|| {
        let executor = executor(1);
        let asks = Asks { before: shared(b"before "), after: shared(b"after") };
        assert_eq!(executor.submit(join, asks).result().unwrap(), b"before after");
        drop(executor);
        loky::get_reusable_executor().unwrap().shutdown(loky::Shutdown::Wait);
    });
}

/// Each new worker gets it, also one that comes later.
#[test]
fn initializer_may_take_shared_slice() {
    isolated(|| {
        let builder = ProcessPoolExecutor::builder().max_workers(1);
        let executor = builder.initializer(keep, shared(b"table")).build().unwrap();
        for _ in 0..3 {
            let kept = executor.submit(kept, ()).result().unwrap();
            assert_eq!((kept.len(), &*kept[0]), (1, &b"table"[..]));
            let pid = executor.worker_pids()[0];
            kill(pid, libc::SIGKILL);
            until("it is replaced", LONG, || executor.worker_pids() != [pid]);
        }
    });
}
