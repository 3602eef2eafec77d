//! A worker as a process: its streams, environment, session, descriptors and signals.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;

use loky::{Shutdown, Stdio};
use loky_tests::pools::builder;
use loky_tests::scratch::Scratch;
use loky_tests::signal::kill;
use loky_tests::{Census, isolated, process, program, program_path, run, tasks};

fn texts(out: &str, err: &str) -> (String, String) {
    (out.to_owned(), err.to_owned())
}

#[test]
fn stdin_of_worker_is_empty_and_valid() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        for _ in 0..2 {
            assert_eq!(executor.submit(tasks::read_stdin, ()).result().unwrap(), b"");
        }
        // https://github.com/joblib/loky/issues/420
        let read = (Path::new("/bin/cat").to_owned(), Vec::new());
        let cat = executor.submit(tasks::run_program, read).result().unwrap();
        assert_eq!(cat, (Some(0), String::new()));
        let script = vec!["-c".to_owned(), "read line; echo $? $line".to_owned()];
        let read = (Path::new("/bin/sh").to_owned(), script);
        let sh = executor.submit(tasks::run_program, read).result().unwrap();
        assert_eq!(sh, (Some(0), "1\n".to_owned()));
    });
}

/// Returns the answer of the program `host` to a line, with the streams that its workers inherit.
#[track_caller]
fn check_host(command: &str, stdout: &str, stderr: &str) {
    let scratch = Scratch::new();
    let stdin = scratch.path().join("stdin");
    fs::write(&stdin, format!("{command}\n")).unwrap();
    let finished = run(program("host").stdin(File::open(stdin).unwrap()));
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), (stdout, stderr));
}

#[test]
fn streams_are_inherited_by_default() {
    isolated(|| {
        check_host("print", "main\nto stdout\nprinted\n", "to stderr\n");
        // An unfinished line comes out when the worker leaves, and that is before `host` says that it has finished.
        check_host("print unfinished", "main\nno end of the lineprinted\n", "");
    });
}

#[test]
fn null_streams_discard_output() {
    isolated(|| {
        let executor = builder(1).stdout(Stdio::Null).stderr(Stdio::Null).build().unwrap();
        executor.submit(tasks::print, texts("out\n", "err\n")).result().unwrap();
        let descriptors: BTreeMap<_, _> =
            executor.submit(tasks::descriptors, ()).result().unwrap().into_iter().collect();
        assert_eq!([&descriptors[&1], &descriptors[&2]], ["/dev/null"; 2]);
    });
}

#[test]
fn file_stream_is_shared_by_workers() {
    isolated(|| {
        let scratch = Scratch::new();
        let path = scratch.path().join("output");
        fs::write(&path, "what was there\n").unwrap();
        let file = || Stdio::File(path.clone());
        let executor = builder(3).stdout(file()).stderr(file()).build().unwrap();
        executor.prewarm().unwrap();
        let calls: Vec<_> = (0..30)
            .map(|i| executor.submit(tasks::print, texts(&format!("o{i}\n"), &format!("e{i}\n"))))
            .collect();
        calls.iter().for_each(|call| call.result().unwrap());
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.remove(0), "what was there");
        let mut expected: Vec<_> =
            (0..30).flat_map(|i| [format!("o{i}"), format!("e{i}")]).collect();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    });
}

#[test]
fn unfinished_line_is_printed_when_worker_leaves() {
    isolated(|| {
        let scratch = Scratch::new();
        let path = scratch.path().join("output");
        let executor = builder(2).stdout(Stdio::File(path.clone())).build().unwrap();
        executor.submit(tasks::print, texts("no end of the line", "")).result().unwrap();
        executor.shutdown(Shutdown::Wait);
        assert_eq!(fs::read_to_string(path).unwrap(), "no end of the line");
    });
}

#[test]
fn captured_stderr_of_dead_worker_is_kept() {
    isolated(|| {
        let executor = builder(1).stdout(Stdio::Capture).stderr(Stdio::Capture).build().unwrap();
        executor.submit(tasks::print, texts("some output\n", "")).result().unwrap();
        let error = executor.submit(tasks::die, "my last words\n".into()).error().unwrap();
        assert!(error.is_terminated_worker(), "{error}");
        let exit = error.worker_exit().unwrap();
        assert_eq!(exit.code(), Some(3));
        assert_eq!(exit.stderr_tail(), Some("my last words\n"));
        assert_eq!(exit.stdout_tail(), Some("some output\n"));
        // Each worker has its own; and of what is much, the end is kept.
        let words = "0123456789".repeat(100_000) + "the end";
        let error = executor.submit(tasks::die, words).error().unwrap();
        let exit = error.worker_exit().unwrap();
        let tail = exit.stderr_tail().unwrap();
        assert!(tail.ends_with("789the end") && (100..=8 * 1024).contains(&tail.len()), "{tail}");
        assert_eq!(exit.stdout_tail(), Some(""));
    });
}

