//! The arguments of one call as bytes: put in one after another by the caller, taken out in the same order by the worker.

use crate::codec::{self, CodecError, Witness};

/// The arguments of one call, one encoded value after the other.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct EncodedArgs {
    bytes: Vec<u8>,
}

impl EncodedArgs {
    /// To be appended to `bytes`.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Appends one argument.
    ///
    /// # Errors
    /// What serde says.
    pub fn put<T>(&mut self, witness: Witness<T>, value: &T) -> Result<(), CodecError> {
        witness.encode(value, &mut self.bytes)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The arguments of one call, to be taken one after the other.
#[doc(hidden)]
#[derive(Debug)]
pub struct Arguments<'a> {
    rest: &'a [u8],
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the next argument.
    ///
    /// # Errors
    /// What serde says.
    pub fn take<T>(&mut self, witness: Witness<T>) -> Result<T, CodecError> {
        witness.decode(&mut self.rest)
    }

    /// Nothing may be left when all were taken.
    pub(crate) fn finish(self) -> Result<(), CodecError> {
        codec::at_end(self.rest)
    }
}
