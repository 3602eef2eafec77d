//! Ctrl-C in a real terminal: the program decides what happens to its workers.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command};
use std::time::Duration;

use loky_tests::marked::Marked;
use loky_tests::{isolated, program};

/// How long the remains of a program may live.
const LIMIT: Duration = Duration::from_secs(2);

/// The end of a terminal at which a person sits.
struct Terminal {
    keyboard: File,
}

impl Terminal {
    fn open() -> Self {
        // SAFETY: plain numbers; the result is checked.
        #[expect(unsafe_code, reason = "std has no terminals")]
        let fd = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
        assert!(fd >= 0, "no terminal");
        // SAFETY: it was just opened, and no other code has it.
        #[expect(unsafe_code, reason = "std has no terminals")]
        let keyboard = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: a plain number.
        #[expect(unsafe_code, reason = "std has no terminals")]
        let unlocked = unsafe { libc::unlockpt(fd) };
        assert_eq!(unlocked, 0);
        Self { keyboard: keyboard.into() }
    }

    /// The end that a program gets.
    fn screen(&self) -> File {
        let mut number: libc::c_uint = 0;
        // SAFETY: `number` has room for what is written.
        #[expect(unsafe_code, reason = "std has no terminals")]
        let asked =
            unsafe { libc::ioctl(self.keyboard.as_raw_fd(), libc::TIOCGPTN, &raw mut number) };
        assert_eq!(asked, 0);
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        options.open(format!("/dev/pts/{number}")).unwrap()
    }

    /// Runs a program in the foreground of this terminal.
    fn run(&self, command: &mut Command) -> (Child, BufReader<ChildStdout>) {
        command.stdin(self.screen());
        // SAFETY: between fork and exec it makes system calls alone.
        #[expect(unsafe_code, reason = "a terminal of its own is got in the child")]
        unsafe {
            command.pre_exec(lead_a_session_here)
        };
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        (child, stdout)
    }

    fn press_ctrl_c(&mut self) {
        self.keyboard.write_all(b"\x03").unwrap();
    }
}

/// Makes the terminal on stdin that of a new session, whose foreground this process is, and which Ctrl-C ends, also where the
/// suite itself runs in the background and does not mind it.
fn lead_a_session_here() -> io::Result<()> {
    // SAFETY: the disposition is a constant, no function.
    #[expect(unsafe_code, reason = "std has no signals")]
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL)
    };
    // SAFETY: no arguments.
    #[expect(unsafe_code, reason = "std has no sessions")]
    let is_leader = unsafe { libc::setsid() } != -1;
    // SAFETY: plain numbers.
    #[expect(unsafe_code, reason = "std has no terminals")]
    let has_terminal = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } == 0;
    if is_leader && has_terminal { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[track_caller]
fn expect_lines<const N: usize>(stdout: &mut BufReader<ChildStdout>, mut expected: [&str; N]) {
    let mut lines = [(); N].map(|()| {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    });
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn program_killed_by_ctrl_c_leaves_nothing() {
    isolated(|| {
        let mut terminal = Terminal::open();
        let marked = Marked::new("ctrl-c");
        let (name, value) = marked.variable();
        let (mut child, mut stdout) =
            terminal.run(program("orphans").arg("children").env(name, value));
        expect_lines(&mut stdout, ["blocked", "blocked", "ready"]);
        terminal.press_ctrl_c();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGINT));
        marked.assert_gone_within(LIMIT);
    });
}

#[test]
fn ctrl_c_does_not_kill_workers_before_program_decides() {
    isolated(|| {
        let mut terminal = Terminal::open();
        let marked = Marked::new("decides");
        let (name, value) = marked.variable();
        let (mut child, mut stdout) = terminal.run(program("interrupted").env(name, value));
        expect_lines(&mut stdout, ["ready"]);
        terminal.press_ctrl_c();
        expect_lines(&mut stdout, ["interrupted"]);
        terminal.press_ctrl_c();
        expect_lines(&mut stdout, ["the call went on", "the workers have not changed"]);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        marked.assert_gone_within(LIMIT);
    });
}