#[test]
fn much_captured_output_does_not_block_worker() {
    isolated(|| {
        let executor = builder(1).stdout(Stdio::Capture).stderr(Stdio::Capture).build().unwrap();
        let much = || "line\n".repeat(1 << 20);
        executor.submit(tasks::print, (much(), much())).result().unwrap();
    });
}

#[test]
fn uncaptured_stderr_has_no_tail() {
    isolated(|| {
        let executor = builder(1).stderr(Stdio::Null).build().unwrap();
        let error = executor.submit(tasks::die, "unheard\n".into()).error().unwrap();
        let exit = error.worker_exit().unwrap();
        assert_eq!((exit.stdout_tail(), exit.stderr_tail()), (None, None));
    });
}

#[test]
fn workers_start_in_current_dir() {
    isolated(|| {
        let scratch = Scratch::new();
        let folder = |builder: loky::Builder| {
            builder.build().unwrap().submit(tasks::folder, ()).result().unwrap()
        };
        assert_eq!(folder(builder(1)), std::env::current_dir().unwrap());
        assert_eq!(folder(builder(1).current_dir(scratch.path())), scratch.path());
        fs::create_dir(scratch.path().join("below")).unwrap();
        std::env::set_current_dir(scratch.path()).unwrap();
        assert_eq!(folder(builder(1).current_dir("below")), scratch.path().join("below"));
    });
}

#[test]
fn environment_of_worker_is_inherited_with_changes() {
    isolated(|| {
        let executor = builder(1)
            .env("LOKY_TESTS_A", "first")
            .envs([("LOKY_TESTS_A", "second"), ("LOKY_TESTS_B", "")])
            .env("HOME", "/changed")
            .build()
            .unwrap();
        let variable =
            |name: &str| executor.submit(tasks::variable, name.to_owned()).result().unwrap();
        assert_eq!(variable("LOKY_TESTS_A").unwrap(), "second");
        assert_eq!(variable("LOKY_TESTS_B").unwrap(), "");
        assert_eq!(variable("HOME").unwrap(), "/changed");
        assert_eq!(variable("PATH"), std::env::var_os("PATH"));
        assert_ne!(std::env::var_os("HOME").unwrap_or_default(), "/changed");
        assert_eq!(std::env::var_os("LOKY_TESTS_A"), None);
    });
}

#[test]
fn cookie_is_hidden_from_worker_and_its_children() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        let variable = executor.submit(tasks::variable, "__LOKY_WORKER".into()).result().unwrap();
        assert_eq!(variable, None);
        let env = (Path::new("/usr/bin/env").to_owned(), Vec::new());
        let (_, text) = executor.submit(tasks::run_program, env).result().unwrap();
        assert!(text.contains("PATH=") && !text.contains("__LOKY_WORKER"), "{text}");
        assert_eq!(std::env::var_os("__LOKY_WORKER"), None);
    });
}

#[test]
fn worker_gets_name_of_program_and_no_arguments() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        let arguments = executor.submit(tasks::arguments, ()).result().unwrap();
        assert_eq!(arguments, std::env::args_os().take(1).collect::<Vec<_>>());
    });
}

#[test]
fn worker_process_is_named_after_program_and_index() {
    isolated(|| {
        let executor = builder(11).build().unwrap();
        executor.prewarm().unwrap();
        let path = std::env::current_exe().unwrap();
        let program = path.file_name().unwrap().to_str().unwrap();
        for (index, pid) in executor.worker_pids().into_iter().enumerate() {
            let suffix = format!("-loky-{index}");
            let room = 15 - suffix.len();
            let expected = format!("{}{suffix}", &program[..room.min(program.len())]);
            assert_eq!(process(pid).unwrap().name, expected);
        }
    });
}

#[test]
fn worker_leads_own_session() {
    isolated(|| {
        let executor = builder(2).build().unwrap();
        executor.prewarm().unwrap();
        for pid in executor.worker_pids() {
            let process = process(pid).unwrap();
            assert_eq!((process.session, process.group), (pid, pid));
            assert_eq!(process.parent, std::process::id());
        }
    });
}

