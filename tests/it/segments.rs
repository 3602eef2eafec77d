//! Long values in calls: they lie in segments beside the call or the result. None is lost or mixed up with another, and in the end
//! all memory and all descriptors are returned.

use std::fs::{self, OpenOptions};
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use loky::shared::SharedBytes;
use loky::{Future, ProcessPoolExecutor, Shutdown};
use loky_tests::forked::Forked;
use loky_tests::held::busy;
use loky_tests::limits::limit_descriptors;
use loky_tests::signal::{kill, stop};
use loky_tests::tasks::double;
use loky_tests::time::LONG;
use loky_tests::{Random, isolated, until};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// From here on values are long.
const LONG_BYTES: usize = 64 << 10;

fn executor(max_workers: usize) -> ProcessPoolExecutor {
    ProcessPoolExecutor::builder().max_workers(max_workers).build().unwrap()
}

/// Bytes of which those of another `seed` or length differ.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (seed..seed + length).map(|i| (i % 251) as u8).collect()
}

fn text(seed: usize, length: usize) -> String {
    (seed..seed + length).map(|i| char::from(b'a' + (i % 23) as u8)).collect()
}

#[loky::task]
fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[loky::task]
fn echo_text(text: String) -> String {
    text
}

#[loky::task]
fn echo_numbers(numbers: Vec<[f64; 2]>) -> Result<Vec<[f64; 2]>, String> {
    Ok(numbers)
}

#[loky::task]
fn first_and_length(bytes: Vec<u8>) -> (u8, usize) {
    (bytes[0], bytes.len())
}

/// The descriptors of segments that this process has.
fn own_descriptors() -> Vec<RawFd> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc");
    let fds = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_segment = |fd: &RawFd| {
        let target = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        target.to_string_lossy().contains("memfd:loky-segment")
    };
    fds.filter(is_segment).collect()
}

/// How many descriptors and mappings of segments this process has.
fn own_holdings() -> (usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
    let mappings = maps.lines().filter(|line| line.contains("memfd:loky-segment")).count();
    (own_descriptors().len(), mappings)
}

/// Counts those of the worker.
#[loky::task]
fn holdings() -> (usize, usize) {
    own_holdings()
}

/// Idle ones go, here and in the workers.
#[track_caller]
fn all_is_given_back(executor: &ProcessPoolExecutor) {
    until("nothing is left here", LONG, || own_holdings() == (0, 0));
    until("nothing is left in a worker", LONG, || {
        let all: Vec<_> = executor.map(holdings, [(); 8]).map(Result::unwrap).collect();
        all.iter().all(|holdings| *holdings == (0, 0))
    });
}

#[test]
fn values_of_every_length_arrive() {
    isolated(|| {
        let executor = executor(1);
        for around in [LONG_BYTES, 2 * LONG_BYTES, 4 * LONG_BYTES, 1 << 20, 5 << 20] {
            for length in around - 8..=around + 8 {
                let sent = bytes(length, length);
                assert!(executor.submit(echo, sent.clone()).result().unwrap() == sent, "{length}");
            }
            for length in [around - 6, around - 5, around - 4, around - 3, around, around + 1] {
                let sent = text(length, length);
                let call = executor.submit(echo_text, sent.clone());
                assert!(call.result().unwrap() == sent, "{length}");
                assert!(call.result().unwrap() == sent, "{length}, asked for again");
            }
            let numbers = vec![[0.5, f64::INFINITY]; around / 16];
            let call = executor.submit(echo_numbers, numbers.clone());
            assert!(call.result().unwrap().unwrap() == numbers);
        }
        all_is_given_back(&executor);
    });
}

#[loky::task]
fn rotate(
    a: Vec<u8>,
    text: String,
    shared: SharedBytes,
    b: Vec<u8>,
    maybe: Option<Vec<u8>>,
) -> (Option<Vec<u8>>, Vec<u8>, String, SharedBytes, Vec<u8>) {
    (maybe, a, text, shared, b)
}

#[test]
fn several_long_values_in_one_call_arrive() {
    isolated(|| {
        let executor = executor(2);
        let shared = SharedBytes::from_slice(b"shared").unwrap();
        for lengths in [
            [1, LONG_BYTES, 1],
            [LONG_BYTES, 1, LONG_BYTES],
            [LONG_BYTES, 3 * LONG_BYTES, LONG_BYTES + 1],
        ] {
            let [a, b, c] = lengths.map(|length| bytes(length, length));
            let text = text(lengths[1], lengths[1]);
            for maybe in [None, Some(c)] {
                let args = (a.clone(), text.clone(), shared.clone(), b.clone(), maybe.clone());
                let back = executor.submit(rotate, args).result().unwrap();
                assert!(back == (maybe, a.clone(), text.clone(), shared.clone(), b.clone()));
            }
        }
    });
}

