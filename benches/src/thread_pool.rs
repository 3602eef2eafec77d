//! The reference for many calls at once: a pool of threads.
//!
//! A plain implementation: a channel of boxed closures, and a channel of capacity one for each result. It does the bookkeeping
//! of a process pool without another process.

use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run submitted closures.
#[derive(Debug)]
pub struct ThreadPool {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl ThreadPool {
    /// Creates a pool of `n_threads` threads.
    #[must_use]
    pub fn new(n_threads: usize) -> Self {
        let (jobs, queue) = unbounded::<Job>();
        let thread =
            |queue: Receiver<Job>| thread::spawn(move || queue.iter().for_each(|job| job()));
        let threads = (0..n_threads).map(|_| thread(queue.clone())).collect();
        Self { jobs: Some(jobs), threads }
    }

    /// Runs `run` on a thread of the pool, and returns the channel of its result.
    ///
    /// # Panics
    /// Never: the threads live as long as the pool.
    pub fn submit<R: Send + 'static>(
        &self,
        run: impl FnOnce() -> R + Send + 'static,
    ) -> Receiver<R> {
        let (result, receiver) = bounded(1);
        let job = Box::new(move || {
            // The receiver may be dropped.
            let _ = result.send(run());
        });
        let jobs = self.jobs.as_ref().expect("taken by the drop alone");
        jobs.send(job).expect("the threads hold the other end");
        receiver
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_threads_run_jobs() {
        let pool = ThreadPool::new(2);
        let results: Vec<_> = (0..100).map(|i| pool.submit(move || i * 2)).collect();
        let sum: i32 = results.into_iter().map(|result| result.recv().expect("a result")).sum();
        assert_eq!(sum, 9900);
        let here = thread::current().id();
        assert_ne!(pool.submit(|| thread::current().id()).recv(), Ok(here));
    }
}
