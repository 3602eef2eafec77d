//! The two handles: of memory that is being filled, and of memory that is frozen.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::Pod;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::hint;
use crate::sys::pod::bytes_of;
use crate::sys::segment::{Segment, SegmentMut};

/// Values in shared memory: like an `Arc<[T]>` whose clones may live in several processes.
///
/// Nobody can change them. As argument or result of a task only the handle travels, however long it is, and a worker reads
/// them where they are. See the [module](super) for an example, and for how long the memory lives.
///
/// ```
/// use loky::shared::SharedSlice;
///
/// let table = SharedSlice::<f64>::from_slice(&[0.5, 1.0, 2.0])?;
/// assert_eq!(table[1], 1.0);
/// assert_eq!(table.iter().sum::<f64>(), 3.5);
/// assert_eq!(*table, [0.5, 1.0, 2.0]);
/// # Ok::<(), loky::Error>(())
/// ```
///
/// What arrives is checked: that it is of the same type, whole, and frozen. A worker that sends something else fails the call.
pub struct SharedSlice<T: Pod> {
    segment: Arc<Segment>,
    elements: PhantomData<T>,
}

impl<T: Pod> SharedSlice<T> {
    /// New shared memory with these values. They are copied, once.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if this process has no descriptors left (the message names `RLIMIT_NOFILE`), or the system no memory.
    pub fn from_slice(values: &[T]) -> Result<Self> {
        let segment = Segment::create(bytes_of(values));
        segment.map(Self::from_segment).map_err(|error| failed(size_of_val(values), error))
    }

    /// As [`from_slice`](Self::from_slice), for those who have no more use for the vector.
    ///
    /// # Errors
    /// As [`from_slice`](Self::from_slice).
    #[expect(clippy::needless_pass_by_value, reason = "the memory of the vector is to go")]
    pub fn from_vec(values: Vec<T>) -> Result<Self> {
        Self::from_slice(&values)
    }

    pub(super) fn from_segment(segment: Segment) -> Self {
        Self { segment: Arc::new(segment), elements: PhantomData }
    }

    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }
}

/// Another handle to the same memory.
impl<T: Pod> Clone for SharedSlice<T> {
    fn clone(&self) -> Self {
        Self { segment: Arc::clone(&self.segment), elements: PhantomData }
    }
}

impl<T: Pod> Deref for SharedSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.segment.elements()
    }
}

impl<T: Pod> AsRef<[T]> for SharedSlice<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for SharedSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// By the values.
impl<T: Pod + PartialEq> PartialEq for SharedSlice<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod + Eq> Eq for SharedSlice<T> {}

impl<T: Pod + Hash> Hash for SharedSlice<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// Of the values, where they are.
impl<'a, T: Pod> IntoIterator for &'a SharedSlice<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Values in shared memory that are being filled in, by this process alone.
///
/// [`freeze`](Self::freeze) makes a [`SharedSlice`] of it, without a copy; before that it does not travel.
///
/// ```
/// use loky::shared::SharedSliceMut;
///
/// let mut squares = SharedSliceMut::<u64>::zeroed(4)?;
/// for (i, square) in squares.iter_mut().enumerate() {
///     *square = (i * i) as u64;
/// }
/// let squares = squares.freeze()?;
/// assert_eq!(*squares, [0, 1, 4, 9]);
/// # Ok::<(), loky::Error>(())
/// ```
pub struct SharedSliceMut<T: Pod> {
    segment: SegmentMut,
    elements: PhantomData<T>,
}

impl<T: Pod> SharedSliceMut<T> {
    /// So many values, whose bytes are all zero.
    ///
    /// Memory is taken as they are written. Of a long one (4 MiB or more) the first 256 MiB are there at once, if the system gives
    /// huge pages for the asking (`MADV_COLLAPSE` of madvise(2), Linux 6.1): they are filled several times as fast then, and read
    /// ten times as fast.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if this process has no descriptors left (the message names `RLIMIT_NOFILE`), or the system no memory, or
    /// if that is more than the address space holds.
    pub fn zeroed(n: usize) -> Result<Self> {
        let Some(bytes) =
            n.checked_mul(size_of::<T>()).filter(|bytes| isize::try_from(*bytes).is_ok())
        else {
            let error = io::Error::from(io::ErrorKind::OutOfMemory);
            return Err(failed(usize::MAX, error));
        };
        match SegmentMut::zeroed(bytes) {
            Ok(segment) => Ok(Self { segment, elements: PhantomData }),
            Err(error) => Err(failed(bytes, error)),
        }
    }

    /// The same memory, which nobody can change from now on.
    ///
    /// It is not copied, unless a process that was forked off this one can still write to it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the system refuses it. The values are gone then.
    pub fn freeze(self) -> Result<SharedSlice<T>> {
        let frozen = self.segment.freeze().map_err(|error| {
            let message = format!("cannot freeze shared memory{}", hint(&error));
            Error::io(ErrorKind::Io, &message, error)
        });
        frozen.map(SharedSlice::from_segment)
    }
}

impl<T: Pod> Deref for SharedSliceMut<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.segment.elements()
    }
}

impl<T: Pod> DerefMut for SharedSliceMut<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.segment.elements_mut()
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for SharedSliceMut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

fn failed(bytes: usize, error: io::Error) -> Error {
    let message = format!("cannot make shared memory of {bytes} bytes{}", hint(&error));
    Error::io(ErrorKind::Io, &message, error)
}
