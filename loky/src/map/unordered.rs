//! The map that yields its results in completion order.

use std::fmt;
use std::iter::FusedIterator;

use super::flow::Flow;
use super::in_flight::Pile;
use crate::error::Result;

/// The results of a [`Map::unordered`](super::Map::unordered) in completion order, each with the index of its item.
///
/// A call that takes long delays only its own result. Each index comes once. An error that ends the map
/// ([`ErrorKind::Timeout`](crate::ErrorKind::Timeout), [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig)) comes with
/// the index of the first item that has no result.
///
/// ```
/// #[loky::task]
/// fn length(word: String) -> usize {
///     word.len()
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build()?;
///         let words = ["any", "order", "will", "do"];
///         let mut lengths = [0; 4];
///         for (index, length) in executor.map(length, words.map(String::from)).unordered() {
///             lengths[index] = length?;
///         }
///         assert_eq!(lengths, [3, 5, 4, 2]);
///         Ok(())
///     }
/// }
/// ```
#[must_use = "iterators do nothing until they are used"]
pub struct MapUnordered<'a, R: 'static> {
    pub(super) flow: Flow<'a, R, Pile<R>>,
}

impl<R> Iterator for MapUnordered<'_, R> {
    type Item = (usize, Result<R>);

    fn next(&mut self) -> Option<(usize, Result<R>)> {
        self.flow.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.flow.size_hint()
    }
}

impl<R> FusedIterator for MapUnordered<'_, R> {}

impl<R> fmt::Debug for MapUnordered<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.flow.debug("MapUnordered", f)
    }
}