/// Lets `fd` live through an exec, as a careless program may.
fn leak(fd: &impl AsRawFd) {
    #[expect(unsafe_code, reason = "std closes everything on exec")]
    // SAFETY: a descriptor that is open.
    let done = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) };
    assert_eq!(done, 0);
}

/// What a worker has beyond its streams must be its channel, its view of the parent where the kernel gives one, two that it holds
/// back for its end, and one by which it wakes its watch.
#[track_caller]
fn assert_own(descriptors: &BTreeMap<u32, String>) {
    let own: Vec<_> = descriptors.range(3..).map(|(_, target)| target).collect();
    let of = |kind: &str| own.iter().filter(|target| target.contains(kind)).count();
    assert_eq!(of("socket:"), 1, "{descriptors:?}");
    assert_eq!(of("/dev/null"), 2, "{descriptors:?}");
    assert_eq!(of("eventfd"), 1, "{descriptors:?}");
    assert!(of("pidfd") <= 1 && own.len() == 4 + of("pidfd"), "{descriptors:?}");
}

#[test]
fn worker_has_no_inherited_descriptors() {
    isolated(|| {
        let files: Vec<File> = (0..20).map(|_| File::open("/proc/self/maps").unwrap()).collect();
        files.iter().for_each(leak);
        let (reader, writer) = std::io::pipe().unwrap();
        [OwnedFd::from(reader), OwnedFd::from(writer)].iter().for_each(leak);
        let executor = builder(3).build().unwrap();
        let other = builder(3).stdout(Stdio::Capture).build().unwrap();
        other.prewarm().unwrap();
        for _ in 0..3 {
            executor.prewarm().unwrap();
            let descriptors = executor.submit(tasks::descriptors, ()).result().unwrap();
            let descriptors: BTreeMap<_, _> = descriptors.into_iter().collect();
            assert_eq!(descriptors[&0], "/dev/null");
            assert!(descriptors.contains_key(&1) && descriptors.contains_key(&2));
            assert_own(&descriptors);
        }
    });
}

#[test]
fn program_run_by_task_has_streams_only() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        let list = (Path::new("/bin/ls").to_owned(), vec!["/proc/self/fd".to_owned()]);
        let (_, text) = executor.submit(tasks::run_program, list).result().unwrap();
        // The last is the folder that is listed.
        assert_eq!(text.lines().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    });
}

/// Returns a set of signals of the thread that runs the tasks, from /proc.
#[loky::task]
fn signals(set: String) -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&set)).unwrap();
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

/// Blocks one signal in this thread and ignores others in this process.
#[expect(unsafe_code, reason = "std has nothing for signals")]
fn disturb_signals(blocked: i32, ignored: &[i32]) {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: there is room for a set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was filled in.
    unsafe { libc::sigaddset(set.as_mut_ptr(), blocked) };
    // SAFETY: as above; the old set is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) };
    for signal in ignored {
        // SAFETY: no handler, but one of the constants.
        unsafe { libc::signal(*signal, libc::SIG_IGN) };
    }
}

#[test]
fn worker_begins_with_default_signals() {
    isolated(|| {
        let ignored = [
            libc::SIGTERM,
            libc::SIGINT,
            libc::SIGHUP,
            libc::SIGQUIT,
            libc::SIGUSR2,
            libc::SIGALRM,
        ];
        disturb_signals(libc::SIGUSR1, &ignored);
        let executor = builder(2).build().unwrap();
        // glibc leaves two signals of its own ignored in what posix_spawn(3) starts, and lets no program change that.
        let internal = 0b11 << (32 - 1);
        let set =
            |name: &str| executor.submit(signals, name.to_owned()).result().unwrap() & !internal;
        assert_eq!(set("SigBlk"), 0, "blocked");
        let pipe = 1 << (libc::SIGPIPE - 1);
        assert_eq!(set("SigIgn"), pipe, "ignored");
        // And what this process made of its own stays.
        let own = |name: &str| signals(name.to_owned());
        assert_eq!(own("SigBlk"), 1 << (libc::SIGUSR1 - 1));
        assert!(ignored.iter().all(|signal| own("SigIgn") & 1 << (signal - 1) != 0));
    });
}

