//! Something for each call that is not over, found without a hash and kept without an allocation of its own.
//!
//! Calls come and go in any order and in any number. So each has a *place*: a small number, free again when the call is over,
//! by which whoever keeps something for calls finds it in an array ([`CallMap`]). A place says nothing about which call it
//! is, so the call's own number, which is never used again, lies there too: an old id finds nothing.
//!
//! The array is cut into pages, so that it never moves while it grows, and memory goes back when a burst is over: a page
//! without calls is given up (but for one to spare, and the first). Whoever gives out the ids gives out the places as well
//! ([`CallIds`]), the one that became free last first, since that is warm. Tested in `tests.rs` beside a map of std.

#[cfg(test)]
mod tests;

use crate::id::CallId;

/// Gives out the ids of one pool.
#[derive(Debug, Default)]
pub(crate) struct CallIds {
    last_number: u64,
    /// How many places there are: each is a call's, or free.
    n_places: u32,
    free: Vec<u32>,
}

/// How many free places, or pages, are known without giving the memory for that back.
const FEW: usize = 1024;

impl CallIds {
    /// For a new call.
    pub(crate) fn next(&mut self) -> CallId {
        self.next_chunk(1)
    }

    /// For a new chunk of so many calls, each of which has a number.
    pub(crate) fn next_chunk(&mut self, count: u32) -> CallId {
        let number = self.last_number + 1;
        self.last_number += u64::from(count);
        CallId { number, place: self.take_place() }
    }

    /// One more call comes to a chunk of so many. False if the number that it would have is another's.
    pub(crate) fn extend(&mut self, chunk: CallId, count: u32) -> bool {
        let is_last = chunk.number + u64::from(count) == self.last_number + 1;
        self.last_number += u64::from(is_last);
        is_last
    }

    /// For a part of a chunk, which begins with this one of its calls, and has the number of that.
    pub(crate) fn part(&mut self, chunk: CallId, first: u32) -> CallId {
        CallId { number: chunk.number + u64::from(first), place: self.take_place() }
    }

    fn take_place(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            // Billions of calls would have filled the memory.
            self.n_places = self.n_places.checked_add(1).expect("fewer calls at one time");
            self.n_places - 1
        })
    }

    /// The call is over, and nothing is kept for it any more.
    pub(crate) fn release(&mut self, id: CallId) {
        if self.free.len() + 1 == self.n_places as usize {
            // It was the last one. The next ones lie in their order again.
            self.n_places = 0;
            self.free.clear();
            self.free.shrink_to(FEW);
        } else {
            self.free.push(id.place);
        }
    }
}

/// Something for each of many calls.
#[derive(Debug)]
pub(crate) struct CallMap<T> {
    pages: Vec<Option<Page<T>>>,
    /// An empty one, for where calls come and go at the border of a page.
    spare: Option<Page<T>>,
    len: usize,
}

/// A number of places, and of the calls that have one.
#[derive(Debug)]
struct Page<T> {
    entries: Box<[Option<Entry<T>>; PAGE]>,
    taken: usize,
}

#[derive(Debug)]
struct Entry<T> {
    number: u64,
    value: T,
}

/// How many places a page has: so many that its own bookkeeping is nothing, and so few that it is made at once.
const PAGE: usize = 64;

impl<T> Page<T> {
    fn new() -> Self {
        Self { entries: Box::new([const { None }; PAGE]), taken: 0 }
    }
}

impl<T> Default for CallMap<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), spare: None, len: 0 }
    }
}

/// The page of a place, and where it lies there.
fn locate(place: u32) -> (usize, usize) {
    (place as usize / PAGE, place as usize % PAGE)
}

impl<T> CallMap<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, id: &CallId) -> Option<&T> {
        let (page, at) = locate(id.place);
        let entry = self.pages.get(page)?.as_ref()?.entries[at].as_ref()?;
        (entry.number == id.number).then_some(&entry.value)
    }

    pub(crate) fn get_mut(&mut self, id: &CallId) -> Option<&mut T> {
        let (page, at) = locate(id.place);
        let entry = self.pages.get_mut(page)?.as_mut()?.entries[at].as_mut()?;
        (entry.number == id.number).then_some(&mut entry.value)
    }

    /// For a call that has nothing here, at a place where nothing is.
    pub(crate) fn insert(&mut self, id: CallId, value: T) {
        let (page, at) = locate(id.place);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let spare = &mut self.spare;
        let new = || spare.take().unwrap_or_else(Page::new);
        let page = self.pages[page].get_or_insert_with(new);
        let replaced = page.entries[at].replace(Entry { number: id.number, value });
        debug_assert!(replaced.is_none(), "a place for each call");
        page.taken += 1;
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, id: &CallId) -> Option<T> {
        let (index, at) = locate(id.place);
        let page = self.pages.get_mut(index)?.as_mut()?;
        let entry = page.entries[at].take_if(|entry| entry.number == id.number)?;
        page.taken -= 1;
        self.len -= 1;
        if page.taken == 0 && index > 0 {
            self.give_up(index);
        }
        Some(entry.value)
    }

    /// No call has a place in this page any more.
    fn give_up(&mut self, page: usize) {
        let page = self.pages[page].take();
        if self.spare.is_none() {
            self.spare = page;
        }
        while let Some(None) = self.pages.last() {
            self.pages.pop();
        }
        if self.pages.capacity() > FEW && self.pages.len() < self.pages.capacity() / 4 {
            self.pages.shrink_to(self.pages.len() * 2);
        }
    }

    /// What a call has that is known by its place alone: one of which it is known that it is not over.
    pub(crate) fn at_mut(&mut self, place: u32) -> Option<(CallId, &mut T)> {
        let (page, at) = locate(place);
        let Entry { number, value } = self.pages.get_mut(page)?.as_mut()?.entries[at].as_mut()?;
        Some((CallId { number: *number, place }, value))
    }

    /// All that is here, in the order of the places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CallId, &T)> {
        let places = self.pages.iter().zip(0_u32..).flat_map(|(page, number)| {
            let entries = page.iter().flat_map(|page| page.entries.iter());
            entries.zip(number * PAGE as u32..)
        });
        places.filter_map(|(entry, place)| {
            let Entry { number, value } = entry.as_ref()?;
            Some((CallId { number: *number, place }, value))
        })
    }
}
