//! A table of values by call: found without a hash, stored without an allocation of its own.
//!
//! Calls begin and end in any order and in any number. Each has an *index*: a small number, free again when the call is
//! over, that finds its value in an array ([`CallMap`]). An index is used again, so the entry also stores the call's
//! number, which is never used again: a stale id finds nothing.
//!
//! The array is cut into chunks of [`CHUNK`] entries, so entries never move while it grows, and memory returns to the
//! system after a burst. The map frees a chunk without calls, except the first and one to spare. [`CallIds`] gives out ids and
//! indices together, the most recently freed index first, because its memory is in the cache.
//!
//! The map holds no lock and knows nothing of workers. `tests.rs` compares it with a map of the standard library.

#[cfg(test)]
mod tests;

use crate::id::CallId;

/// The source of the ids of one pool.
#[derive(Debug, Default)]
pub(crate) struct CallIds {
    last_number: u64,
    /// The number of indices, in use and free.
    n_indices: u32,
    free: Vec<u32>,
}

/// The capacity, in entries, that bookkeeping vectors keep after a burst.
const KEPT_CAPACITY: usize = 1024;

impl CallIds {
    /// Returns the id of a new call.
    pub(crate) fn next(&mut self) -> CallId {
        self.next_batch(1)
    }

    /// Returns the id of a new batch of `count` calls, and reserves a number for each of these.
    pub(crate) fn next_batch(&mut self, count: u32) -> CallId {
        let number = self.last_number + 1;
        self.last_number += u64::from(count);
        CallId { number, index: self.take_index() }
    }

    /// Reserves a number for one more call of a batch of `count` calls. False if that number belongs to another call.
    pub(crate) fn extend(&mut self, batch: CallId, count: u32) -> bool {
        let is_last = batch.number + u64::from(count) == self.last_number + 1;
        self.last_number += u64::from(is_last);
        is_last
    }

    /// Returns the id of the part of a batch that begins at its call `first`: that call's number, and an index of its own.
    pub(crate) fn part(&mut self, batch: CallId, first: u32) -> CallId {
        CallId { number: batch.number + u64::from(first), index: self.take_index() }
    }

    fn take_index(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.n_indices =
                self.n_indices.checked_add(1).expect("memory ends before 2³² calls are open");
            self.n_indices - 1
        })
    }

    /// Frees the index of a call that is over and has no entry in any map.
    pub(crate) fn release(&mut self, id: CallId) {
        if self.free.len() + 1 == self.n_indices as usize {
            // No call is open, so indices start from 0 and ascend again.
            self.n_indices = 0;
            self.free.clear();
            self.free.shrink_to(KEPT_CAPACITY);
        } else {
            self.free.push(id.index);
        }
    }
}

/// A map from calls to values of one type.
#[derive(Debug)]
pub(crate) struct CallMap<T> {
    chunks: Vec<Option<Chunk<T>>>,
    /// An empty chunk, so that calls at the border of two chunks do not allocate and free one each time.
    spare: Option<Chunk<T>>,
    len: usize,
}

/// The entries of [`CHUNK`] consecutive indices.
#[derive(Debug)]
struct Chunk<T> {
    entries: Box<[Option<Entry<T>>; CHUNK]>,
    n_used: usize,
}

#[derive(Debug)]
struct Entry<T> {
    number: u64,
    value: T,
}

/// Entries of a chunk: enough to make its bookkeeping negligible, few enough to allocate and clear it quickly.
const CHUNK: usize = 64;

impl<T> Chunk<T> {
    fn new() -> Self {
        Self { entries: Box::new([const { None }; CHUNK]), n_used: 0 }
    }
}

impl<T> Default for CallMap<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), spare: None, len: 0 }
    }
}

/// Returns the chunk of an index, and the position in that chunk.
fn locate(index: u32) -> (usize, usize) {
    (index as usize / CHUNK, index as usize % CHUNK)
}

impl<T> CallMap<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, id: &CallId) -> Option<&T> {
        let (chunk, at) = locate(id.index);
        let entry = self.chunks.get(chunk)?.as_ref()?.entries[at].as_ref()?;
        (entry.number == id.number).then_some(&entry.value)
    }

    pub(crate) fn get_mut(&mut self, id: &CallId) -> Option<&mut T> {
        let (chunk, at) = locate(id.index);
        let entry = self.chunks.get_mut(chunk)?.as_mut()?.entries[at].as_mut()?;
        (entry.number == id.number).then_some(&mut entry.value)
    }

    /// Inserts the value of a call whose index has none.
    pub(crate) fn insert(&mut self, id: CallId, value: T) {
        let (chunk, at) = locate(id.index);
        if self.chunks.len() <= chunk {
            self.chunks.resize_with(chunk + 1, || None);
        }
        let spare = &mut self.spare;
        let new = || spare.take().unwrap_or_else(Chunk::new);
        let chunk = self.chunks[chunk].get_or_insert_with(new);
        let replaced = chunk.entries[at].replace(Entry { number: id.number, value });
        debug_assert!(replaced.is_none(), "one open call for each index");
        chunk.n_used += 1;
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, id: &CallId) -> Option<T> {
        let (index, at) = locate(id.index);
        let chunk = self.chunks.get_mut(index)?.as_mut()?;
        let entry = chunk.entries[at].take_if(|entry| entry.number == id.number)?;
        chunk.n_used -= 1;
        self.len -= 1;
        if chunk.n_used == 0 && index > 0 {
            self.free_chunk(index);
        }
        Some(entry.value)
    }

    /// Frees a chunk that has become empty, or keeps it as the spare one.
    fn free_chunk(&mut self, chunk: usize) {
        let chunk = self.chunks[chunk].take();
        if self.spare.is_none() {
            self.spare = chunk;
        }
        while let Some(None) = self.chunks.last() {
            self.chunks.pop();
        }
        if self.chunks.capacity() > KEPT_CAPACITY && self.chunks.len() < self.chunks.capacity() / 4
        {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }

    /// Returns the call at an index and its value. The caller knows that the call is open.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<(CallId, &mut T)> {
        let (chunk, at) = locate(index);
        let Entry { number, value } = self.chunks.get_mut(chunk)?.as_mut()?.entries[at].as_mut()?;
        Some((CallId { number: *number, index }, value))
    }

    /// Iterates over all calls and their values, in the order of their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CallId, &T)> {
        let entries = self.chunks.iter().zip(0_u32..).flat_map(|(chunk, number)| {
            let entries = chunk.iter().flat_map(|chunk| chunk.entries.iter());
            entries.zip(number * CHUNK as u32..)
        });
        entries.filter_map(|(entry, index)| {
            let Entry { number, value } = entry.as_ref()?;
            Some((CallId { number: *number, index }, value))
        })
    }
}
