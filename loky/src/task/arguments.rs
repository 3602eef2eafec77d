//! The arguments of one call as bytes. The caller appends them one after another, and the worker takes them in that order.

use crate::codec::{self, Attachments, CodecError, EncodedValue, ValueCodec};
use crate::segments::Segments;

/// The arguments of one call, one encoded value after the other.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct EncodedArgs<'a> {
    value: EncodedValue,
    segments: Option<&'a Segments>,
}

impl<'a> EncodedArgs<'a> {
    /// Arguments are appended to `value`; long ones go into these segments, if there is room.
    pub(crate) fn new(value: EncodedValue, segments: Option<&'a Segments>) -> Self {
        Self { value, segments }
    }

    /// Appends one argument.
    ///
    /// # Errors
    /// The error of serde.
    pub fn put<T>(&mut self, codec: ValueCodec<T>, value: &T) -> Result<(), CodecError> {
        codec.encode(value, &mut self.value, self.segments)
    }

    pub(crate) fn into_value(self) -> EncodedValue {
        self.value
    }
}

/// The arguments of one call, which are taken one after the other.
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
    /// The error of serde.
    pub fn take<T>(&mut self, codec: ValueCodec<T>) -> Result<T, CodecError> {
        codec.decode(&mut self.rest, &self.attachments)
    }

    /// Checks that no bytes are left. The attachments belong to the values from here on.
    pub(crate) fn finish(self) -> Result<(), CodecError> {
        codec::at_end(self.rest)
    }
}
