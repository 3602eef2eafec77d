//! `map`: the results of a task over an iterable, lazily.
//!
//! ```text
//!  iterable ──source──▶ encoded calls ──supply──▶ pool
//!                                                   │ futures
//!  consumer ◀──Map, MapUnordered──── flow ◀──── in flight
//! ```
//!
//! Everything happens in the consumer's thread, inside of `next`: it takes and submits what the [`pace`] allows, waits for the
//! next result, and yields it. Each item is a call of its own; a chunk is only what is submitted at once, and what of it is
//! known to be short travels [together](gather). The two iterators
//! differ in which of the calls [in flight](in_flight) comes next, and in nothing else.
//!
//! What it must never do: take from the iterable before the first `next`, after its end or after it has panicked; hold more
//! calls than the window; lose an item that it took. Unit tests in `tests.rs`, the rest in the package `tests`.

mod flow;
mod gather;
mod in_flight;
mod ordered;
mod pace;
mod source;
mod supply;
#[cfg(test)]
mod tests;
mod unordered;

pub use self::ordered::Map;
pub use self::unordered::MapUnordered;

use self::source::Items;
use self::supply::Supply;
use crate::codec;
use crate::executor::ProcessPoolExecutor;
use crate::registry::IntoTask;

impl ProcessPoolExecutor {
    /// Calls `task` with each item of `iterable` and yields the results in the order of the items.
    ///
    /// Lazy: nothing is submitted before the first `next`, and then only a bounded number of calls ahead of the consumer, so
    /// a huge or endless iterable works. An item that fails is an `Err` of its own, and the iteration goes on. Dropping the
    /// iterator cancels what has not started.
    ///
    /// ```
    /// #[loky::task]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// loky::main! {
    ///     fn main() -> loky::Result<()> {
    ///         let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
    ///         let squares: Vec<u64> = executor.map(square, 0..4).collect::<Result<_, _>>()?;
    ///         assert_eq!(squares, [0, 1, 4, 9]);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// [`Map`] has adapters for how it is done: [`timeout`](Map::timeout), [`unordered`](Map::unordered),
    /// [`window`](Map::window), [`chunksize`](Map::chunksize).
    ///
    /// The iterable is asked in the thread that calls `next`. If it panics there, so does that `next`. It is not asked again
    /// then; who catches the panic gets the results of what it gave before, and then the end.
    pub fn map<'a, T, Args, Kind, I>(&self, task: T, iterable: I) -> Map<'a, T::Output>
    where
        T: IntoTask<Args, Kind>,
        Args: 'a,
        I: IntoIterator<Item = Args>,
        I::IntoIter: Send + 'a,
    {
        let task = task.into_task();
        let (name, output) = match &task {
            Ok(task) => (task.name(), task.output()),
            Err(_) => (std::any::type_name::<T>(), codec::refused()),
        };
        let segments = Some(self.segments().clone());
        let source = Box::new(Items { items: iterable.into_iter(), task, segments });
        Map::new(Supply::new(self.clone(), name, output, source))
    }
}
