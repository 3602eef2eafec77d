//! The two handles: [`SharedSliceMut`] of memory that one process fills, and [`SharedSlice`] of frozen memory.
//!
//! `sys/segment.rs` owns the memory and its seals; this file holds no unsafe code. Tested in `tests.rs`.

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
/// The values cannot change. As argument or result of a task only a handle of fixed size travels, and a worker reads the values
/// in place. See the [module](super) for an example with tasks, and for the lifetime of the memory.
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
/// The receiver checks that the memory is frozen, complete, and of its element type. Otherwise the call fails with
/// [`ErrorKind::DecodeArgs`] or [`ErrorKind::DecodeResult`].
pub struct SharedSlice<T: Pod> {
    segment: Arc<Segment>,
    elements: PhantomData<T>,
}

impl<T: Pod> SharedSlice<T> {
    /// Creates shared memory with a copy of `values`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the system has no memory, or this process no descriptors. The message names `RLIMIT_NOFILE` then.
    ///
    /// ```
    /// use loky::shared::SharedSlice;
    ///
    /// let primes = SharedSlice::from_slice(&[2_u32, 3, 5, 7])?;
    /// assert_eq!(primes.len(), 4);
    /// # Ok::<(), loky::Error>(())
    /// ```
    pub fn from_slice(values: &[T]) -> Result<Self> {
        let segment = Segment::create(bytes_of(values));
        segment.map(Self::from_segment).map_err(|error| failed(size_of_val(values), error))
    }

    /// Creates shared memory with the values of a vector. They are copied, and the vector is freed.
    ///
    /// # Errors
    /// Those of [`from_slice`](Self::from_slice).
    ///
    /// ```
    /// use loky::shared::SharedSlice;
    ///
    /// let squares = SharedSlice::from_vec((0..100_u64).map(|x| x * x).collect())?;
    /// assert_eq!(squares[9], 81);
    /// # Ok::<(), loky::Error>(())
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "the vector is freed here")]
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

/// A clone is another handle of one memory.
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

/// Compares the values.
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

/// Iterates over the values in place.
impl<'a, T: Pod> IntoIterator for &'a SharedSlice<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Values in shared memory that this process fills before it shares them.
///
/// [`freeze`](Self::freeze) turns it into a [`SharedSlice`] without a copy. Before that it cannot be an argument or result.
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
    /// Creates shared memory for `n` values, whose bytes are all zero.
    ///
    /// The system provides memory as the values are written. From 4 MiB on, the first 256 MiB are provided at once in huge pages,
    /// where the system has them (`MADV_COLLAPSE` of madvise(2), Linux 6.1). Filling is several times as fast then, and reading ten
    /// times.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the system has no memory, or this process no descriptors, or if the address space is too small. The
    /// message names `RLIMIT_NOFILE` where that is the limit.
    ///
    /// ```
    /// use loky::shared::SharedSliceMut;
    ///
    /// let mut image = SharedSliceMut::<u8>::zeroed(640 * 480)?;
    /// image[..640].fill(0xff); // the first row
    /// assert_eq!(image.iter().filter(|pixel| **pixel == 0xff).count(), 640);
    /// # Ok::<(), loky::Error>(())
    /// ```
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

    /// Freezes the memory: the kernel lets no process change it any more.
    ///
    /// The values are not copied, with one exception: a process that was forked off this one can still write to them.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the system has no memory or descriptors for it. The values are lost then.
    ///
    /// ```
    /// use loky::shared::{SharedBytes, SharedSliceMut};
    ///
    /// let mut page = SharedSliceMut::zeroed(6)?;
    /// page.copy_from_slice(b"<html>");
    /// let page: SharedBytes = page.freeze()?;
    /// assert_eq!(&*page, b"<html>");
    /// # Ok::<(), loky::Error>(())
    /// ```
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
    let message = format!("cannot create shared memory of {bytes} bytes{}", hint(&error));
    Error::io(ErrorKind::Io, &message, error)
}
