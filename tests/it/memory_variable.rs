//! `LOKY_MAX_MEMORY_LEAK_SIZE`, Python loky's variable for the limit of memory growth.

use loky_tests::{program, run};

/// Runs the program that leaks, with this value in the variable, and returns its answer.
#[track_caller]
fn answer(value: &str, args: &[&str]) -> String {
    let mut command = program("leaks");
    command.env("LOKY_MAX_MEMORY_LEAK_SIZE", value).args(args);
    let finished = run(&mut command);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    finished.stdout.trim().to_owned()
}

#[test]
fn variable_sets_the_limit() {
    assert_eq!(answer("1e6", &["leak"]), "replaced");
    assert_eq!(answer("1000000", &["leak"]), "replaced");
}

#[test]
fn builder_beats_the_variable() {
    assert_eq!(answer("1e18", &["leak", "1000000"]), "replaced");
    assert_eq!(answer("nonsense", &["build", "1000000"]), "built");
}

#[test]
fn bad_value_is_an_error_that_names_the_variable() {
    for value in ["", "300 MB", "0", "-1e6", "nan", "inf"] {
        let expected = format!(
            "InvalidConfig: `LOKY_MAX_MEMORY_LEAK_SIZE` must be a number of bytes greater than 0, such as `2e9`, not `{value}`"
        );
        assert_eq!(answer(value, &["build"]), expected);
        assert_eq!(answer(value, &["get"]), expected);
    }
}
