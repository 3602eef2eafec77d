//! Compiles the programs in `cases`: those in `pass` are run as well, those in `fail` must say what lies beside them.
//!
//! `TRYBUILD=overwrite cargo test -p loky-ui-tests` writes anew what they say; read the difference before keeping it. Each
//! program has 25 lines at most, and one idea.

#[test]
fn programs_that_are_accepted() {
    trybuild::TestCases::new().pass("cases/pass/*.rs");
}

#[test]
fn programs_that_are_refused() {
    trybuild::TestCases::new().compile_fail("cases/fail/*.rs");
}