/// More than there may be segments: the others go another way.
#[test]
fn long_arguments_in_queue_arrive() {
    isolated(|| {
        for limit in [1024, 80] {
            let before = limit_descriptors(limit);
            let executor = executor(1);
            let (held, go_on) = busy(&executor);
            let sent = |i: usize| bytes(i, 2 * LONG_BYTES);
            let calls: Vec<_> = (0..300).map(|i| executor.submit(echo, sent(i))).collect();
            let (n_descriptors, _) = own_holdings();
            assert!((1..=usize::try_from(limit).unwrap() / 16).contains(&n_descriptors));
            let call = executor.submit(double, 21);
            go_on.set();
            held.result().unwrap();
            for (i, call) in calls.into_iter().enumerate() {
                assert!(call.result().unwrap() == sent(i), "{i}");
            }
            assert_eq!(call.result().unwrap(), 42);
            all_is_given_back(&executor);
            limit_descriptors(before);
        }
    });
}

/// Results take no more descriptors, however many are kept, or dropped before a thread has read them.
#[test]
fn unread_long_results_are_kept() {
    isolated(|| {
        let executor = executor(2);
        let sent = |i: usize| bytes(i, LONG_BYTES);
        for round in 0..5 {
            let calls: Vec<_> = (0..100).map(|i| executor.submit(echo, sent(i + round))).collect();
            calls.iter().for_each(|call| assert!(call.error().is_none()));
            // Segments of arguments may be more, until the pool thread has come.
            until("there are not too many", LONG, || own_holdings().0 <= 2 * 8 + 8);
            for (i, call) in calls.into_iter().enumerate().filter(|(i, _)| i % 3 == 0) {
                assert!(call.result().unwrap() == sent(i + round));
            }
        }
        let unread: Vec<Future<_>> = (0..20).map(|i| executor.submit(echo, sent(i))).collect();
        until("they are there", LONG, || unread.iter().all(Future::is_done));
        drop(unread);
        all_is_given_back(&executor);
    });
}

/// They are lost, and their memory is not; and later ones come in another way.
#[test]
fn long_results_without_free_descriptors_arrive() {
    isolated(|| {
        let executor = executor(1);
        let sent = |i: usize| bytes(i, 3 * LONG_BYTES);
        assert!(executor.submit(echo, sent(0)).result().unwrap() == sent(0));
        let before = limit_descriptors(3);
        let outcomes: Vec<_> = (0..20).map(|i| executor.submit(echo, sent(i)).result()).collect();
        limit_descriptors(before);
        let n_lost = outcomes.iter().take_while(|outcome| outcome.is_err()).count();
        assert!((1..=8).contains(&n_lost), "{n_lost}");
        for (i, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(got) => assert!(got == sent(i), "{i}"),
                Err(error) => assert!(error.is_io() && i < n_lost, "{i}: {error:?}"),
            }
        }
        all_is_given_back(&executor);
    });
}

#[test]
fn ten_thousand_calls_return_all_memory() {
    isolated(|| {
        let executor = executor(2);
        let start = Instant::now();
        let mut sent = vec![0; 1 << 20];
        for i in 0..10_000_usize {
            sent[0] = (i % 256) as u8;
            let got = executor.submit(first_and_length, sent.clone()).result().unwrap();
            assert_eq!(got, (sent[0], 1 << 20));
            assert!(start.elapsed() < Duration::from_secs(100));
        }
        let (n_descriptors, n_mappings) = own_holdings();
        assert!(n_descriptors <= 2 && n_mappings <= 2, "they are used again");
        all_is_given_back(&executor);
    });
}

#[test]
fn memory_of_very_long_value_is_returned() {
    isolated(|| {
        let executor = executor(1);
        let got = executor.submit(first_and_length, vec![7; 1 << 30]).result().unwrap();
        assert_eq!(got, (7, 1 << 30));
        all_is_given_back(&executor);
    });
}

/// So also where nothing else happens, and where the worker is not asked.
#[test]
fn idle_segments_are_returned() {
    isolated(|| {
        let executor = executor(1);
        let sent = bytes(1, 4 << 20);
        let call = executor.submit(echo, sent.clone());
        assert!(call.result().unwrap() == sent);
        let pid = executor.worker_pids()[0];
        let theirs = || {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it lives");
            maps.lines().filter(|line| line.contains("memfd:loky-segment")).count()
        };
        assert_eq!(theirs(), 1, "its result is not dropped yet");
        until("the argument's is gone", LONG, || own_holdings() == (1, 0));
        drop(call);
        assert_eq!(own_holdings(), (0, 0));
        until("the result's is gone", LONG, || theirs() == 0);
    });
}

#[test]
fn worker_killed_while_it_reads_fails_its_call_only() {
    isolated(|| {
        let executor = executor(2);
        let mut random = Random::new(3);
        let sent = bytes(5, 8 << 20);
        let mut n_killed = 0;
        for _ in 0..40 {
            let calls = [(); 4].map(|()| executor.submit(echo, sent.clone()));
            let wait = Duration::from_micros(random.below(8000) as u64);
            let _ = calls[0].result_timeout(wait);
            executor.worker_pids().first().map(|pid| kill(*pid, libc::SIGKILL));
            for call in calls {
                match call.result() {
                    Ok(got) => assert!(got == sent),
                    Err(error) => {
                        assert!(error.is_terminated_worker(), "{error:?}");
                        n_killed += 1;
                    }
                }
            }
        }
        assert!(n_killed < 80, "two at a time");
        all_is_given_back(&executor);
    });
}

