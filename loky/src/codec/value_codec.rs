//! [`ValueCodec`]: the functions that encode and decode values of one type, as a value.
//!
//! The macro creates it in one place, spanned at the type that the user wrote. So a type without serde's traits gives one error
//! there and no others. All other code takes the [`ValueCodec`], without bounds on the type.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Attachments, CodecError, EncodedValue, out_of_line};
use crate::segments::Segments;

/// A type that can be an argument of a task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a task",
    label = "cannot travel to a worker process",
    note = "help: arguments travel as values: derive `serde::Serialize` and `serde::Deserialize` for the type, or pass something that has both"
)]
#[doc(hidden)]
pub trait Argument: Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> Argument for T {}

/// A type that can be the result of a task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a task",
    label = "cannot travel back from a worker process",
    note = "help: results travel as values: derive `serde::Serialize` and `serde::Deserialize` for the type, or return something that has both"
)]
#[doc(hidden)]
pub trait Output: Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> Output for T {}

/// A `Result` type that can be the result of a task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a task",
    label = "cannot travel back from a worker process",
    note = "help: both sides of the `Result` need `serde::Serialize` and `serde::Deserialize`; for an error without them return `loky::TaskResult<T>`, whose `loky::RemoteError` keeps the text of any error"
)]
#[doc(hidden)]
pub trait FallibleOutput: Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> FallibleOutput for T {}

/// The way in which values of `T` travel.
#[doc(hidden)]
#[derive(Debug)]
pub struct ValueCodec<T> {
    encode: Encode<T>,
    decode: Decode<T>,
}

/// Appends a value. A large one may go into one of these segments.
pub(super) type Encode<T> = fn(&T, &mut EncodedValue, Option<&Segments>) -> Result<(), CodecError>;

/// Takes a value from the front of the bytes, and its attachments from these.
pub(super) type Decode<T> = fn(&mut &[u8], &Attachments) -> Result<T, CodecError>;

impl<T> ValueCodec<T> {
    const fn new() -> Self
    where
        T: Serialize + DeserializeOwned,
    {
        Self { encode: out_of_line::encode::<T>, decode: out_of_line::decode::<T> }
    }

    /// Creates a codec that does not use serde.
    pub(super) const fn of(encode: Encode<T>, decode: Decode<T>) -> Self {
        Self { encode, decode }
    }

    /// Returns the bulk codec, if there is one for this type.
    #[must_use]
    pub const fn or_rather(self, bulk: Option<Self>) -> Self {
        match bulk {
            Some(bulk) => bulk,
            None => self,
        }
    }

    /// Appends `value` to `out`. A large one goes into one of these segments, if one is available.
    pub(crate) fn encode(
        self,
        value: &T,
        out: &mut EncodedValue,
        segments: Option<&Segments>,
    ) -> Result<(), CodecError> {
        (self.encode)(value, out, segments)?;
        if out.has_room() {
            Ok(())
        } else {
            Err(CodecError("shared memory that the value itself does not mention".to_owned()))
        }
    }

    /// Takes one value from the front of `input`.
    pub(crate) fn decode(
        self,
        input: &mut &[u8],
        attachments: &Attachments,
    ) -> Result<T, CodecError> {
        (self.decode)(input, attachments)
    }

    /// Decodes the one value in `input`.
    pub(crate) fn decode_all(
        self,
        mut input: &[u8],
        attachments: &Attachments,
    ) -> Result<T, CodecError> {
        let value = self.decode(&mut input, attachments)?;
        at_end(input).map(|()| value)
    }
}

impl<T> Clone for ValueCodec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ValueCodec<T> {}

/// The codec of an argument.
#[doc(hidden)]
#[must_use]
pub const fn argument<T: Argument>() -> ValueCodec<T> {
    ValueCodec::new()
}

/// The codec of a result.
#[doc(hidden)]
#[must_use]
pub const fn output<T: Output>() -> ValueCodec<T> {
    ValueCodec::new()
}

/// The codec of a result that is a `Result` type.
#[doc(hidden)]
#[must_use]
pub const fn fallible_output<T: FallibleOutput>() -> ValueCodec<T> {
    ValueCodec::new()
}

/// The codec in place of a task that is not registered. It needs nothing of the type, and is never used for a value.
pub(crate) const fn refused<T>() -> ValueCodec<T> {
    ValueCodec { encode: |_, _, _| Err(not_a_task()), decode: |_, _| Err(not_a_task()) }
}

fn not_a_task() -> CodecError {
    CodecError("this function is not a task".to_owned())
}

/// Returns an error unless `rest` is empty, as it must be after the last value.
pub(crate) fn at_end(rest: &[u8]) -> Result<(), CodecError> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(CodecError(format!("{} bytes are left over behind the value", rest.len())))
    }
}
