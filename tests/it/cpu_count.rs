//! The CPU counts follow the limits of this process, whether it set them itself or inherited them.

use loky_tests::{isolated, program, run};

const VARIABLE: &str = "LOKY_MAX_CPU_COUNT";

/// The two counts of a program that is started with this in the variable.
#[track_caller]
fn counts_of_program(value: Option<&str>) -> (usize, usize) {
    let mut command = program("cpu_counts");
    command.env_remove(VARIABLE).envs(value.map(|value| (VARIABLE, value)));
    let finished = run(&mut command);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    let (logical, physical) = finished.stdout.trim().split_once(' ').unwrap();
    (logical.parse().unwrap(), physical.parse().unwrap())
}

/// Lets the calling thread, and what it starts, run on one CPU only: the one that it is on.
fn stay_on_this_cpu() {
    #[expect(unsafe_code, reason = "std does not know it")]
    // SAFETY: without arguments.
    let cpu = unsafe { libc::sched_getcpu() };
    let cpu = usize::try_from(cpu).unwrap();
    // As many words as it takes, and not `cpu_set_t`, which has room for 1024 CPUs.
    let mut mask = vec![0_usize; cpu / usize::BITS as usize + 1];
    *mask.last_mut().unwrap() = 1 << (cpu % usize::BITS as usize);
    #[expect(unsafe_code, reason = "std does not know it")]
    // SAFETY: reads as many bytes of the mask as there are.
    let answer =
        unsafe { libc::sched_setaffinity(0, size_of_val(mask.as_slice()), mask.as_ptr().cast()) };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

/// Python loky's `test_cpu_count_os_sched_getaffinity`.
#[test]
fn affinity_of_program_limits_counts() {
    isolated(|| {
        stay_on_this_cpu();
        assert_eq!(counts_of_program(None), (1, 1));
    });
}

/// Python loky's `test_cpu_count_psutil_affinity`.
#[test]
fn affinity_of_process_limits_counts() {
    isolated(|| {
        stay_on_this_cpu();
        assert_eq!((loky::cpu_count(), loky::physical_cpu_count()), (1, 1));
        let of_another_thread = std::thread::spawn(loky::cpu_count).join().unwrap();
        assert_eq!(of_another_thread, 1, "it inherits the mask");
    });
}

#[test]
fn variable_limits_both_counts() {
    isolated(|| {
        let free = counts_of_program(None);
        for value in ["1", "0", "-1", " 1 "] {
            assert_eq!(counts_of_program(Some(value)), (1, 1), "{value:?}");
        }
        assert_eq!(counts_of_program(Some("2")), (free.0.min(2), free.1.min(2)));
        for value in ["100000", "99999999999999999999"] {
            assert_eq!(counts_of_program(Some(value)), free, "it does not raise them: {value}");
        }
        for value in ["", "abc", "1.5"] {
            assert_eq!(counts_of_program(Some(value)), free, "it is no number: {value:?}");
        }
    });
}
