//! The user's frames of a backtrace.
//!
//! [`user_frames`] reads the text that [`std::backtrace::Backtrace`] prints: a line `12: name` for each function, mostly with a
//! line `at path:line:column` below it. It cuts the frames of std, of this crate and of the C runtime, and everything that called
//! the worker's call loop. A text of another form gives no frames; nothing here panics. Tested beside the code.

/// A function of the user's on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) function: &'a str,
    /// `path:line:column`, where the worker's program has debug information. The path is as short as can be.
    pub(super) place: Option<&'a str>,
}

/// The crates whose functions do not help the user.
const CUT_CRATES: &[&str] = &["std", "core", "alloc", "loky", "__rustc", "backtrace"];

/// The functions without a crate that Rust's runtime and the C library put on every stack.
const CUT_FUNCTIONS: &[&str] =
    &["main", "call_init", "start_thread", "clone", "clone3", "<unknown>"];

/// The begin of the names that `#[loky::task]` generates.
const GENERATED: &str = "::__loky_";

/// The functions of this crate from which tasks are called: all frames further out are the worker's own. An optimized program
/// may lack some of them.
const CALLERS: &[&str] = &["loky::worker::calls::", "loky::worker::run", "loky::entry::"];

/// Returns the user's frames, the innermost first.
pub(super) fn user_frames(backtrace: &str) -> impl Iterator<Item = Frame<'_>> {
    all_frames(backtrace)
        .take_while(|frame| !CALLERS.iter().any(|caller| frame.function.starts_with(caller)))
        .filter(|frame| !is_cut(frame))
        .map(|frame| Frame { place: frame.place.map(short), ..frame })
}

fn all_frames(backtrace: &str) -> impl Iterator<Item = Frame<'_>> {
    let mut lines = backtrace.lines().map(str::trim).peekable();
    std::iter::from_fn(move || {
        let line = lines.find(|line| !line.is_empty() && !line.starts_with("at "))?;
        let place = lines.next_if(|line| line.starts_with("at "));
        let function = match line.split_once(": ") {
            Some((number, name)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => line,
        };
        Some(Frame { function, place: place.map(|line| &line["at ".len()..]) })
    })
}

fn is_cut(frame: &Frame<'_>) -> bool {
    let function = frame.function;
    // `<&my_crate::Type as core::fmt::Debug>::fmt` is a function of `my_crate`.
    let first = function.trim_start_matches(['<', '&', '*', '(', '[']);
    let first = first.trim_start_matches("mut ").trim_start_matches("dyn ");
    let end = first.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(first.len());
    let is_of_c = !function.contains("::")
        && (CUT_FUNCTIONS.contains(&function)
            || function.starts_with('_')
            || function.starts_with("rust_"));
    is_of_c
        || function.contains(GENERATED)
        || CUT_CRATES.contains(&&first[..end])
        || frame.place.is_some_and(is_cut_file)
}

/// Whether a file is one of std or of this crate. Inlined functions may have names without a crate, so that only the file tells.
fn is_cut_file(place: &str) -> bool {
    let is_of_std = place.contains("/rustc/") || place.contains("/lib/rustlib/src/rust/library/");
    // Where this crate is built from its own folder, its paths are like those of all others.
    is_of_std || own_sources() != "src/" && place.contains(own_sources())
}

/// The folder of this crate's sources, as rustc knows it.
fn own_sources() -> &'static str {
    file!().strip_suffix("error/stack.rs").unwrap_or(file!())
}

/// Cuts off the place in which cargo keeps the sources of a dependency, and the `./` of the current one.
fn short(place: &str) -> &str {
    for sources in ["/registry/src/", "/git/checkouts/"] {
        if let Some((_, below)) = place.split_once(sources) {
            return below.split_once('/').map_or(below, |(_, path)| path);
        }
    }
    place.strip_prefix("./").unwrap_or(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(backtrace: &str, expected: &[(&str, Option<&str>)]) {
        let frames: Vec<_> =
            user_frames(backtrace).map(|frame| (frame.function, frame.place)).collect();
        assert_eq!(frames, expected);
    }

    #[test]
    fn frames_of_library_std_and_runtime_are_cut() {
        let text = "
   0: loky::worker::panics::remember
             at ./loky/src/worker/panics.rs:43:25
   1: std::panicking::panic_with_hook
             at /rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs:833:13
   2: __rustc::rust_begin_unwind
   3: core::panicking::panic_fmt
   4: <geo::Point as core::ops::arith::Div>::div
             at ./src/point.rs:12:9
   5: <&T as core::ops::arith::Div>::div
             at /home/u/.rustup/toolchains/x/lib/rustlib/src/rust/library/core/src/ops/arith.rs:9:9
      <alloc::boxed::Box<F,A> as core::ops::function::Fn<Args>>::call
   6: rayon::join
             at /home/u/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/rayon-1.10.0/src/lib.rs:3:1
   7: geo::area
      geo::area::TASK::__loky_run::{{closure}}
             at ./src/main.rs:9:1
   8: loky::task::run
      watched<alloc::string::String>
             at ./OWN/worker/panics.rs:70:5
   9: loky::worker::calls::run
             at ./loky/src/worker/calls.rs:120:9
  10: geo::main
             at ./src/main.rs:3:1
  11: main
  12: __libc_start_main_impl
  13: _start
";
        check(
            &text.replace("./OWN/", &format!("./{}", own_sources())),
            &[
                ("<geo::Point as core::ops::arith::Div>::div", Some("src/point.rs:12:9")),
                ("rayon::join", Some("rayon-1.10.0/src/lib.rs:3:1")),
                ("geo::area", None),
            ],
        );
    }

    #[test]
    fn stripped_program_has_no_frames() {
        check("   0: <unknown>\n   1: <unknown>\n", &[]);
        check("", &[]);
    }

    #[test]
    fn text_of_another_form_does_no_harm() {
        check("at nowhere\n\n: \n", &[(":", None)]);
        check("é: ü\nat ", &[("é: ü", None), ("at", None)]);
    }
}
