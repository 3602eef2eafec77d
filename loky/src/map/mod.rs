//! `map`: calls a task with each item of an iterable, lazily, and yields the results.
//!
//! ```text
//!  iterable ──source──▶ encoded calls ──supply──▶ pool
//!                                                   │ futures
//!  consumer ◀──Map, MapUnordered──── flow ◀──── in flight
//! ```
//!
//! All work happens in the consumer's thread, inside `next`: it takes and submits as many items as the [`pace`] allows, waits for
//! the next result, and yields it. Each item is a call of its own. A chunk is the number of items that are submitted at once. Calls
//! of a chunk that are known to be short travel together, [as a batch](gather). The two iterators differ only in which of the calls
//! [in flight](in_flight) comes next.
//!
//! A map must never take from the iterable before the first `next`, after its end, or after it has panicked. It must never hold more
//! calls than the window, nor lose an item that it took. Unit tests are in `tests.rs`, the others in the package `tests`.

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
    /// The iterator is lazy. It submits nothing before the first `next`, and then only a bounded number of calls ahead of the
    /// consumer, so an endless iterable works. An item that fails yields its own `Err`, and the iteration goes on. Dropping the
    /// iterator cancels the calls that have not begun.
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
    /// [`Map`] has adapters: [`timeout`](Map::timeout), [`unordered`](Map::unordered), [`window`](Map::window) and
    /// [`chunksize`](Map::chunksize).
    ///
    /// # Panics
    /// `next` panics if the iterable panics, which runs in the thread that calls `next`. The map does not ask the iterable again. A
    /// caller that catches the panic gets the results of the items before it, and then the end.
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
