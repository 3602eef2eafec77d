//! The texts of errors: `{}` and `{:?}`, with real workers.

use std::error::Error as _;

use loky::{ProcessPoolExecutor, RemoteError, ResultExt as _, Shutdown, Stdio, TaskResult};
use loky_tests::pools::builder;
use loky_tests::{isolated, tasks};
use serde::{Deserialize, Deserializer, Serialize};

#[inline(never)]
fn percent_of(part: u64, whole: u64) -> u64 {
    100 * part / whole
}

#[loky::task]
#[inline(never)]
fn percent(part: u64, whole: u64) -> u64 {
    percent_of(part, whole)
}

#[loky::task]
#[inline(never)]
fn unwrap_number(text: String) -> u64 {
    text.parse().unwrap()
}

#[loky::task]
fn recurse(depth: u64) -> u64 {
    if depth == 0 { panic!("deep enough") } else { 1 + recurse(depth - 1) }
}

/// An error of this process, from the call of a task that fails.
#[track_caller]
fn error_of<T>(result: loky::Result<T>) -> loky::Error {
    result.err().expect("it fails")
}

#[test]
fn debug_of_panic_has_message_and_user_frames_only() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        let error = error_of(executor.submit(percent, (1, 0)).result());
        let text = format!("{error:?}");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(&*error.to_string()));
        assert!(error.to_string().ends_with(": attempt to divide by zero"), "{error}");
        let expected = ["percent_of (it/error_text.rs:", "percent (it/error_text.rs:"];
        let frames: Vec<_> = lines.map(str::trim_start).collect();
        assert_eq!(frames.len(), expected.len(), "{text}");
        for (frame, expected) in frames.iter().zip(expected) {
            assert!(frame.contains(expected), "no {expected:?} in: {text}");
        }
        assert!(text.len() < 500, "{text}");
        assert!(error.panic().unwrap().backtrace().unwrap().len() > text.len());
        assert!(format!("{error:#?}").contains("kind: Panicked"), "{error:#?}");
    });
}

#[test]
fn debug_of_panic_in_std_names_the_caller() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        let text = format!("{:?}", error_of(executor.submit(unwrap_number, "x".into()).result()));
        assert!(text.contains("unwrap_number (it/error_text.rs:"), "{text}");
        assert!(!text.contains("core::"), "{text}");
    });
}

#[test]
fn debug_of_deep_panic_is_bounded() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        let text = format!("{:?}", error_of(executor.submit(recurse, 100).result()));
        assert!(text.lines().count() < 40 && text.contains("more, see"), "{text}");
    });
}

#[test]
fn last_stderr_line_is_part_of_message() {
    isolated(|| {
        let executor = builder(1).stderr(Stdio::Capture).build().unwrap();
        let words = "first\n\x1b[31mout of licenses\x1b[0m\n";
        let error = error_of(executor.submit(tasks::die, words.into()).result());
        let end = "EXIT(3); last line on stderr: `out of licenses`";
        assert!(error.to_string().ends_with(end), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
        // A worker that wrote nothing adds nothing.
        let error = error_of(executor.submit(tasks::die, String::new()).result());
        assert!(error.to_string().ends_with("EXIT(3)"), "{error}");
    });
}

#[loky::task]
fn fail_to_start() -> Result<(), String> {
    tasks::die("no database\n".to_owned());
    Ok(())
}

#[test]
fn last_stderr_line_of_initializer_is_part_of_message() {
    isolated(|| {
        let builder = builder(1).stderr(Stdio::Capture).initializer(fail_to_start, ());
        let executor = builder.build().unwrap();
        let error = error_of(executor.submit(percent, (1, 2)).result());
        assert!(error.is_broken_process_pool(), "{error}");
        assert!(error.to_string().ends_with("last line on stderr: `no database`"), "{error}");
    });
}

#[test]
fn last_stderr_line_of_foreign_program_is_part_of_message() {
    isolated(|| {
        let scratch = loky_tests::scratch::Scratch::new();
        let exe = scratch.script("echo 'usage: script FILE' >&2; exit 0");
        let executor = builder(1).worker_exe(exe).stderr(Stdio::Capture).build().unwrap();
        let error = error_of(executor.prewarm());
        assert!(error.is_handshake(), "{error}");
        assert!(error.to_string().contains("stderr: `usage: script FILE`"), "{error}");
    });
}

/// Travels in one direction only, or not at all.
#[derive(Debug)]
struct Odd {
    encodes: bool,
}

impl Serialize for Odd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.encodes {
            serializer.serialize_u8(0)
        } else {
            Err(serde::ser::Error::custom("it stays here"))
        }
    }
}

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("it does not come in"))
    }
}

