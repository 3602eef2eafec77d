//! Gets Ctrl-C twice, goes on, and prints whether its workers did.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loky_tests::{Event, tasks, until};

static INTERRUPTIONS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note(_signal: libc::c_int) {
    INTERRUPTIONS.fetch_add(1, Ordering::Relaxed);
}

fn until_interrupted(times: usize) {
    let is_interrupted = || INTERRUPTIONS.load(Ordering::Relaxed) == times;
    until("Ctrl-C", Duration::from_secs(60), is_interrupted);
}

loky::main! {
    fn main() {
        // SAFETY: the handler does nothing but count.
        #[expect(unsafe_code, reason = "std has no signals")]
        unsafe {
            libc::signal(libc::SIGINT, note as *const () as libc::sighandler_t)
        };
        let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build().unwrap();
        executor.prewarm().unwrap();
        let workers = executor.worker_pids();
        let gate = Event::new();
        let call = executor.submit(tasks::wait, gate.clone());
        until("a call that runs", Duration::from_secs(60), || call.is_running());
        println!("ready");
        until_interrupted(1);
        println!("interrupted");
        until_interrupted(2);
        gate.set();
        call.result().unwrap();
        println!("the call went on");
        assert_eq!(executor.submit(tasks::add, (1, 2)).result().unwrap(), 3);
        assert_eq!(executor.worker_pids(), workers);
        println!("the workers have not changed");
    }
}