#[test]
fn worker_can_be_terminated_where_program_ignores_sigterm() {
    isolated(|| {
        disturb_signals(libc::SIGTERM, &[libc::SIGTERM]);
        let executor = builder(1).build().unwrap();
        let pid = executor.submit(tasks::pid, ()).result().unwrap();
        let call = executor.submit(tasks::block, ());
        loky_tests::until("a call that runs", std::time::Duration::from_secs(60), || {
            call.is_running()
        });
        kill(pid, libc::SIGTERM);
        assert_eq!(call.error().unwrap().worker_exit().unwrap().signal(), Some(libc::SIGTERM));
    });
}

#[test]
fn program_that_ignores_sigchld_has_working_pools() {
    isolated(|| {
        disturb_signals(libc::SIGCHLD, &[libc::SIGCHLD]);
        let executor = builder(1).stderr(Stdio::Null).build().unwrap();
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
        let error = executor.submit(tasks::die, String::new()).error().unwrap();
        assert!(error.is_terminated_worker(), "{error}");
        // The system may have kept the exit code for the holder of a pidfd; without one it is lost.
        assert!(matches!(error.worker_exit().unwrap().code(), None | Some(3)), "{error}");
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
        let (code, _) = {
            let run = (Path::new("/bin/false").to_owned(), Vec::new());
            executor.submit(tasks::run_program, run).result().unwrap()
        };
        assert_eq!(code, Some(1), "the worker does not ignore them");
    });
}

/// Runs `closed_stdio` with the streams `at_start` closed by a shell, and those `later` closed by the program itself.
#[track_caller]
fn check_closed(at_start: &str, later: &str) {
    let scratch = Scratch::new();
    let path = scratch.path().join("report");
    let redirections: String = at_start.chars().map(|fd| format!(" {fd}>&-")).collect();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\"{redirections}")]);
    let finished = run(command.arg(program_path("closed_stdio")).arg(&path).arg(later));
    let closed = format!("closed at start: {at_start:?}, later: {later:?}");
    assert_eq!(finished.code, Some(0), "{closed}: {finished:?}");
    let report = fs::read_to_string(&path).unwrap();
    assert_eq!(report.lines().count(), 16, "{report}");
    for line in report.lines() {
        check_report(line, &path, &closed, &[at_start, later].concat());
    }
}

#[track_caller]
fn check_report(line: &str, path: &Path, closed: &str, is_closed: &str) {
    let mut parts = line.split('|');
    let ways = [parts.next().unwrap(), parts.next().unwrap()];
    let descriptors: BTreeMap<u32, String> = parts
        .map(|part| {
            let (fd, target) = part.split_once(' ').unwrap();
            (fd.parse().unwrap(), target.to_owned())
        })
        .collect();
    let context = format!("{closed}: {line}");
    assert_eq!(descriptors.get(&0).map(String::as_str), Some("/dev/null"), "{context}");
    for (fd, way) in [1, 2].into_iter().zip(ways) {
        let target = descriptors.get(&fd).map_or("", String::as_str);
        let file = format!("{}.out", path.display());
        let is_right = match way {
            "Inherit" if is_closed.contains(&fd.to_string()) => target == "/dev/null",
            "Inherit" | "Capture" => target.starts_with("pipe:"),
            "Null" => target == "/dev/null",
            _ => target == file,
        };
        assert!(is_right, "descriptor {fd}: {context}");
    }
    let are_pipes = ways.iter().all(|way| matches!(*way, "Inherit" | "Capture"));
    if are_pipes && is_closed.is_empty() {
        assert_ne!(descriptors[&1], descriptors[&2], "{context}");
    }
    assert_own(&descriptors);
}

#[test]
fn streams_closed_at_program_start_do_no_harm() {
    isolated(|| {
        for closed in ["", "0", "1", "2", "01", "02", "12", "012"] {
            check_closed(closed, "");
        }
    });
}

#[test]
fn streams_closed_while_program_runs_do_no_harm() {
    isolated(|| {
        for closed in ["0", "1", "2", "01", "02", "12", "012"] {
            check_closed("", closed);
        }
    });
}

#[test]
fn worker_leaves_nothing_in_parent() {
    isolated(|| {
        let before = Census::take();
        for _ in 0..5 {
            let executor =
                builder(2).stdout(Stdio::Capture).stderr(Stdio::Capture).build().unwrap();
            executor.prewarm().unwrap();
            executor.shutdown(Shutdown::Wait);
        }
        before.assert_unchanged();
    });
}
