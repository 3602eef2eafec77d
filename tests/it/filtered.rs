//! Where the system allows no page, pools use the stream alone. The program `filtered` forbids itself what a page needs.

use loky_tests::{isolated, program, run};

#[track_caller]
fn check(forbidden: &str, errno: i32) {
    let finished = run(program("filtered").args([forbidden, &errno.to_string()]));
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{forbidden} {errno}");
}

#[test]
fn pool_without_memfd_uses_stream() {
    isolated(|| {
        check("memfd", libc::ENOSYS);
        check("memfd", libc::EPERM);
    });
}

#[test]
fn pool_without_seals_uses_stream() {
    isolated(|| {
        check("seals", libc::EINVAL);
        check("seals", libc::EPERM);
    });
}
