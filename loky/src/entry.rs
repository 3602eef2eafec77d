//! The entry of a program, which finds out whether this process is a worker.
//!
//! There are three: [`#[entry]`](macro@crate::entry) or [`main!`](crate::main), [`init`] by hand, and
//! [`enable_test_support!`](crate::enable_test_support), which runs before `main`. In a worker none of them returns.

use std::ffi::{c_char, c_int};

use std::thread;

use crate::executor;
use crate::pool;
use crate::role;
use crate::scheduler::Shutdown;
use crate::sys::init_array::{self, Initializer};
use crate::sys::startup;
use crate::worker::{self, Calling, NestedPools};

/// Makes this process a worker, if it was started as one. Returns otherwise.
///
/// A program without [`#[loky::entry]`](macro@crate::entry) calls it as the first statement of `main`, before it has threads. The
/// end of such a program does not wait for unfinished calls.
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

/// Initialises the locks that a fork must not find half initialised, while the process has hardly another thread.
fn prepare_for_forks() {
    let _ = (pool::are_any_left(), executor::is_one_shared());
}

/// The guard that an entry holds while the user's `main` runs. Its drop lets the remaining executors finish the accepted calls,
/// or kills them during a panic.
#[doc(hidden)]
#[derive(Debug)]
#[must_use]
pub struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        pool::end_all(if thread::panicking() { Shutdown::Kill } else { Shutdown::Wait });
    }
}

/// The end of a worker: calls that its tasks have submitted, and not waited for, are finished.
const NESTED_POOLS: NestedPools =
    NestedPools { are_any_left: pool::are_any_left, finish: || pool::end_all(Shutdown::Wait) };

/// The first statement of the expansion of an entry.
#[doc(hidden)]
pub fn enter() -> Entered {
    init();
    Entered(())
}

/// The function that `enable_test_support!` runs before `main`. `own` is the place of that call in the linker's table.
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
        startup::close_inherited(); // Before the remaining initialisers open descriptors of their own.
        // The caller would run the remaining initialisers, but this function never returns to it.
        init_array::run_remaining(own, argc, argv, envp);
        worker::run(cookie, NESTED_POOLS);
    }
}

/// Lets the `#[test]` functions of a test binary use executors. Write it once, at the root of the crate.
///
/// The `main` of a test binary is generated, so it cannot have an entry. This entry runs before it. It also serves benches and
/// examples with a generated `main`.
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
