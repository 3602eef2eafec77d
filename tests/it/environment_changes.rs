//! Variables that are removed from the environment of the workers, directories that leave again by `..`, and the variables of
//! `inner_threads`.

use std::ffi::OsString;
use std::fs;

use loky::{Builder, ErrorKind, ProcessPoolExecutor, ReusableBuilder, Shutdown};
use loky_tests::isolated;
use loky_tests::scratch::Scratch;
use loky_tests::tasks::{folder, nested, variable};

fn builder() -> Builder {
    ProcessPoolExecutor::builder().max_workers(1)
}

fn reusable() -> ReusableBuilder {
    loky::reusable_executor().max_workers(1)
}

/// The names of all variables of a worker.
#[loky::task]
fn names() -> Vec<OsString> {
    let mut names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    names.sort();
    names
}

#[track_caller]
fn check(builder: Builder, expected: &[(&str, Option<&str>)]) {
    let executor = builder.build().unwrap();
    for (name, value) in expected {
        let found = executor.submit(variable, (*name).to_owned()).result().unwrap();
        assert_eq!(found, value.map(OsString::from), "{name}");
    }
}

#[test]
fn env_remove_hides_inherited_variable() {
    isolated(|| {
        assert!(std::env::var_os("PATH").is_some());
        check(builder().env_remove("PATH"), &[("PATH", None)]);
        assert!(std::env::var_os("PATH").is_some());
    });
}

#[test]
fn last_of_env_and_env_remove_wins() {
    isolated(|| {
        let executor = builder()
            .env("LOKY_TESTS_A", "1")
            .worker_env("LOKY_TESTS_B", ["1"])
            .env_remove("LOKY_TESTS_A")
            .env_remove("LOKY_TESTS_B")
            .env_remove("PATH")
            .env_remove("HOME")
            .env_remove("LOKY_TESTS_NEVER_SET")
            .env("PATH", "/back")
            .worker_env("HOME", ["/again"]);
        check(
            executor,
            &[
                ("LOKY_TESTS_A", None),
                ("LOKY_TESTS_B", None),
                ("LOKY_TESTS_NEVER_SET", None),
                ("PATH", Some("/back")),
                ("HOME", Some("/again")),
            ],
        );
    });
}

#[test]
fn env_remove_beats_inner_threads() {
    isolated(|| {
        let [before, after] = [
            builder().env_remove("GOMAXPROCS").inner_threads(2),
            builder().inner_threads(2).env_remove("GOMAXPROCS"),
        ];
        for builder in [before, after] {
            check(builder, &[("GOMAXPROCS", None), ("TOKIO_WORKER_THREADS", Some("2"))]);
        }
    });
}

#[test]
fn inner_threads_sets_variables_of_libraries() {
    isolated(|| {
        let names = [
            "ASYNC_GLOBAL_EXECUTOR_THREADS",
            "ASYNC_STD_THREAD_COUNT",
            "BLIS_NUM_THREADS",
            "BLOSC_NTHREADS",
            "GOMAXPROCS",
            "MATMUL_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMBA_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "OPENCV_FOR_THREADS_NUM",
            "POLARS_MAX_THREADS",
            "RAYON_NUM_THREADS",
            "SMOL_THREADS",
            "TF_NUM_INTEROP_THREADS",
            "TF_NUM_INTRAOP_THREADS",
            "TOKIO_WORKER_THREADS",
            "VECLIB_MAXIMUM_THREADS",
            "VIPS_CONCURRENCY",
        ];
        check(builder().inner_threads(3), &names.map(|name| (name, Some("3"))));
        let executor = builder().env_clear().inner_threads(3).build().unwrap();
        let found = executor.submit(self::names, ()).result().unwrap();
        assert_eq!(found, names.map(OsString::from), "and no others");
    });
}

#[test]
fn env_clear_leaves_later_settings_only() {
    isolated(|| {
        let executor = builder()
            .env("LOKY_TESTS_A", "1")
            .worker_env("LOKY_TESTS_B", ["1"])
            .inner_threads(1)
            .env_clear()
            .env("LOKY_TESTS_C", "2")
            .env_remove("LOKY_TESTS_D")
            .build()
            .unwrap();
        // The worker has found its channel without any other variable.
        assert_eq!(executor.submit(names, ()).result().unwrap(), [OsString::from("LOKY_TESTS_C")]);
    });
}

#[test]
fn worker_with_empty_environment_nests_executors() {
    isolated(|| {
        let executor = builder().env_clear().build().unwrap();
        assert_eq!(executor.submit(nested, 2).result().unwrap(), 2);
    });
}

#[test]
fn removed_and_cleared_variables_are_part_of_the_reuse_comparison() {
    isolated(|| {
        let plain = reusable().get().unwrap();
        let removed = reusable().env_remove("LOKY_TESTS_A").get().unwrap();
        assert_ne!(removed.id(), plain.id());
        assert_eq!(reusable().env_remove("LOKY_TESTS_A").get().unwrap().id(), removed.id());
        let cleared = reusable().env_clear().get().unwrap();
        assert_ne!(cleared.id(), removed.id());
        let again = reusable().env("LOKY_TESTS_A", "1").env_clear().get().unwrap();
        assert_eq!(again.id(), cleared.id());
        let last = reusable().get().unwrap();
        assert_ne!(last.id(), cleared.id());
        last.shutdown(Shutdown::Wait);
    });
}

#[test]
fn removed_name_that_cannot_exist_is_rejected() {
    isolated(|| {
        for name in ["", "A=B", "A\0"] {
            let error = builder().env_remove(name).build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains("`env_remove`"), "{error}");
        }
    });
}

#[test]
fn parent_in_current_dir_survives_removal_of_neighbour() {
    isolated(|| {
        let scratch = Scratch::new();
        let [left, target] = ["left", "target"].map(|name| scratch.path().join(name));
        fs::create_dir(&left).unwrap();
        fs::create_dir(&target).unwrap();
        std::env::set_current_dir(&left).unwrap();
        let executor = builder().current_dir("../target").build().unwrap();
        std::env::set_current_dir("/").unwrap();
        fs::remove_dir(&left).unwrap();
        assert_eq!(executor.submit(folder, ()).result().unwrap(), target);
    });
}

#[test]
fn parent_of_symbolic_link_is_the_parent_of_its_target() {
    isolated(|| {
        let scratch = Scratch::new();
        let target = scratch.path().join("a/b/target");
        fs::create_dir_all(&target).unwrap();
        std::os::unix::fs::symlink(&target, scratch.path().join("link")).unwrap();
        let path = scratch.path().join("link/..");
        let executor = builder().current_dir(path).build().unwrap();
        fs::remove_file(scratch.path().join("link")).unwrap();
        let expected = scratch.path().join("a/b");
        assert_eq!(executor.submit(folder, ()).result().unwrap(), expected);
    });
}
