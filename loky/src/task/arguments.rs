//! The arguments of one call as bytes: put in one after another by the caller, taken out in the same order by the worker.

use crate::codec::{self, Attachments, CodecError, EncodedValue, ValueCodec};
use crate::segments::Segments;

/// The arguments of one call, one encoded value after the other.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct EncodedArgs<'a> {
    parcel: EncodedValue,
    segments: Option<&'a Segments>,
}

impl<'a> EncodedArgs<'a> {
    /// To be appended to `parcel`, but for what is long and finds a place in one of these segments.
    pub(crate) fn new(parcel: EncodedValue, segments: Option<&'a Segments>) -> Self {
        Self { parcel, segments }
    }

    /// Appends one argument.
    ///
    /// # Errors
    /// What serde says.
    pub fn put<T>(&mut self, witness: ValueCodec<T>, value: &T) -> Result<(), CodecError> {
        witness.encode(value, &mut self.parcel, self.segments)
    }

    pub(crate) fn into_parcel(self) -> EncodedValue {
        self.parcel
    }
}

/// The arguments of one call, to be taken one after the other.
#[doc(hidden)]
#[derive(Debug)]
pub struct Arguments<'a> {
    rest: &'a [u8],
    attachments: Attachments,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(bytes: &'a [u8], attachments: Attachments) -> Self {
        Self { rest: bytes, attachments }
    }

    /// Takes the next argument.
    ///
    /// # Errors
    /// What serde says.
    pub fn take<T>(&mut self, witness: ValueCodec<T>) -> Result<T, CodecError> {
        witness.decode(&mut self.rest, &self.attachments)
    }

    /// Nothing may be left when all were taken. What came beside them is the values' own from here on.
    pub(crate) fn finish(self) -> Result<(), CodecError> {
        codec::at_end(self.rest)
    }
}