/// It is sent again from where it lies.
#[test]
fn long_call_that_never_began_runs_elsewhere() {
    isolated(|| {
        let executor = executor(1);
        assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
        let pid = executor.worker_pids()[0];
        stop(pid);
        let sent = bytes(2, 3 << 20);
        let call = executor.submit(echo, sent.clone());
        kill(pid, libc::SIGKILL);
        assert!(call.result().unwrap() == sent);
        assert_ne!(executor.worker_pids(), [pid]);
    });
}

#[test]
fn killed_pool_keeps_no_memory() {
    isolated(|| {
        let executor = executor(2);
        let calls: Vec<_> = (0..30).map(|i| executor.submit(echo, bytes(i, 2 << 20))).collect();
        assert!(calls[0].result().unwrap() == bytes(0, 2 << 20));
        executor.shutdown(Shutdown::Kill);
        for (i, call) in calls.into_iter().enumerate() {
            match call.result() {
                Ok(got) => assert!(got == bytes(i, 2 << 20)),
                Err(error) => assert!(error.is_shutdown_executor(), "{error:?}"),
            }
        }
        let refused = executor.submit(echo, bytes(0, LONG_BYTES)).error().unwrap();
        assert!(refused.is_shutdown_executor());
        until("all is gone, with the handle still there", LONG, || own_holdings() == (0, 0));
    });
}

#[loky::task]
fn echo_below(bytes: Vec<u8>, levels: u32) -> Vec<u8> {
    if levels == 0 {
        return bytes;
    }
    let executor = executor(1);
    executor.submit(echo_below, (bytes, levels - 1)).result().expect("a result")
}

#[test]
fn long_values_pass_nested_workers() {
    isolated(|| {
        let executor = executor(1);
        let sent = bytes(9, 1 << 20);
        assert!(executor.submit(echo_below, (sent.clone(), 2)).result().unwrap() == sent);
    });
}

/// Tries, while it is decoded, to write to the arguments of its call: how often that could be done, of how many.
#[derive(Debug, Default)]
struct Tampers(usize, usize);

impl Serialize for Tampers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Tampers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer)?;
        let fds = own_descriptors();
        let is_tampered = |fd: &&RawFd| {
            // Opened anew: it is not even the descriptor that came.
            let file = OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}"));
            file.is_ok_and(|file| file.write_at(b"tampered", 0).is_ok())
        };
        Ok(Self(fds.iter().filter(is_tampered).count(), fds.len()))
    }
}

#[loky::task]
fn tampered(before: Vec<u8>, tampers: Tampers, after: Vec<u8>) -> (usize, usize, Vec<u8>, Vec<u8>) {
    (tampers.0, tampers.1, before, after)
}

#[test]
fn segment_of_pool_is_sealed_against_writers() {
    isolated(|| {
        let executor = executor(1);
        let (before, after) = (bytes(1, LONG_BYTES), bytes(2, LONG_BYTES));
        let args = (before.clone(), Tampers::default(), after.clone());
        let (n_tampered, n_found, first, second) =
            executor.submit(tampered, args).result().unwrap();
        assert_eq!((n_tampered, n_found), (0, 2));
        assert!((first, second) == (before, after));
    });
}

/// Both come back from it.
#[loky::task]
fn fork_and_return(bytes: Vec<u8>) -> Vec<u8> {
    #[expect(unsafe_code, reason = "this is what is tested")]
    // SAFETY: what the child runs depends on no other thread.
    let pid = unsafe { libc::fork() };
    match pid {
        0 => vec![0; bytes.len()],
        _ => bytes,
    }
}

#[test]
fn forked_child_leaves_segments_of_parent_alone() {
    isolated(|| {
        let executor = executor(1);
        let sent = bytes(4, LONG_BYTES);
        for _ in 0..20 {
            assert!(executor.submit(fork_and_return, sent.clone()).result().unwrap() == sent);
        }
        // Here as well: it drops what it has of a result, and may not submit.
        let kept = executor.submit(echo, sent.clone());
        assert!(kept.error().is_none());
        let (held, go_on) = busy(&executor);
        let queued = executor.submit(echo, sent.clone());
        let child = Forked::start(|| {
            assert!(
                executor.submit(echo, vec![0; LONG_BYTES]).error().unwrap().is_invalid_config()
            );
            drop(kept.clone());
        });
        child.finish();
        go_on.set();
        held.result().unwrap();
        for _ in 0..20 {
            executor.submit(echo, vec![0; LONG_BYTES]).result().unwrap();
        }
        assert!(queued.result().unwrap() == sent && kept.result().unwrap() == sent);
    });
}