#[loky::task]
fn take(_odd: Odd) {}

#[loky::task]
fn give(encodes: bool) -> Odd {
    Odd { encodes }
}

#[test]
fn message_of_no_error_repeats_its_source() {
    isolated(|| {
        let executor = builder(1).build().unwrap();
        let future = executor.submit(percent, (1, 2));
        let mut errors = vec![
            error_of(executor.submit(percent, (1, 0)).result()),
            error_of(executor.submit(tasks::die, String::new()).result()),
            error_of(executor.submit(take, Odd { encodes: false }).result()),
            error_of(executor.submit(take, Odd { encodes: true }).result()),
            error_of(executor.submit(give, false).result()),
            error_of(executor.submit(give, true).result()),
            error_of(executor.submit(|x: u64| x, 1).result()),
            error_of(builder(0).build()),
            error_of(loky::shared::SharedSliceMut::<u64>::zeroed(usize::MAX)),
            error_of(loky::shared::SharedSliceMut::<u8>::zeroed(1 << 62)),
        ];
        future.result().unwrap();
        executor.shutdown(Shutdown::Wait);
        errors.push(error_of(executor.submit(percent, (1, 2)).result()));
        let settings = [
            builder(1).worker_exe("/nonexistent/worker"),
            builder(1).current_dir("/nonexistent/folder"),
            builder(1).stdout(Stdio::File("/nonexistent/folder/file".into())),
            builder(1).worker_exe("/bin/true"),
            builder(1).stderr(Stdio::Null).initializer(fail_to_start, ()),
        ];
        errors.extend(settings.into_iter().map(|it| error_of(it.build().unwrap().prewarm())));
        let mut n_sources = 0;
        for error in &errors {
            let message = error.to_string();
            if let Some(source) = error.source() {
                n_sources += 1;
                assert!(!message.contains(&source.to_string()), "{message}");
                assert!(format!("{error:?}").contains(&source.to_string()), "{error:?}");
            }
            assert!(!message.ends_with('.') && !message.starts_with("The "), "{message}");
        }
        assert_eq!(n_sources, 5, "{errors:?}");
    });
}

/// The number in a file, with the errors of `anyhow`.
fn read_number(path: &str) -> anyhow::Result<u64> {
    use anyhow::Context as _;

    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    anyhow::ensure!(!text.is_empty(), "`{path}` is empty");
    Ok(text.trim().parse()?)
}

#[loky::task]
fn number_in(path: String) -> TaskResult<u64> {
    let number = read_number(&path).remote()?;
    let half = number.checked_div(2).ok_or("no half").remote()?;
    half.checked_sub(1).ok_or_else(|| RemoteError::msg("less than two"))
}

#[test]
fn anyhow_error_keeps_its_chain() {
    isolated(|| {
        let executor = ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
        let fails =
            |path: &str| executor.submit(number_in, path.to_owned()).result().unwrap().unwrap_err();
        let error = fails("/nonexistent/file");
        assert_eq!(error.to_string(), "cannot read `/nonexistent/file`");
        assert_eq!(error.chain().collect::<Vec<_>>(), ["No such file or directory (os error 2)"]);
        let text =
            "cannot read `/nonexistent/file`\n  caused by: No such file or directory (os error 2)";
        assert_eq!(format!("{error:?}"), text);
        // And back into `anyhow`, in the caller.
        let error = anyhow::Error::from_boxed(error.into());
        assert_eq!(format!("{error:#}"), text.replace("\n  caused by", ""));
        assert_eq!(fails("/dev/null").to_string(), "`/dev/null` is empty");
    });
}
