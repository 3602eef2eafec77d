//! The entry of a program: where it is decided whether this process is a worker.
//!
//! Three ways lead here: [`main!`](crate::main), [`init`] by hand, and [`enable_test_support!`](crate::enable_test_support),
//! which runs before `main`. In a worker none of them returns.

use std::ffi::{c_char, c_int};

use std::thread;

use crate::executor;
use crate::pool;
use crate::role;
use crate::scheduler::Shutdown;
use crate::sys::init_array::{self, Initializer};
use crate::sys::startup;
use crate::worker::{self, Calling, NestedPools};

/// Makes this process a worker, if that is what it was started for; returns otherwise.
///
/// To be called as the first statement of `main`, before there are threads, by a program that does not use
/// [`main!`](crate::main). At the end of such a program nothing waits for calls that are not over; [`main!`](crate::main) does.
///
/// ```
/// #[loky::task]
/// fn one() -> u64 {
///     1
/// }
///
/// fn main() {
///     loky::init();
///     let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
///     assert_eq!(executor.submit(one, ()).result().unwrap(), 1);
/// }
/// ```
pub fn init() {
    role::set_entered();
    prepare_for_forks();
    if let Calling::Worker(cookie) = worker::calling() {
        startup::close_inherited();
        worker::run(cookie, NESTED_POOLS);
    }
}

/// Uses for the first time, while there is hardly another thread, what a fork must not find in the middle of its first use.
fn prepare_for_forks() {
    let _ = (pool::are_any_left(), executor::is_one_shared());
}

/// What `loky::main!` holds while the user's `main` runs. At its end the executors that are still there finish what they have
/// accepted; if it ends in a panic, they are killed.
#[doc(hidden)]
#[derive(Debug)]
#[must_use]
pub struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        pool::end_all(if thread::panicking() { Shutdown::Kill } else { Shutdown::Wait });
    }
}

/// What a worker does at its own end: so that what its tasks have submitted without waiting for it is not lost.
const NESTED_POOLS: NestedPools =
    NestedPools { are_any_left: pool::are_any_left, finish: || pool::end_all(Shutdown::Wait) };

/// The beginning of what `loky::main!` expands to.
#[doc(hidden)]
pub fn enter() -> Entered {
    init();
    Entered(())
}

/// What `enable_test_support!` has called before `main`, with the place of that call in the linker's table.
#[doc(hidden)]
pub fn enter_before_main(
    own: &'static Initializer,
    argc: c_int,
    argv: *const *const c_char,
    envp: *const *const c_char,
) {
    role::set_entered();
    prepare_for_forks();
    if let Calling::Worker(cookie) = worker::calling() {
        startup::close_inherited(); // Before others open what is theirs.
        // This never returns to where the remaining ones would be called.
        init_array::run_remaining(own, argc, argv, envp);
        worker::run(cookie, NESTED_POOLS);
    }
}

/// Lets the `#[test]` functions of a test binary use executors. Once, at the root of the crate.
///
/// Test binaries have a `main` of their own, in which no entry can stand; this one runs before it. For benches and examples
/// with such a `main` as well.
///
/// ```
/// loky::enable_test_support!();
///
/// #[loky::task]
/// fn one() -> u64 {
///     1
/// }
///
/// # fn main() {
/// let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
/// assert_eq!(executor.submit(one, ()).result().unwrap(), 1);
/// # }
/// ```
#[macro_export]
macro_rules! enable_test_support {
    () => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static ENTER: $crate::__private::v1::Initializer = enter;

            extern "C" fn enter(
                argc: ::core::ffi::c_int,
                argv: *const *const ::core::ffi::c_char,
                envp: *const *const ::core::ffi::c_char,
            ) {
                $crate::__private::v1::enter_before_main(&ENTER, argc, argv, envp);
            }
        };
    };
}
